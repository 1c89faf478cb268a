"""The event stream of Redis: pub/sub, straight from the socket into hiredis.

redis-py's connection does everything up to the subscription: TLS, passwords, Sentinel. From then
on its parser is left out, which hands out one reply a call and does not say how many wait; here
a buffer that was read is parsed in one go, and counted as one batch. ``tests/conformance`` holds
the two to the same messages.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import hiredis
import redis
from celery import Celery

from celeriac.brokers.contract import Message
from celeriac.brokers.event_queue import EventQueue
from celeriac.brokers.gathering import GatheringSocket
from celeriac.brokers.redis_keys import Keys, escaped, keys_of
from celeriac.celery_app import COMMAND_TIMEOUT_SECONDS, broker_errors, connect

# A subscriber hears nothing from a broker that has stopped, nor from one without workers.
PING_AFTER_SECONDS = 2.0
# After each reply hiredis moves what is left of its buffer to the front.
FEED_BYTES = 8192
_MESSAGES = (b"pmessage", b"message")
_SUBSCRIPTIONS = (b"psubscribe", b"subscribe")


class PushReader:
    """Bytes of RESP2 in, payloads of pub/sub messages out; pure."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader(protocolError=redis.InvalidResponse, replyError=_reply_error)
        self.is_subscribed = False

    def feed(self, data: memoryview) -> list[Message]:
        """Return the payloads that *data* completes. Errors: RedisError."""
        payloads: list[Message] = []
        try:
            for start in range(0, len(data), FEED_BYTES):
                self._reader.feed(data[start : start + FEED_BYTES])
                self._collect(payloads)
        except redis.InvalidResponse:
            # Whatever came before is good; hiredis says the same again when it is fed next.
            if not payloads:
                raise
        return payloads

    def _collect(self, payloads: list[Message]) -> None:
        gets = self._reader.gets
        while (push := gets()) is not False:
            if type(push) is not list:
                _raise_if_error(push)
            elif push[0] in _MESSAGES:
                payloads.append(push[-1])
            elif push[0] in _SUBSCRIPTIONS:
                self.is_subscribed = True


def _reply_error(text: str) -> redis.ResponseError:
    if text.startswith("NOPERM"):
        return redis.exceptions.NoPermissionError(text)
    return redis.ResponseError(text)


def _raise_if_error(reply: object) -> None:
    if isinstance(reply, redis.RedisError):
        raise reply


class BrokerEventStream:
    """A subscription to every event, over a connection that does nothing else."""

    has_kept_events = False

    def __init__(self, app: Celery, _queue: EventQueue) -> None:
        self._connection = connect(app)
        with broker_errors(self._connection):
            channel = self._connection.default_channel
            self._link = self._dial(channel.pool)
            self._reader = PushReader()
            self._has_heard = True
            self._early = self._subscribe(keys_of(app, channel))
        self._heard_mono = time.monotonic()
        self._pinged_mono: float | None = None

    @staticmethod
    def _dial(pool: Any) -> Any:
        # Under RESP3 a push has a type of its own.
        pool.connection_kwargs.update(protocol=2, socket_timeout=COMMAND_TIMEOUT_SECONDS)
        link = pool.get_connection()
        link.health_check_interval = 0
        return link

    def _subscribe(self, keys: Keys) -> list[Message]:
        """Return what came together with the server's word that we are subscribed."""
        if keys.has_event_topics:
            self._link.send_command("PSUBSCRIBE", escaped(keys.events) + "/*")
        else:
            self._link.send_command("SUBSCRIBE", keys.events)
        # The connection itself has no more to read: what it buffers would be lost to us.
        self._socket = GatheringSocket(self._link._sock)  # noqa: SLF001  nothing hands it out
        early: list[Message] = []
        deadline_mono = time.monotonic() + COMMAND_TIMEOUT_SECONDS
        while not self._reader.is_subscribed:
            try:
                early += self._read()
            except TimeoutError:
                if time.monotonic() > deadline_mono:
                    raise
        return early

    def receive(self) -> Sequence[Message]:
        early, self._early = self._early, []
        with broker_errors(self._connection):
            try:
                return early or self._read()
            except TimeoutError:
                self._note_silence()
                return ()

    def _read(self) -> list[Message]:
        data = self._socket.read()
        self._has_heard = True
        return self._reader.feed(data)

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
