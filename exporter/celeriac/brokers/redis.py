"""Redis, Valkey and what speaks like them, directly or through Sentinel.

kombu's own channel reads the URL, TLS, Sentinel and every transport option, and hands out the
pool. The queues are here, the keys and the event stream in files of their own.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import redis
from celery import Celery
from kombu import Connection

from celeriac.brokers.redis_events import BrokerEventStream
from celeriac.brokers.redis_heads import Heads
from celeriac.brokers.redis_keys import Keys, keys_of
from celeriac.brokers.redis_unacked import Held, UnackedMessages
from celeriac.model.facts import BrokerInfo, Head, QueueDepth, QueueSample
from celeriac.session import Session

__all__ = ["BrokerEventStream", "BrokerQueues"]

KEYS_PER_SCAN = 1000
SCANS_PER_DISCOVERY = 20
READ_BINDINGS_EVERY_SECONDS = 30.0


class _Opened:
    def __init__(self, connection: Connection, keys: Keys, channel: Any) -> None:
        self.connection = connection
        self.keys = keys
        self.client = redis.Redis(connection_pool=channel.pool)
        self.visibility_timeout_seconds = float(channel.visibility_timeout)


class BrokerQueues:
    """Lengths by LLEN over all priority lists, unacked messages from kombu's own index."""

    def __init__(self, app: Celery, _management_url: str | None = None) -> None:
        self._app = app
        self._session = Session(app, self._open)
        self._bindings = _Bindings()
        self._unacked = UnackedMessages()
        self._heads = Heads()

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

    def fetch(
        self, queues: Collection[str], visibility_timeout_seconds: float | None = None
    ) -> QueueSample:
        with self._session.use() as opened:
            client, keys = opened.client, opened.keys
            lengths = _lengths_by_queue(client, keys, list(queues))
            heads = self._heads.fetch(client, keys, lengths)
            held = self._unacked.by_queue(
                client,
                keys,
                self._bindings.queue_of,
                visibility_timeout_seconds or opened.visibility_timeout_seconds,
            )
        depths = {
            name: _depth(
                sum(several), heads.get(name, ()), None if held is None else held.get(name, Held())
            )
            for name, several in lengths.items()
        }
        return QueueSample(depths)

    def close(self) -> None:
        self._session.close()


def _depth(ready: int, heads: tuple[Head, ...], held: Held | None) -> QueueDepth:
    if held is None:
        return QueueDepth(ready, heads=heads)
    oldest = 0.0 if held.oldest_at is None else max(0.0, time.time() - held.oldest_at)
    return QueueDepth(
        ready,
        held.messages,
        heads=heads,
        oldest_unacked_seconds=oldest,
        redelivery_risk=held.at_risk,
    )


def _lengths_by_queue(
    client: redis.Redis, keys: Keys, queues: Iterable[str]
) -> dict[str, list[int]]:
    """Return the number of waiting messages in each of each queue's lists, in one round trip."""
    lists = {queue: list(keys.lists(queue)) for queue in queues}
    lengths = _lengths(client.connection_pool, [key for some in lists.values() for key in some])
    return {queue: list(islice(lengths, len(several))) for queue, several in lists.items()}


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
