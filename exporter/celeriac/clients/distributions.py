"""Gains of counters and histograms, added up by one of their labels."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from celeriac.clients.counters import Totals

MILLISECONDS = 1000


def ratio(part: float | None, whole: float | None, scale: float = 1.0) -> float | None:
    """Return part / whole * scale, None where there is no whole."""
    return None if part is None or not whole else round(part / whole * scale, 3)


def percent(part: float | None, whole: float | None) -> float | None:
    """Return how many percent of the whole a part is, None where there is no whole."""
    return ratio(part, whole, 100)


def rounded(value: float | None) -> float | None:
    """Return a number fit to be read, None as None."""
    return ratio(value, 1)


@dataclass(slots=True)
class Distribution:
    """What a histogram gained: observations, their sum, and how many up to each bound."""

    count: float = 0.0
    sum_seconds: float = 0.0
    up_to: dict[float, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, part: str, bound: str, gain: float) -> None:
        """Add the gain of one series: *part* is its suffix, *bound* its ``le``."""
        if part == "count":
            self.count += gain
        elif part == "sum":
            self.sum_seconds += gain
        else:
            self.up_to[float(bound)] += gain

    def mean_ms(self) -> float | None:
        return ratio(self.sum_seconds, self.count, MILLISECONDS)

    def quantile_ms(self, quantile: float) -> float | None:
        """Return it as ``histogram_quantile`` does: interpolated within its bucket."""
        rank = quantile * max(self.up_to.values(), default=0.0)
        lower, below = 0.0, 0.0
        for bound, count in sorted(self.up_to.items()):
            if count >= rank > 0:
                share = 0.0 if math.isinf(bound) else (rank - below) / (count - below)
                width = 0.0 if math.isinf(bound) else bound - lower
                return round((lower + width * share) * MILLISECONDS, 3)
            lower, below = bound, max(below, count)
        return None

    def execution_times(self) -> dict[str, Any]:
        """Return mean and percentiles by their names in a report."""
        percentiles = {f"p{p}_execution_time_ms": self.quantile_ms(p / 100) for p in (50, 95, 99)}
        return {"avg_execution_time_ms": self.mean_ms(), **percentiles}


def distributions(totals: Totals, family: str, label: str = "") -> Mapping[str, Distribution]:
    """Return a histogram by the values of a label, without one under the empty string."""
    found: dict[str, Distribution] = defaultdict(Distribution)
    for part in ("count", "sum", "bucket"):
        for labels, gain in _rows(totals, f"{family}_{part}"):
            found[labels.get(label, "")].add(part, labels.get("le", ""), gain)
    return found


def by_label(totals: Totals, family: str, label: str, **equal: str) -> Mapping[str, int]:
    """Return a counter by the values of a label, 0 for others; *equal* are labels it must have."""
    found: dict[str, float] = defaultdict(float)
    for labels, gain in _rows(totals, family):
        if equal.items() <= labels.items():
            found[labels.get(label, "")] += gain
    return defaultdict(int, {value: round(gain) for value, gain in found.items()})


def whole(totals: Totals, family: str) -> int:
    """Return a counter over all labels."""
    return round(sum(totals.get(family, {}).values()))


def _rows(totals: Totals, family: str) -> Iterator[tuple[dict[str, str], float]]:
    return ((dict(labels), gain) for labels, gain in totals.get(family, {}).items())
