"""A histogram with fixed buckets, cheap to observe and to copy."""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple


class HistogramView(NamedTuple):
    """A histogram at one moment; ``counts`` is per bucket, not cumulative, the last is +Inf."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


class Histogram:
    """Observations in seconds; a value equal to a bound falls into that bound's bucket."""

    __slots__ = ("bounds", "counts", "is_shown", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.is_shown = False

    def observe(self, value: float) -> None:
        """Add *value*; a negative one, the difference of two clocks, counts as 0."""
        self.counts[bisect_left(self.bounds, value)] += 1
        if value > 0:
            self.sum += value

    def view(self, *, is_truth: bool = False) -> HistogramView:
        """Return a copy, all 0 as long as nobody was shown a 0 unless it must be the truth."""
        if self.is_shown or is_truth:
            return HistogramView(self.bounds, tuple(self.counts), self.sum)
        return HistogramView(self.bounds, (0,) * len(self.counts), 0.0)
