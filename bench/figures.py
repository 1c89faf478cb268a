"""What a run measures, and how several runs become one table."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

CELERIAC = "celeriac"
CELERY_EXPORTER = "celery-exporter"
FLOWER = "flower"
BARE = "bare reader"
# Of everything else (time, memory, loss) less is better.
UNITS_OF_WHICH_MORE_IS_BETTER = frozenset({"events/s", "requests/s"})
# What a page has is neither good nor bad.
UNITS_WITHOUT_RATIO = frozenset({"series"})


@dataclass(frozen=True)
class Figure:
    """One number of one run: which consumer did what in which scenario."""

    scenario: str
    consumer: str
    name: str
    value: float
    unit: str


@dataclass(frozen=True)
class Target:
    """A bound for Celeriac's median, or for how many times better it is than another's."""

    scenario: str
    name: str
    bound: float
    versus: str | None = None
    is_minimum: bool = False

    def sentence(self, unit: str) -> str:
        limit = "at least" if self.is_minimum else "at most"
        return f"{limit} {self.bound:,g} {f'x {self.versus}' if self.versus else unit}"


class Medians:
    """The medians of all runs, by scenario, figure and consumer."""

    def __init__(self, figures: Iterable[Figure]) -> None:
        values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        self.units: dict[tuple[str, str], str] = {}
        for figure in figures:
            values[figure.scenario, figure.name, figure.consumer].append(figure.value)
            self.units[figure.scenario, figure.name] = figure.unit
        self.values = {key: statistics.median(found) for key, found in values.items()}
        self.runs = {key: len(found) for key, found in values.items()}

    def of(self, scenario: str, name: str, consumer: str) -> float | None:
        return self.values.get((scenario, name, consumer))

    def ratio(self, scenario: str, name: str, consumer: str) -> float | None:
        """Return how many times better Celeriac is than *consumer*; None without both."""
        ours = self.of(scenario, name, CELERIAC)
        other = self.of(scenario, name, consumer)
        unit = self.units.get((scenario, name))
        if not ours or not other or unit in UNITS_WITHOUT_RATIO:
            return None
        return ours / other if unit in UNITS_OF_WHICH_MORE_IS_BETTER else other / ours

    def reached(self, target: Target) -> float | None:
        """Return what is compared with the bound; None if it was not measured."""
        if target.versus is None:
            return self.of(target.scenario, target.name, CELERIAC)
        return self.ratio(target.scenario, target.name, target.versus)


def is_met(target: Target, reached: float) -> bool:
    return reached >= target.bound if target.is_minimum else reached <= target.bound
