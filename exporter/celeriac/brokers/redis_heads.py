"""The message that each list of a queue will give next: kombu pushes left and pops right."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import redis

from celeriac.brokers.redis_keys import Keys
from celeriac.model.eta import epoch_seconds
from celeriac.model.facts import Head

# Redis gives a message whole or not at all: the larger it is, the less often it is looked at.
BYTES_PER_SECOND = 64 * 1024
MAX_PAUSE_SECONDS = 60.0


class _Headers(msgspec.Struct, gc=False):
    id: Any = None
    eta: Any = None
    redelivered: Any = None
    retries: Any = None


class _Message(msgspec.Struct, gc=False):
    headers: _Headers


_decode = msgspec.json.Decoder(_Message).decode


class _Place(NamedTuple):
    queue: str
    number: int
    key: str
    length: int


class _Look(NamedTuple):
    head: Head
    length: int
    mono: float
    next_mono: float


class Heads:
    """Reads the heads of all lists that are not empty, in one round trip."""

    def __init__(self) -> None:
        self._looks: dict[str, _Look] = {}

    def fetch(
        self, client: redis.Redis, keys: Keys, lengths: Mapping[str, Sequence[int]]
    ) -> dict[str, tuple[Head, ...]]:
        """Return the heads by queue, given the lengths of each queue's lists.

        A large one is what it was when it was last looked at; it is left out if its list has
        become shorter since.
        """
        now = time.monotonic()
        places = _places(keys, lengths)
        resting = {key: look for key, look in self._looks.items() if look.next_mono > now}
        due = [place for place in places if place.key not in resting]
        looks = resting | self._look(client, due, now)
        self._looks = {place.key: looks[place.key] for place in places if place.key in looks}
        return self._heads(places, now)

    def _heads(self, places: Sequence[_Place], now: float) -> dict[str, tuple[Head, ...]]:
        heads: dict[str, tuple[Head, ...]] = {}
        for place in places:
            last = self._looks.get(place.key)
            if last is not None and last.length <= place.length:
                head = last.head._replace(seconds_ago=now - last.mono)
                heads[place.queue] = (*heads.get(place.queue, ()), head)
        return heads

    def _look(self, client: redis.Redis, places: Sequence[_Place], now: float) -> dict[str, _Look]:
        raws = _tails(client, [place.key for place in places])
        looks = {}
        for place, raw in zip(places, raws, strict=True):
            if isinstance(raw, bytes):
                pause = min(len(raw) / BYTES_PER_SECOND, MAX_PAUSE_SECONDS)
                head = read_head(place.number, raw)
                looks[place.key] = _Look(head, place.length, now, now + pause)
        return looks


def _places(keys: Keys, lengths: Mapping[str, Sequence[int]]) -> list[_Place]:
    return [
        _Place(queue, number, key, length)
        for queue, several in lengths.items()
        for number, (key, length) in enumerate(zip(keys.lists(queue), several, strict=True))
        if length
    ]


def _tails(client: redis.Redis, lists: Collection[str]) -> list[object]:
    if not lists:
        return []
    pipe = client.pipeline(transaction=False)
    for key in lists:
        pipe.lindex(key, -1)
    # Somebody else's key of that name may be no list; that answer is an error by itself.
    return list(pipe.execute(raise_on_error=False))


def read_head(number: int, raw: bytes) -> Head:
    """Return what is told by a message; one that cannot be read is known by its bytes."""
    try:
        headers = _decode(raw).headers
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        headers = _Headers()
    is_redelivered = headers.redelivered is True or bool(headers.retries)
    task_id = headers.id if isinstance(headers.id, str) else hashlib.sha256(raw).hexdigest()
    return Head(number, task_id, epoch_seconds(headers.eta), is_redelivered, hash(raw))
