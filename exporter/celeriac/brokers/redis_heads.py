"""The message that each list of a queue will give next: kombu pushes left and pops right."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import redis

from celeriac.brokers.redis_keys import Keys
from celeriac.model.eta import epoch_seconds
from celeriac.model.facts import Head

# Redis gives a message whole or not at all: a large one is not fetched with every sample.
LARGE_BYTES = 256 * 1024
LARGE_AGAIN_AFTER_SECONDS = 60.0


class _Headers(msgspec.Struct, gc=False):
    id: Any = None
    eta: Any = None
    redelivered: Any = None


class _Message(msgspec.Struct, gc=False):
    headers: _Headers


_decode = msgspec.json.Decoder(_Message).decode


class Heads:
    """Reads the heads of all lists that are not empty, in one round trip."""

    def __init__(self) -> None:
        self._large_until_mono: dict[str, float] = {}

    def fetch(
        self, client: redis.Redis, keys: Keys, lengths: Mapping[str, Sequence[int]]
    ) -> dict[str, tuple[Head, ...]]:
        """Return the heads by queue, given the lengths of each queue's lists."""
        now = time.monotonic()
        wanted = [
            (queue, place, key)
            for queue, several in lengths.items()
            for place, (key, length) in enumerate(zip(keys.lists(queue), several, strict=True))
            if length and self._large_until_mono.get(key, 0.0) <= now
        ]
        heads: dict[str, tuple[Head, ...]] = {}
        if not wanted:
            return heads
        raws = _tails(client, [key for _, _, key in wanted])
        self._note_large(wanted, raws, now)
        for (queue, place, _), raw in zip(wanted, raws, strict=True):
            if isinstance(raw, bytes):
                heads[queue] = (*heads.get(queue, ()), read_head(place, raw))
        return heads

    def _note_large(self, wanted: Sequence[Any], raws: Sequence[object], now: float) -> None:
        self._large_until_mono = {
            key: until for key, until in self._large_until_mono.items() if until > now
        }
        for (_, _, key), raw in zip(wanted, raws, strict=True):
            if isinstance(raw, bytes) and len(raw) > LARGE_BYTES:
                self._large_until_mono[key] = now + LARGE_AGAIN_AFTER_SECONDS


def _tails(client: redis.Redis, lists: Collection[str]) -> list[object]:
    pipe = client.pipeline(transaction=False)
    for key in lists:
        pipe.lindex(key, -1)
    # Somebody else's key of that name may be no list; that answer is an error by itself.
    return list(pipe.execute(raise_on_error=False))


def read_head(place: int, raw: bytes) -> Head:
    """Return what is told by a message; one that cannot be read is known by its bytes."""
    try:
        headers = _decode(raw).headers
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        headers = _Headers()
    is_redelivered = headers.redelivered is True
    task_id = headers.id if isinstance(headers.id, str) else hashlib.sha256(raw).hexdigest()
    return Head(place, task_id, epoch_seconds(headers.eta), is_redelivered)
