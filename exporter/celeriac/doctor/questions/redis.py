"""Where on a Redis server Celery lives: its keys in every database, its heartbeats everywhere."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import redis
from celery import Celery

from celeriac.brokers.redis_keys import escaped
from celeriac.doctor.broker_facts import Asked, BrokerFacts, Channel, Names, RedisFacts, Trace
from celeriac.doctor.unexamined import Unexamined
from celeriac.session import Session

SCANS_PER_DATABASE = 100
KEYS_PER_SCAN = 1000
MAX_TRACES = 50
_BINDING = "_kombu.binding."
_PIDBOX = ".pidbox"
# The exporter's own reply queue, which is wherever an exporter was pointed to.
_OWN = "reply."
# ``{prefix}/{database}.{exchange}/worker.heartbeat`` (kombu.transport.redis 5.7).
_HEARTBEATS = re.compile(r"(.*?)/(\d+)\.(.+)/worker\.heartbeat")


class RedisSide:
    """Connections of our own, that look at databases and channels which the exporter would not."""

    def __init__(self, app: Celery, asked: Asked) -> None:
        self._asked = asked
        self._session = Session(app, lambda connection: _Opened(connection.default_channel))
        self._keys: RedisFacts | None = None
        self._channels: set[Channel] = set()

    def look(self) -> None:
        with self._session.use() as opened:
            traces = tuple(_traces(opened))
            opened.client.execute_command("SELECT", opened.database)
            self._keys = RedisFacts(self._asked, opened.database, opened.prefix, traces)

    def overhear(self, seconds: float) -> None:
        """Hear heartbeats of any database, prefix and exchange."""
        deadline_mono = time.monotonic() + seconds
        with self._session.use() as opened:
            while (left := deadline_mono - time.monotonic()) > 0:
                message = opened.pubsub.get_message(timeout=left)
                if message is not None and message["type"] == "pmessage":
                    self._channels.update(_channel(message["channel"]))

    def facts(self) -> BrokerFacts:
        not_this = Unexamined("the broker is not RabbitMQ")
        if self._keys is None:
            return BrokerFacts.none(not_this)
        keys = replace(self._keys, channels=frozenset(self._channels))
        return BrokerFacts(keys, not_this, not_this, _names(keys))

    def close(self) -> None:
        self._session.close()


class _Opened:
    """A connection for keys, one for channels, and where they would look by themselves."""

    def __init__(self, channel: Any) -> None:
        pool = channel.pool
        self.prefix: str = channel.global_keyprefix
        self.database = int(pool.connection_kwargs.get("db") or 0)
        # SELECT holds for one connection.
        self.client = redis.Redis(connection_pool=pool, single_connection_client=True)
        self.pubsub = redis.Redis(connection_pool=pool).pubsub(ignore_subscribe_messages=True)
        with suppress(redis.exceptions.NoPermissionError):
            self.pubsub.psubscribe("*/worker.heartbeat")


def _traces(opened: _Opened) -> Iterator[Trace]:
    for database in _databases(opened):
        opened.client.execute_command("SELECT", database)
        by_prefix: dict[str, list[bytes]] = {}
        for key in _binding_keys(opened.client):
            prefix = key.decode("utf-8", "replace").partition(_BINDING)[0]
            if len(by_prefix) < MAX_TRACES:
                by_prefix.setdefault(prefix, []).append(key)
        for prefix, keys in sorted(by_prefix.items()):
            yield _trace(opened.client, database, prefix, keys)


def _databases(opened: _Opened) -> list[int]:
    """Return the databases that have keys, ours among them, as far as the server tells."""
    with suppress(redis.exceptions.ResponseError):
        keyspace = opened.client.info("keyspace")
        return sorted(int(name.removeprefix("db")) for name in keyspace)
    return [opened.database]


def _binding_keys(client: redis.Redis) -> Iterator[bytes]:
    """Yield the keys of Celery's bindings among the first 100,000 or so of a database."""
    cursor = 0
    for _ in range(SCANS_PER_DATABASE):
        cursor, keys = client.scan(cursor, match=f"*{escaped(_BINDING)}*", count=KEYS_PER_SCAN)
        yield from keys
        if cursor == 0:
            return


def _trace(client: redis.Redis, database: int, prefix: str, keys: Iterable[bytes]) -> Trace:
    exchanges: set[str] = set()
    workers: set[str] = set()
    for key in keys:
        exchange = key.decode("utf-8", "replace").partition(_BINDING)[2]
        if not exchange.startswith(_OWN):
            exchanges.add(exchange)
            workers.update(_workers(client, key, exchange))
    return Trace(database, prefix, frozenset(exchanges), frozenset(workers))


def _workers(client: redis.Redis, key: bytes, exchange: str) -> Iterator[str]:
    """Yield the workers that take commands from *exchange*, by the names of their queues."""
    if not exchange.endswith(_PIDBOX):
        return
    with suppress(redis.exceptions.ResponseError):
        for member in client.smembers(key):
            queue = member.decode("utf-8", "replace").rpartition("\x16")[2]
            yield queue.removesuffix(f".{exchange}")


def _channel(name: bytes) -> Iterator[Channel]:
    found = _HEARTBEATS.fullmatch(name.decode("utf-8", "replace"))
    if found:
        yield Channel(found[1], int(found[2]), found[3])


def _names(facts: RedisFacts) -> Names:
    """Return the exchanges in use in our database, under our prefix."""
    control = {
        exchange.removesuffix(_PIDBOX): trace.workers
        for trace in facts.traces
        if (trace.database, trace.prefix) == (facts.database, facts.prefix)
        for exchange in trace.exchanges
        if exchange.endswith(_PIDBOX)
    }
    events = {
        channel.exchange
        for channel in facts.channels
        if (channel.database, channel.prefix) == (facts.database, facts.prefix)
    }
    return Names(facts.asked, control, frozenset(events))
