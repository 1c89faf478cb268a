"""Who may have a series: limits per label and over all, so that no input grows the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

OVERFLOW = "__overflow__"
# The exporter's own families, and one tally, queue and worker under __overflow__.
RESERVED_SERIES = 200
LOOK_FOR_ROOM_EVERY_SECONDS = 1.0

Reclaim = Callable[[int, float], None]
"""Gives back series of what is gone; takes how many are needed, and the monotonic time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many values each label may take, how many series and tracked task ids there may be."""

    tasks: int = 500
    workers: int = 500
    queues: int = 200
    exceptions: int = 100
    beat_entries: int = 500
    series: int = 20_000
    tracked_tasks: int = 50_000


class SeriesBudget:
    """How many series are taken; what is gone gives way before anything living is refused."""

    __slots__ = ("_limit", "_looked_mono", "_overflows", "_taken", "reclaims")

    def __init__(self, limit: int, overflows: Counter[str]) -> None:
        self._limit = limit - RESERVED_SERIES
        self._overflows = overflows
        self._taken = 0
        self._looked_mono = float("-inf")
        self.reclaims: list[Reclaim] = []
        overflows["series"] += 0

    @property
    def room(self) -> int:
        return max(0, self._limit - self._taken)

    def take(self, series: int, now_mono: float) -> bool:
        """Return whether *series* more were to be had; a refusal is counted."""
        if self.room < series:
            self.make_room(series, now_mono)
        if self.room < series:
            self._overflows["series"] += 1
            return False
        self._taken += series
        return True

    def give_back(self, series: int) -> None:
        self._taken -= series

    def make_room(self, series: int, now_mono: float) -> None:
        """Drop what is gone. It is looked for at most once a second, however many ask."""
        if now_mono - self._looked_mono >= LOOK_FOR_ROOM_EVERY_SECONDS:
            self._looked_mono = now_mono
            for reclaim in self.reclaims:
                reclaim(series, now_mono)


class Admission:
    """The values one label has taken, each with the series it alone stands for."""

    __slots__ = ("_admitted", "_budget", "_label", "_limit", "_overflows", "_series_each")

    def __init__(
        self,
        label: str,
        limit: int,
        overflows: Counter[str],
        budget: SeriesBudget,
        series_each: int = 0,
    ) -> None:
        self._label = label
        self._limit = limit
        self._overflows = overflows
        self._budget = budget
        self._series_each = series_each
        self._admitted: set[str] = set()
        overflows[label] += 0

    def __contains__(self, value: object) -> bool:
        return value in self._admitted

    def admit(self, value: str, now_mono: float) -> str:
        """Return *value* if it may stand on the page, else ``__overflow__``, which is counted."""
        if value in self._admitted or value == OVERFLOW:
            return value
        if len(self._admitted) >= self._limit:
            self._budget.make_room(self._series_each, now_mono)
        is_over = len(self._admitted) >= self._limit
        if is_over or not self._budget.take(self._series_each, now_mono):
            self._overflows[self._label] += 1
            return OVERFLOW
        self._admitted.add(value)
        return value

    def shown(self, value: str) -> str:
        """Return *value* as it stands on the page now, without asking for room."""
        return value if value in self._admitted else OVERFLOW

    def keep_only(self, values: AbstractSet[str]) -> None:
        """Release every value that is not among *values*."""
        released = self._admitted - values
        self._admitted -= released
        self._budget.give_back(self._series_each * len(released))
