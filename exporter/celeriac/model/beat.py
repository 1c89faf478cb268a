"""The schedule: how often each entry is to be sent, and when its task was last seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple

from celeriac.model.admission import SeriesBudget
from celeriac.model.facts import BeatEntry, Moment

SERIES_PER_ENTRY = 2
# Workers are asked for their schedule once a minute; three times it may fail.
STALE_AFTER_SECONDS = 180.0
# An entry that comes back within this time is not a new one.
FORGET_AFTER_SECONDS = 3600.0

_Key = tuple[str, str]


class BeatView(NamedTuple):
    """One entry at one moment; None is unknown. Instants are seconds since the epoch."""

    entry: str
    task: str
    interval_seconds: float
    last_seen_at: float | None


class _Memory:
    """When an entry's task was last seen, or the entry itself for the first time."""

    __slots__ = ("announced_at", "last_seen_at", "named_mono")

    def __init__(self, now: Moment) -> None:
        self.last_seen_at = now.wall
        self.named_mono = now.mono
        self.announced_at: float | None = None

    def note(self, announced_at: float | None, now: Moment) -> None:
        """Take the stamp of the latest event; the sender's clock may be ahead."""
        if announced_at is not None and announced_at != self.announced_at:
            self.announced_at = announced_at
            self.last_seen_at = max(self.last_seen_at, min(announced_at, now.wall))


class BeatBook:
    """The last sample of the schedule, replaced whole by the next one.

    What is kept, for an hour, is when each entry was seen: nothing is fresh because it is back.
    """

    def __init__(self, limit: int, budget: SeriesBudget, overflows: Counter[str]) -> None:
        self._limit = limit
        self._budget = budget
        self._overflows = overflows
        overflows["entry"] += 0
        self._intervals: dict[_Key, float] = {}
        self._memories: dict[_Key, _Memory] = {}
        self._sampled_mono = float("-inf")
        budget.reclaims.append(self._give_way)

    @property
    def tasks(self) -> frozenset[str]:
        """The tasks of all entries."""
        return frozenset(task for _, task in self._intervals)

    def replace(self, entries: Iterable[BeatEntry], now: Moment) -> None:
        """Replace everything; entries that were there before go before new ones."""
        named = {(entry.entry, entry.task): entry.interval_seconds for entry in entries}
        kept = self._intervals.keys() & named.keys()
        self._budget.give_back(SERIES_PER_ENTRY * (len(self._intervals) - len(kept)))
        self._intervals = {key: named[key] for key in kept}
        self._sampled_mono = now.mono
        for key in sorted(named.keys() - kept):
            if self._has_room(now.mono):
                self._intervals[key] = named[key]
            else:
                self._overflows["entry"] += 1
        self._remember(now)

    def views(
        self, announced: Mapping[str, float], admitted: Container[str], now: Moment
    ) -> list[BeatView]:
        """Return every entry; *announced* is when each task was last sent or received.

        Of a task that is not *admitted* nobody counts the events.
        """
        if self._is_stale(now.mono):
            return []
        self.note(announced, now)
        return [
            BeatView(
                entry,
                task,
                interval,
                self._memories[entry, task].last_seen_at if task in admitted else None,
            )
            for (entry, task), interval in sorted(self._intervals.items())
        ]

    def note(self, announced: Mapping[str, float], now: Moment) -> None:
        """Take when each task was last sent or received."""
        for key in self._intervals:
            self._memories[key].note(announced.get(key[1]), now)

    def _remember(self, now: Moment) -> None:
        known = {
            key: memory
            for key, memory in self._memories.items()
            if now.mono - memory.named_mono <= FORGET_AFTER_SECONDS
        }
        current: dict[_Key, _Memory] = {}
        for key in self._intervals:
            current[key] = known.pop(key) if key in known else _Memory(now)
            current[key].named_mono = now.mono
        # Of those that are gone the last ones: they stand in the order in which they went.
        self._memories = dict(list(known.items())[-self._limit :]) | current

    def _has_room(self, now_mono: float) -> bool:
        return len(self._intervals) < self._limit and self._budget.take(SERIES_PER_ENTRY, now_mono)

    def _is_stale(self, now_mono: float) -> bool:
        return now_mono - self._sampled_mono > STALE_AFTER_SECONDS

    def _give_way(self, _: int, now_mono: float) -> None:
        """Give the room back that entries take which are not shown any more."""
        if self._is_stale(now_mono):
            self._budget.give_back(SERIES_PER_ENTRY * len(self._intervals))
            self._intervals = {}
