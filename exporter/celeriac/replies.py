"""The queue that workers answer to, read raw: size and shape are checked before anything is opened.

kombu would parse, decompress and keep a whole message before anybody could refuse it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

import amqp
import msgspec
import redis
from kombu import Connection, Consumer, Queue

MAX_REPLY_BYTES = 8 * 1024 * 1024
MAX_ENVELOPE_BYTES = MAX_REPLY_BYTES * 4 // 3 + 64 * 1024
# Long waits are cut, for the broker's heartbeats and for a clock that is looked at in between.
LONGEST_WAIT_SECONDS = 1.0
GATHER_SECONDS = 0.005


class Reply(NamedTuple):
    """A message as it came: the ticket of its command, its body, or why it was refused."""

    ticket: object
    body: bytes
    refusal: str | None = None


class ReplyQueue(Protocol):
    """A declared reply queue that is consumed for as long as its connection lives."""

    def receive(self, timeout_seconds: float) -> Iterator[Reply]:
        """Yield what has come; wait at most *timeout_seconds*, or a second, for the first.

        With 0, yield what is there already.
        """


def open_reply_queue(connection: Connection, queue: Queue) -> ReplyQueue:
    """Return *queue*, which is bound to its channel, as its transport can be read best."""
    driver = connection.transport.driver_type
    if driver == "redis":
        return _RedisList(queue)
    return _AmqpQueue(connection, queue) if driver == "amqp" else _KombuQueue(connection, queue)


class _Headers(msgspec.Struct, gc=False):
    ticket: Any = None
    compression: Any = None


class _Envelope(msgspec.Struct, gc=False):
    body: bytes
    headers: _Headers | None = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


class _RedisList:
    """All that is there is taken in one transaction, after a blocking wait for the first."""

    def __init__(self, queue: Queue) -> None:
        channel = queue.channel
        self._key = f"{channel.global_keyprefix}{queue.name}"
        self._client = redis.Redis(connection_pool=channel.pool)

    def receive(self, timeout_seconds: float) -> Iterator[Reply]:
        if timeout_seconds > 0:
            wait = max(0.01, min(timeout_seconds, LONGEST_WAIT_SECONDS))
            first = self._client.brpop(self._key, timeout=wait)
            if first is None:
                return
            yield self._opened(first[1])
            # The others are answering just now; each take is a round trip.
            time.sleep(GATHER_SECONDS)
        pipe = self._client.pipeline(transaction=True)
        rest, _ = pipe.lrange(self._key, 0, -1).delete(self._key).execute()
        for raw in reversed(rest):
            yield self._opened(raw)

    @staticmethod
    def _opened(raw: bytes) -> Reply:
        if len(raw) > MAX_ENVELOPE_BYTES:
            return Reply(None, b"", "too_large")
        try:
            envelope = _decode_envelope(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return Reply(None, b"", "malformed")
        headers = envelope.headers or _Headers()
        return _reply(headers.ticket, envelope.body, headers.compression)


class _Drained:
    """A queue whose consumer puts replies aside while its connection is drained."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._arrived: list[Reply] = []

    def receive(self, timeout_seconds: float) -> Iterator[Reply]:
        self._connection.heartbeat_check()
        with suppress(TimeoutError):
            wait = max(0.001, min(timeout_seconds, LONGEST_WAIT_SECONDS))
            self._connection.drain_events(timeout=wait)
        arrived, self._arrived = self._arrived, []
        yield from arrived

    def _put_aside(self, body: str | bytes, headers: Mapping[str, Any]) -> None:
        raw = body if isinstance(body, bytes) else str(body).encode()
        self._arrived.append(_reply(headers.get("ticket"), raw, headers.get("compression")))


class _AmqpQueue(_Drained):
    """py-amqp's own messages, which kombu has not touched."""

    def __init__(self, connection: Connection, queue: Queue) -> None:
        super().__init__(connection)
        # A channel of our own: kombu's decodes bodies by whatever codec the message names.
        channel = connection.channel()
        channel.auto_decode = False
        channel.basic_consume(queue.name, no_ack=True, callback=self._take)

    def _take(self, message: amqp.Message) -> None:
        self._put_aside(message.body, message.properties.get("application_headers") or {})


class _KombuQueue(_Drained):
    """Any other transport, through kombu's consumer."""

    def __init__(self, connection: Connection, queue: Queue) -> None:
        super().__init__(connection)
        self._consumer = Consumer(queue.channel, [queue], on_message=self._take, no_ack=True)
        self._consumer.consume()

    def _take(self, message: Any) -> None:
        self._put_aside(message.body, message.headers)


def _reply(ticket: object, body: bytes, compression: object) -> Reply:
    if compression:
        # No worker compresses its answers, and a small one could unfold to any size.
        return Reply(ticket, b"", "malformed")
    if len(body) > MAX_REPLY_BYTES:
        return Reply(ticket, b"", "too_large")
    return Reply(ticket, body)
