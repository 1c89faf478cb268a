"""Many durations as three figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median, quantiles

from bench.figures import Figure

P50, P99, MAX = "p50", "p99", "max"


def spread(scenario: str, consumer: str, milliseconds: Sequence[float]) -> Iterator[Figure]:
    """Yield median, 99th percentile and maximum."""
    yield Figure(scenario, consumer, P50, median(milliseconds), "ms")
    yield Figure(scenario, consumer, P99, p99(milliseconds), "ms")
    yield Figure(scenario, consumer, MAX, max(milliseconds), "ms")


def p99(values: Sequence[float]) -> float:
    """Return the 99th percentile, within the values however few they are."""
    return quantiles(values, n=100, method="inclusive")[-1]
