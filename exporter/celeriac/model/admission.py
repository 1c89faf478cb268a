"""Who may have a series: limits per label and over all, so that no input grows the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

OVERFLOW = "__overflow__"


def printable(value: str) -> str:
    """Return *value* as it can be written in UTF-8: a lone surrogate cannot."""
    return value.encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class Limits:
    """How many values each label may take, how many series and tracked task ids there may be."""

    tasks: int = 500
    workers: int = 500
    queues: int = 200
    exceptions: int = 100
    series: int = 20_000
    tracked_tasks: int = 50_000


class Admission:
    """The values one label has taken, at most *limit* of them."""

    __slots__ = ("_admitted", "_label", "_limit", "_overflows")

    def __init__(self, label: str, limit: int, overflows: Counter[str]) -> None:
        self._label = label
        self._limit = limit
        self._overflows = overflows
        self._admitted: dict[str, str] = {}
        overflows[label] += 0

    def __contains__(self, value: str) -> bool:
        return value in self._admitted

    @property
    def is_full(self) -> bool:
        return len(self._admitted) >= self._limit

    def admit(self, value: str) -> str:
        """Return *value* as it may stand on the page, ``__overflow__`` if it may not."""
        known = self._admitted.get(value)
        if known is not None:
            return known
        if self.is_full:
            self._overflows[self._label] += 1
            return OVERFLOW
        self._admitted[value] = shown = printable(value)
        return shown

    def shown(self, value: str) -> str:
        """Return *value* as it stands on the page now, without asking for room."""
        return self._admitted.get(value, OVERFLOW)

    def keep_only(self, values: AbstractSet[str]) -> None:
        """Release every value that is not among *values*."""
        self._admitted = {raw: shown for raw, shown in self._admitted.items() if raw in values}


class SeriesBudget:
    """How many series there are, by whom they were taken; refuses what would go over *limit*."""

    __slots__ = ("_limit", "_overflows", "_taken")

    def __init__(self, limit: int, overflows: Counter[str]) -> None:
        self._limit = limit
        self._overflows = overflows
        self._taken: Counter[str] = Counter()
        overflows["series"] += 0

    @property
    def taken(self) -> int:
        return self._taken.total()

    @property
    def room(self) -> int:
        return max(0, self._limit - self.taken)

    def has_room_for(self, series: int) -> bool:
        return self.taken + series <= self._limit

    def take(self, holder: str, series: int) -> bool:
        """Return whether *holder* got *series* more; a refusal is counted."""
        if not self.has_room_for(series):
            self._overflows["series"] += 1
            return False
        self._taken[holder] += series
        return True

    def give_back(self, holder: str, series: int) -> None:
        self._taken[holder] -= series
