"""Where in time did counters fall, and from which value?

``resets()`` tells how often each series fell. The samples of one such series tell when; the others
are looked at just there, because a restarted exporter resets all of them at once. It goes on with
the next series that fell more often than was found, until all are explained.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from celeriac.clients.prometheus_answers import Labels, Milliseconds, Point, Series, Span
from celeriac.clients.prometheus_api import Reading
from celeriac.clients.promql import selector
from celeriac.clients.scrapes import MANY_SERIES, Scrapes, target_of

MANY_TASKS = 100
STRADDLE_MS = 3_600_000
# What tells apart the series of one task on one queue within a family.
_PARTS = frozenset({"reason", "exception", "le"})


class Key(NamedTuple):
    """One series."""

    name: str
    labels: Labels


Fall: TypeAlias = tuple[Span, float]
"""Between which samples, and from which value."""
Falls: TypeAlias = Mapping[Key, Mapping[Milliseconds, float]]


@dataclass(frozen=True, slots=True)
class Families:
    """Names of counters: ``counted`` for themselves, ``companions`` that are reset with them.

    Companions are a task's histograms and exceptions on a queue: the exporter drops them with its
    counters.
    """

    counted: frozenset[str]
    companions: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        return self.counted | self.companions


def label(key: Key, name: str) -> str:
    """Return the value of one label, empty if there is none."""
    return next((value for label_name, value in key.labels if label_name == name), "")


class ResetSearch:
    """One search over one time."""

    def __init__(self, reading: Reading, families: Families, scrapes: Scrapes, span: Span) -> None:
        self._reading = reading
        self._families = families
        self._scrapes = scrapes
        self._span = span
        self._falls: dict[Key, dict[Milliseconds, float]] = defaultdict(dict)
        self._straddling: set[Key] = set()
        self._counts_straddling = False
        self._looked: set[tuple[Labels, Span]] = set()

    def falls(self, counts: Mapping[Key, int]) -> Falls:
        """Return the value before each fall by the time of the sample after it."""
        open_ones = {key: count for key, count in counts.items() if count}
        while open_ones:
            pilot, count = open_ones.popitem()
            spans = [self._keep(pilot, fall) for fall in _falls(self._samples(pilot))]
            if pilot in self._straddling:
                self._counts_straddling = count > len(self._falls[pilot])
            self._look_at(pilot, [span for span in spans if span], open_ones)
            open_ones = {k: n for k, n in open_ones.items() if n > self._explained(k)}
        return self._falls

    def _explained(self, key: Key) -> int:
        """Return how many of the falls that ``resets()`` counts are found.

        VictoriaMetrics also counts one from the last sample before the range to the first in it.
        """
        is_one_more = key in self._straddling and self._counts_straddling
        return len(self._falls.get(key, ())) + is_one_more

    def _keep(self, key: Key, fall: Fall) -> Span | None:
        """Keep a fall inside, and return where it was; None if it was before."""
        span, before = fall
        if span.end <= self._span.start:
            return None
        if span.start < self._span.start:
            self._straddling.add(key)
        else:
            self._falls[key][span.end] = before
        return span

    def _samples(self, key: Key) -> Sequence[Point]:
        wide = Span(self._span.start - STRADDLE_MS, self._span.end)
        found = self._reading.begin_samples(key.name, key.labels, wide)()
        return next((series.points for series in found if series.labels == key.labels), ())

    def _look_at(self, pilot: Key, spans: Iterable[Span], open_ones: Iterable[Key]) -> None:
        """Find the falls of all series of the pilot's target between two of its samples."""
        target = target_of(pilot.labels)
        new = [span for span in spans if (target, span) not in self._looked]
        tasks = {label(key, "task") for key in (pilot, *open_ones)}
        pending = [
            self._reading.begin(
                "samples",
                selector(self._families.names, target, self._choice(tasks, pilot, span)),
                # One more, so that the earlier sample lies inside wherever ranges are open.
                Span(span.start - 1, span.end),
            )
            for span in new
        ]
        self._looked.update((target, span) for span in new)
        for read in pending:
            self._take(read())

    def _choice(self, tasks: set[str], pilot: Key, span: Span) -> Iterable[str] | None:
        own = label(pilot, "task")
        if own and not self._scrapes.is_silent(target_of(pilot.labels), span):
            # Only this task's series were away, perhaps for long: those of all are too many.
            return {own}
        return None if "" in tasks or len(tasks) > MANY_TASKS else tasks

    def _take(self, found: Sequence[Series]) -> None:
        times: dict[Labels, set[Milliseconds]] = defaultdict(set)
        for series in found:
            if series.name in self._families.counted:
                key = Key(series.name, series.labels)
                kept = [self._keep(key, fall) for fall in _falls(series.points)]
                times[_tally(series.labels)].update(span.end for span in kept if span)
        for series in found:
            if series.name in self._families.companions:
                key = Key(series.name, series.labels)
                for fall in _falls(series.points, times[_tally(series.labels)]):
                    self._keep(key, fall)


def _falls(points: Sequence[Point], reset_at: Container[Milliseconds] = ()) -> list[Fall]:
    """Return where the value fell, or was reset as others show."""
    return [
        (Span(earlier, later), before)
        for (earlier, before), (later, after) in pairwise(points)
        if after < before or later in reset_at
    ]


@lru_cache(MANY_SERIES)
def _tally(labels: Labels) -> Labels:
    return frozenset(pair for pair in labels if pair[0] not in _PARTS)
