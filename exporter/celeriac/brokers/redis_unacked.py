"""Messages that workers hold: kombu's ``unacked`` hash and its index by time of delivery."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
import redis

from celeriac.brokers.redis_keys import Keys
from celeriac.model.eta import epoch_seconds

UNACKED_PER_FETCH = 500
MAX_UNACKED = 100_000
# kombu.transport.redis.Channel.visibility_timeout
DEFAULT_VISIBILITY_TIMEOUT_SECONDS = 3600.0


class _Headers(msgspec.Struct, gc=False):
    eta: Any = None


class _Message(msgspec.Struct, gc=False):
    headers: _Headers = msgspec.field(default_factory=_Headers)


_decode_unacked = msgspec.json.Decoder(tuple[_Message, str, str]).decode
_decode_route = msgspec.json.Decoder(tuple[msgspec.Raw, str, str]).decode


class Held(NamedTuple):
    """The unacknowledged messages of one queue; *oldest_at* is None if none has been due yet."""

    messages: int = 0
    oldest_at: float | None = None
    at_risk: int = 0
    """Those held, or due, later than Redis gives them to another worker."""


class _Unacked(NamedTuple):
    exchange: str
    routing_key: str
    eta_at: float | None


class _Delivery(NamedTuple):
    """When a worker says that it took a message, and not before when."""

    delivered_at: float
    since_at: float


class UnackedMessages:
    """Which queue each unacknowledged message came from; every message is read once.

    The time of a delivery is the worker's clock. What was not there at the last look has come
    since: a clock that is behind makes nothing older.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, _Unacked] = {}
        self._deliveries: dict[bytes, _Delivery] = {}
        self._looked_at = 0.0

    def by_queue(
        self,
        client: redis.Redis,
        keys: Keys,
        queue_of: Callable[[str, str], str],
        visibility_timeout_seconds: float,
    ) -> dict[str, Held] | None:
        """Return what is held of each queue, None if it is too much to look at."""
        if client.zcard(keys.unacked_index) > MAX_UNACKED:
            self._known.clear()
            self._deliveries.clear()
            self._looked_at = 0.0
            return None
        now = time.time()
        index = client.zrange(keys.unacked_index, 0, -1, withscores=True)
        self._learn(client, keys, [tag for tag, _ in index if tag not in self._known])
        self._known = {tag: self._known[tag] for tag, _ in index if tag in self._known}
        self._deliveries = {tag: self._delivery(tag, at) for tag, at in index}
        self._looked_at = now
        held: dict[str, Held] = {}
        for tag, delivered_at in index:
            message = self._known.get(tag)
            if message is not None:
                queue = queue_of(message.exchange, message.routing_key)
                until = delivered_at + visibility_timeout_seconds
                is_at_risk = until < max(now, message.eta_at or 0.0)
                due_at = max(self._deliveries[tag].since_at, message.eta_at or 0.0)
                held[queue] = _with_one(held.get(queue, Held()), due_at, now, is_at_risk=is_at_risk)
        return held

    def _delivery(self, tag: bytes, delivered_at: float) -> _Delivery:
        known = self._deliveries.get(tag)
        if known is not None and known.delivered_at == delivered_at:
            return known
        return _Delivery(delivered_at, max(delivered_at, self._looked_at))

    def _learn(self, client: redis.Redis, keys: Keys, tags: list[bytes]) -> None:
        for start in range(0, len(tags), UNACKED_PER_FETCH):
            chunk = tags[start : start + UNACKED_PER_FETCH]
            for tag, raw in zip(chunk, client.hmget(keys.unacked, chunk), strict=True):
                # Acknowledged since the index was read, or not written by kombu.
                with suppress(msgspec.MsgspecError, TypeError, RecursionError):
                    self._known[tag] = _read(raw)


def _read(raw: bytes) -> _Unacked:
    try:
        message, exchange, routing_key = _decode_unacked(raw)
    except msgspec.ValidationError:
        # A message of another kind still has a route.
        _, exchange, routing_key = _decode_route(raw)
        return _Unacked(exchange, routing_key, None)
    return _Unacked(exchange, routing_key, epoch_seconds(message.headers.eta))


def _with_one(held: Held, due_at: float, now: float, *, is_at_risk: bool) -> Held:
    oldest = held.oldest_at
    if due_at <= now:
        oldest = due_at if oldest is None else min(oldest, due_at)
    return Held(held.messages + 1, oldest, held.at_risk + is_at_risk)
