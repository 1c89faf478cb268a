"""Counts kept by others, added up over their restarts so that the sum never goes back."""

from __future__ import annotations

INCARNATIONS_REMEMBERED = 8


class Cumulative:
    """The sum of what each incarnation (process id) of one worker says it has counted.

    The first incarnation counts whole, so that the sum survives a restart of the exporter.
    Two workers that share a name are two incarnations side by side.
    """

    __slots__ = ("_last", "total")

    def __init__(self) -> None:
        self.total: float | None = None
        self._last: dict[int, float] = {}

    def note(self, incarnation: int, value: float) -> bool:
        """Take *value* from *incarnation*; return whether it has begun anew under the same id."""
        last = self._last.pop(incarnation, 0)
        has_begun_anew = value < last
        self.total = (self.total or 0) + (value if has_begun_anew else value - last)
        self._last[incarnation] = value
        if len(self._last) > INCARNATIONS_REMEMBERED:
            del self._last[next(iter(self._last))]
        return has_begun_anew
