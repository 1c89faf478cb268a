"""Redis, Valkey and what speaks like them, directly or through Sentinel.

kombu's own channel reads the URL, TLS, Sentinel and every transport option, and hands out the
pool. The queues are here, the keys and the event stream in files of their own.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec
import redis
from celery import Celery
from kombu import Connection

from celeriac.brokers.redis_events import BrokerEventStream
from celeriac.brokers.redis_keys import Keys, keys_of
from celeriac.model.facts import BrokerInfo, QueueDepth, QueueSample
from celeriac.session import Session

__all__ = ["BrokerEventStream", "BrokerQueues"]

KEYS_PER_SCAN = 1000
SCANS_PER_DISCOVERY = 20
READ_BINDINGS_EVERY_SECONDS = 30.0
UNACKED_PER_FETCH = 500
MAX_UNACKED = 100_000

_decode_unacked = msgspec.json.Decoder(tuple[msgspec.Raw, str, str]).decode


class _Opened:
    def __init__(self, connection: Connection, keys: Keys, channel: Any) -> None:
        self.connection = connection
        self.keys = keys
        self.client = redis.Redis(connection_pool=channel.pool)


class BrokerQueues:
    """Lengths by LLEN over all priority lists, unacked messages from kombu's own index."""

    def __init__(self, app: Celery, _management_url: str | None = None) -> None:
        self._app = app
        self._session = Session(app, self._open)
        self._bindings = _Bindings()
        self._unacked = _Unacked()

    def _open(self, connection: Connection) -> _Opened:
        channel = connection.default_channel
        return _Opened(connection, keys_of(self._app, channel), channel)

    def fetch_info(self) -> BrokerInfo:
        with self._session.use() as opened:
            info = opened.client.info("server")
        return BrokerInfo("redis", str(info.get("valkey_version") or info.get("redis_version")))

    def discover(self) -> set[str]:
        with self._session.use() as opened:
            self._bindings.refresh(opened.client, opened.keys)
        return self._bindings.queues

    def fetch(self, queues: Collection[str]) -> QueueSample:
        names = list(queues)
        with self._session.use() as opened:
            ready = _ready(opened.client, opened.keys, names)
            unacked = self._unacked.by_queue(opened.client, opened.keys, self._bindings)
        return QueueSample(
            {
                name: QueueDepth(length, None if unacked is None else unacked[name])
                for name, length in zip(names, ready, strict=True)
            }
        )

    def close(self) -> None:
        self._session.close()


def _ready(client: redis.Redis, keys: Keys, queues: Iterable[str]) -> list[int]:
    """Return the number of waiting messages of each queue, in one round trip."""
    lists = [list(keys.lists(queue)) for queue in queues]
    lengths = _lengths(client.connection_pool, [key for several in lists for key in several])
    return [sum(islice(lengths, len(several))) for several in lists]


def _lengths(pool: redis.ConnectionPool, keys: Sequence[str]) -> Iterator[int]:
    """Return the length of each list; a pipeline of redis-py takes four times as long."""
    connection = pool.get_connection()
    try:
        connection.send_packed_command([b"".join(map(_llen, keys))])
        return iter([_length(connection) for _ in keys])
    except BaseException:
        # Not to be used again: some answers may still be on their way.
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _llen(key: str) -> bytes:
    encoded = key.encode()
    return b"*2\r\n$4\r\nLLEN\r\n$%d\r\n%b\r\n" % (len(encoded), encoded)


def _length(connection: redis.Connection) -> int:
    try:
        return int(connection.read_response())
    except redis.ResponseError as error:
        if str(error).startswith("WRONGTYPE"):
            # Somebody else's key of that name: no messages of ours are in it.
            return 0
        raise


class _Bindings:
    """Exchange, routing key and queue of every binding, found by a scan in bounded steps.

    Redis cannot list bindings; a large database is walked over several samples.
    """

    def __init__(self) -> None:
        self.queues: set[str] = set()
        self._routes: dict[tuple[str, str], str] = {}
        self._cursor = 0
        self._seen: set[bytes] = set()
        self._found: set[bytes] = set()
        self._members: dict[bytes, Collection[bytes]] = {}
        self._read_all_mono = float("-inf")

    def refresh(self, client: redis.Redis, keys: Keys) -> None:
        for _ in range(SCANS_PER_DISCOVERY):
            self._cursor, found = client.scan(
                self._cursor, match=keys.bindings_pattern, count=KEYS_PER_SCAN
            )
            self._seen.update(found)
            if self._cursor == 0:
                # Only a whole walk can tell that a binding is gone.
                self._found, self._seen = self._seen, set()
                break
        self._read(client, keys, self._found | self._seen)

    def _read(self, client: redis.Redis, keys: Keys, bindings: set[bytes]) -> None:
        """Read the members of new bindings at once, of known ones now and then."""
        if time.monotonic() - self._read_all_mono > READ_BINDINGS_EVERY_SECONDS:
            self._read_all_mono, self._members = time.monotonic(), {}
        new = [key for key in bindings - self._members.keys() if keys.exchange(key) is not None]
        if not new and bindings >= self._members.keys():
            return
        self._members = {key: self._members[key] for key in bindings & self._members.keys()}
        self._members.update(_members(client, new))
        self._routes = {
            (exchange, routing_key): queue
            for key, members in self._members.items()
            if (exchange := keys.exchange(key)) is not None
            for routing_key, queue in map(keys.binding_member, members)
        }
        self.queues = set(self._routes.values())

    def queue_of(self, exchange: str, routing_key: str) -> str:
        """Return where a message went; without an exchange, the routing key is the queue."""
        return self._routes.get((exchange, routing_key), routing_key)


def _members(client: redis.Redis, bindings: Sequence[bytes]) -> dict[bytes, Collection[bytes]]:
    pipe = client.pipeline(transaction=False)
    for key in bindings:
        pipe.smembers(key)
    answers = pipe.execute(raise_on_error=False)
    return {
        key: () if isinstance(answer, Exception) else answer
        for key, answer in zip(bindings, answers, strict=True)
    }


class _Unacked:
    """Which queue each unacknowledged message came from; every message is read once."""

    def __init__(self) -> None:
        self._routes: dict[bytes, tuple[str, str]] = {}

    def by_queue(self, client: redis.Redis, keys: Keys, bindings: _Bindings) -> Counter[str] | None:
        """Return unacked messages per queue, None if there are too many to look at."""
        if client.zcard(keys.unacked_index) > MAX_UNACKED:
            self._routes.clear()
            return None
        tags = client.zrange(keys.unacked_index, 0, -1)
        self._learn(client, keys, [tag for tag in tags if tag not in self._routes])
        self._routes = {tag: self._routes[tag] for tag in tags if tag in self._routes}
        return Counter(bindings.queue_of(*route) for route in self._routes.values())

    def _learn(self, client: redis.Redis, keys: Keys, tags: list[bytes]) -> None:
        for start in range(0, len(tags), UNACKED_PER_FETCH):
            chunk = tags[start : start + UNACKED_PER_FETCH]
            for tag, message in zip(chunk, client.hmget(keys.unacked, chunk), strict=True):
                # Acknowledged since the index was read, or not written by kombu.
                with suppress(msgspec.MsgspecError, TypeError):
                    _, exchange, routing_key = _decode_unacked(message)
                    self._routes[tag] = (exchange, routing_key)
