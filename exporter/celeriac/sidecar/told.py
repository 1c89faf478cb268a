"""What one run of a worker was told: numbers of orders, in a few bytes however many there are."""

from __future__ import annotations

from collections.abc import Collection


class Told:
    """All orders up to a number, but for some."""

    def __init__(self, since_mono: float) -> None:
        self.since_mono = since_mono
        self._last = 0
        self._missing: set[int] = set()

    def lacks(self, number: int) -> bool:
        return number > self._last or number in self._missing

    def note(self, numbers: Collection[int]) -> None:
        """Take note that orders of these numbers were told."""
        last = max(numbers, default=0)
        if last > self._last:
            self._missing.update(range(self._last + 1, last))
            self._last = last
        self._missing.difference_update(numbers)

    def forget(self, number: int) -> None:
        """Take note that this one was not told after all."""
        if number <= self._last:
            self._missing.add(number)
