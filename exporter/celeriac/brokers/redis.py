"""Redis, Valkey and what speaks like them, directly or through Sentinel.

kombu's own channel reads the URL, TLS, Sentinel and every transport option, and hands out the
pool; keys and channels are those of ``kombu.transport.redis`` 5.7.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any

import msgspec
import redis
from celery import Celery
from kombu import Connection

from celeriac.brokers.contract import Handler
from celeriac.celery_app import COMMAND_TIMEOUT_SECONDS, broker_errors, connect
from celeriac.model.facts import BrokerInfo, QueueDepth, QueueSample
from celeriac.session import Session

POLL_SECONDS = 0.5
# A subscriber hears nothing from a broker that has stopped, nor from one without workers.
PING_AFTER_SECONDS = 2.0
MAX_MESSAGES_PER_RECEIVE = 200

KEYS_PER_SCAN = 1000
SCANS_PER_DISCOVERY = 20
UNACKED_PER_FETCH = 500
MAX_UNACKED = 100_000

_decode_unacked = msgspec.json.Decoder(tuple[msgspec.Raw, str, str]).decode


class _Keys:
    """What kombu calls its keys and channels, given the transport options."""

    def __init__(self, channel: Any, event_exchange: str, control_exchange: str) -> None:
        self.prefix: str = channel.global_keyprefix
        self.unacked = self.prefix + channel.unacked_key
        self.unacked_index = self.prefix + channel.unacked_index_key
        self.events = f"{self.prefix}{channel.keyprefix_fanout}{event_exchange}"
        self.has_event_topics = bool(channel.fanout_patterns)
        self._binding: str = self.prefix + channel.keyprefix_queue
        self._separator: str = channel.sep
        self._priorities: list[int] = channel.priority_steps
        self._internal = {
            event_exchange,
            f"{control_exchange}.pidbox",
            f"reply.{control_exchange}.pidbox",
        }

    def lists(self, queue: str) -> Iterator[str]:
        """Yield the key of each of *queue*'s priority lists."""
        for priority in self._priorities:
            suffix = f"{self._separator}{priority}" if priority else ""
            yield f"{self.prefix}{queue}{suffix}"

    @property
    def bindings_pattern(self) -> str:
        return _escaped(self._binding % "") + "*"

    def binding(self, exchange: str) -> str:
        return self._binding % exchange

    def exchange(self, binding: bytes) -> str | None:
        """Return the exchange of a binding's key, None for Celery's own."""
        exchange = binding.decode("utf-8", "replace").removeprefix(self._binding % "")
        return None if exchange in self._internal else exchange

    def binding_member(self, member: bytes) -> tuple[str, str]:
        """Return (routing key, queue) of one member of a binding."""
        parts = member.decode("utf-8", "replace").split(self._separator)
        return parts[0], parts[-1]


class _Opened:
    def __init__(self, connection: Connection, keys: _Keys, channel: Any) -> None:
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
        return _Opened(connection, _keys(self._app, channel), channel)

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


def _keys(app: Celery, channel: Any) -> _Keys:
    return _Keys(channel, app.conf.event_exchange, app.conf.control_exchange)


def _ready(client: redis.Redis, keys: _Keys, queues: Iterable[str]) -> list[int]:
    """Return the number of waiting messages of each queue, in one round trip."""
    pipe = client.pipeline(transaction=False)
    lists_per_queue = []
    for queue in queues:
        lists = list(keys.lists(queue))
        lists_per_queue.append(len(lists))
        for key in lists:
            pipe.llen(key)
    lengths = iter([_length(answer) for answer in pipe.execute(raise_on_error=False)])
    return [sum(next(lengths) for _ in range(lists)) for lists in lists_per_queue]


def _length(answer: Any) -> int:
    if isinstance(answer, redis.ResponseError) and str(answer).startswith("WRONGTYPE"):
        # Somebody else's key of that name: no messages of ours are in it.
        return 0
    if isinstance(answer, Exception):
        raise answer
    return int(answer)


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

    def refresh(self, client: redis.Redis, keys: _Keys) -> None:
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

    def _read(self, client: redis.Redis, keys: _Keys, bindings: set[bytes]) -> None:
        pipe = client.pipeline(transaction=False)
        exchanges = [exchange for key in bindings if (exchange := keys.exchange(key)) is not None]
        for exchange in exchanges:
            pipe.smembers(keys.binding(exchange))
        members = pipe.execute(raise_on_error=False)
        self._routes = {
            (exchange, routing_key): queue
            for exchange, bound in zip(exchanges, members, strict=True)
            if not isinstance(bound, Exception)
            for routing_key, queue in map(keys.binding_member, bound)
        }
        self.queues = set(self._routes.values())

    def queue_of(self, exchange: str, routing_key: str) -> str:
        """Return where a message went; without an exchange, the routing key is the queue."""
        return self._routes.get((exchange, routing_key), routing_key)


class _Unacked:
    """Which queue each unacknowledged message came from; every message is read once."""

    def __init__(self) -> None:
        self._routes: dict[bytes, tuple[str, str]] = {}

    def by_queue(
        self, client: redis.Redis, keys: _Keys, bindings: _Bindings
    ) -> Counter[str] | None:
        """Return unacked messages per queue, None if there are too many to look at."""
        if client.zcard(keys.unacked_index) > MAX_UNACKED:
            self._routes.clear()
            return None
        tags = client.zrange(keys.unacked_index, 0, -1)
        self._learn(client, keys, [tag for tag in tags if tag not in self._routes])
        self._routes = {tag: self._routes[tag] for tag in tags if tag in self._routes}
        return Counter(bindings.queue_of(*route) for route in self._routes.values())

    def _learn(self, client: redis.Redis, keys: _Keys, tags: list[bytes]) -> None:
        for start in range(0, len(tags), UNACKED_PER_FETCH):
            chunk = tags[start : start + UNACKED_PER_FETCH]
            for tag, message in zip(chunk, client.hmget(keys.unacked, chunk), strict=True):
                # Acknowledged since the index was read, or not written by kombu.
                with suppress(msgspec.MsgspecError, TypeError):
                    _, exchange, routing_key = _decode_unacked(message)
                    self._routes[tag] = (exchange, routing_key)


class BrokerEventStream:
    """Pub/sub read straight off redis-py's connection, one message a call of the parser."""

    def __init__(self, app: Celery) -> None:
        self._connection = connect(app)
        with broker_errors(self._connection):
            channel = self._connection.default_channel
            keys = _keys(app, channel)
            self._link = self._dial(channel.pool)
            self._subscribe(keys)
        self._has_heard = True
        self._heard_mono = time.monotonic()
        self._pinged_mono: float | None = None

    @staticmethod
    def _dial(pool: Any) -> Any:
        # Under RESP3 a push takes another way through redis-py, at twice the cost.
        pool.connection_kwargs.update(protocol=2, socket_timeout=COMMAND_TIMEOUT_SECONDS)
        link = pool.get_connection()
        link.health_check_interval = 0
        return link

    def _subscribe(self, keys: _Keys) -> None:
        if keys.has_event_topics:
            self._link.send_command("PSUBSCRIBE", _escaped(keys.events) + "/*")
        else:
            self._link.send_command("SUBSCRIBE", keys.events)
        self._link.read_response()

    def receive(self, handle: Handler) -> None:
        with broker_errors(self._connection):
            try:
                self._receive(handle)
            except redis.TimeoutError:
                self._note_silence()

    def _receive(self, handle: Handler) -> None:
        read = self._link.read_response
        for _ in range(MAX_MESSAGES_PER_RECEIVE):
            push = read(timeout=POLL_SECONDS, disconnect_on_error=False)
            if len(push) == 4:
                handle(push[3], push[2].rpartition(b"/")[2].startswith(b"worker"))
            elif push[0] == b"message":
                handle(push[2], False)
            self._has_heard = True

    def _note_silence(self) -> None:
        now = time.monotonic()
        if self._has_heard:
            self._has_heard, self._heard_mono, self._pinged_mono = False, now, None
        if self._pinged_mono is not None and now - self._pinged_mono > COMMAND_TIMEOUT_SECONDS:
            raise redis.TimeoutError("no answer to PING")
        if self._pinged_mono is None and now - self._heard_mono > PING_AFTER_SECONDS:
            self._pinged_mono = now
            self._link.send_command("PING", check_health=False)

    def close(self) -> None:
        with suppress(Exception):
            self._link.disconnect()
        with suppress(Exception):
            self._connection.collect(socket_timeout=0.5)


def _escaped(text: str) -> str:
    """Return *text* so that a glob pattern of Redis takes it literally."""
    return "".join(f"\\{character}" if character in "\\*?[]" else character for character in text)
