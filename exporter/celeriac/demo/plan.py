"""What the load publishes and when: the same from every run, made from a seed alone."""

from __future__ import annotations

import heapq
import itertools
import operator
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

HEALTHY = "--healthy"
"""What tells the process that publishes to leave the trouble out."""
FIRST_BURST_SECONDS = 20.0
BURST_EVERY_SECONDS = 180.0
BURST_SIZE = 50
BURST_GAP_SECONDS = 0.1
BURST_TASK = "shop.media.transcode"


@dataclass(frozen=True, slots=True)
class Publication:
    """One message: when, counted from the start of the load, and how it is published."""

    at_seconds: float
    task: str
    options: dict[str, Any] = field(default_factory=dict)
    # Revoked as soon as it is published.
    is_revoked: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """Steady traffic of one task: independent arrivals, so many a second on average."""

    task: str
    per_second: float
    priorities: tuple[int, ...] = ()
    countdown_seconds: tuple[float, float] | None = None
    expires_seconds: float | None = None
    revoked_share: float = 0.0
    at_most: int | None = None
    is_trouble: bool = False


STREAMS = (
    Stream("shop.orders.confirm", 4.0, priorities=(0, 3, 3, 6)),
    Stream("shop.mail.send", 4.0, priorities=(3, 3, 9)),
    Stream("shop.payments.charge", 2.0),
    Stream("shop.reports.render", 0.5),
    Stream("shop.mail.remind", 0.3, countdown_seconds=(10.0, 40.0), revoked_share=0.1),
    Stream("shop.media.transcode", 0.15),
    # Nobody wants to see one that comes late: behind a burst, most of them expire.
    Stream("shop.media.preview", 0.15, expires_seconds=20.0),
    # Nobody consumes its queue. That should be seen, not fill the memory.
    Stream("shop.archive.store", 0.2, at_most=1000, is_trouble=True),
)


def publications(seed: int, *, is_healthy: bool = False) -> Iterator[Publication]:
    """Yield without end what is to be published, in the order of time; if healthy, no trouble."""
    streams = [stream for stream in STREAMS if not (is_healthy and stream.is_trouble)]
    # One source of chance for each stream: a change to one leaves the others as they were.
    steady = [_arrivals(stream, random.Random(f"{seed} {stream.task}")) for stream in streams]  # noqa: S311
    bursts = () if is_healthy else _bursts()
    return heapq.merge(*steady, bursts, key=operator.attrgetter("at_seconds"))


def _arrivals(stream: Stream, chance: random.Random) -> Iterator[Publication]:
    counted = itertools.count() if stream.at_most is None else range(stream.at_most)
    at_seconds = 0.0
    for _ in counted:
        at_seconds += chance.expovariate(stream.per_second)
        is_revoked = chance.random() < stream.revoked_share
        yield Publication(at_seconds, stream.task, _options(stream, chance), is_revoked)


def _options(stream: Stream, chance: random.Random) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if stream.priorities:
        options["priority"] = chance.choice(stream.priorities)
    if stream.countdown_seconds:
        options["countdown"] = chance.uniform(*stream.countdown_seconds)
    if stream.expires_seconds:
        options["expires"] = stream.expires_seconds
    return options


def _bursts() -> Iterator[Publication]:
    for start in itertools.count(FIRST_BURST_SECONDS, BURST_EVERY_SECONDS):
        for number in range(BURST_SIZE):
            yield Publication(start + number * BURST_GAP_SECONDS, BURST_TASK)
