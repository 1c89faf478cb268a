"""What counters gained, exact to what was counted.

The gain of a series in a window is the sum of the steps between consecutive samples whose later
one lies inside, a drop counting as a reset to 0, and a series that begins inside counting from 0.
``increase()`` would extrapolate, and all samples of a day are too many to fetch. So:

    gain = last value at the end - last value at the start + values before each reset

The first two are one cheap query for all series; ``resets.py`` finds the third. Nothing depends on
whether a range is closed on its left (Prometheus 2) or open (Prometheus 3, VictoriaMetrics).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from celeriac.clients.prometheus_answers import Labels, Milliseconds, Series, Span
from celeriac.clients.prometheus_api import Pending, Reading
from celeriac.clients.promql import selector
from celeriac.clients.resets import Falls, Families, Key, ResetSearch, label
from celeriac.clients.scrapes import Scrapes, cluster_of, target_of

MINUTE_MS = 60_000
# Where the last sample before a moment is looked for at first ...
NEAR_MS = 10 * MINUTE_MS
# ... then, for a series that is not there, and at last as far back as anything is looked at.
FARTHER_MS = (60 * MINUTE_MS, 1 << 60)
# At least so far before the last window.
LOOK_BACK_MS = 360 * MINUTE_MS
# On every page of the exporter's, once.
HEARTBEAT = "celery_active_workers"
PILOTS = 3

Totals: TypeAlias = Mapping[str, Mapping[Labels, float]]
"""By name and own labels."""


class CounterHistory:
    """Counters over adjacent windows, which *marks* bound: first ``moved``, then ``read``."""

    def __init__(
        self,
        reading: Reading,
        families: Families,
        equal: Iterable[tuple[str, str]],
        marks: Sequence[Milliseconds],
    ) -> None:
        """Take the labels in *equal* as those that every series must have."""
        self._reading = reading
        self._families = families
        self._equal = tuple(equal)
        self._marks = marks
        self._all = Span(min(marks[0] - FARTHER_MS[0], marks[-2] - LOOK_BACK_MS), marks[-1])
        self._counts = {name: self._begin("resets", {name}) for name in sorted(families.counted)}
        self._heartbeats = self._begin("samples", {HEARTBEAT})
        self._near = [
            self._begin("last", families.names, Span(mark - NEAR_MS, mark)) for mark in marks
        ]
        self._known: dict[Key, int] = {}
        self._ends: Sequence[Mapping[Key, float]] = ()

    def moved(self) -> frozenset[str]:
        """Return the counted families of which a series may have gained anything."""
        self._known = {
            Key(name, series.labels): int(series.points[0][1])
            for name, pending in self._counts.items()
            for series in pending()
        }
        self._ends = self._values()
        first, *later = self._ends
        return frozenset(
            key.name
            for key, resets in self._known.items()
            if resets or any(end.get(key, 0.0) != first.get(key, 0.0) for end in later)
        )

    def read(self) -> tuple[Sequence[Mapping[Key, float]], Scrapes]:
        """Return, after ``moved``, each series' gains in each window, and who was scraped when."""
        scrapes = self._scrapes(self._ends)
        search = ResetSearch(self._reading, self._families, scrapes, self._all)
        falls = search.falls(self._known)
        windows = zip(pairwise(self._marks), pairwise(self._ends), strict=True)
        return [_gains(Span(*marks), *ends, falls) for marks, ends in windows], scrapes

    def _values(self) -> Sequence[Mapping[Key, float]]:
        """Return the last value of every series at each mark."""
        values = [_last(pending()) for pending in self._near]
        for reach_ms in FARTHER_MS:
            farther = [
                self._begin_farther(self._known.keys() - found.keys(), mark, reach_ms)
                for found, mark in zip(values, self._marks, strict=True)
            ]
            for found, pending_ones in zip(values, farther, strict=True):
                for pending in pending_ones:
                    found.update(_last(pending()))
        return values

    def _begin_farther(
        self, missing: Iterable[Key], mark: Milliseconds, reach_ms: Milliseconds
    ) -> list[Pending]:
        """Look for series that are not near the mark: gone, away for a while, or not born yet."""
        span = Span(max(self._all.start, mark - reach_ms), mark)
        tasks = {label(key, "task") for key in missing} - {""}
        of_tasks = {key.name for key in missing if label(key, "task")}
        others = {key.name for key in missing} - of_tasks
        pending = []
        if of_tasks:
            pending.append(self._begin("last", of_tasks | self._families.companions, span, tasks))
        return [*pending, self._begin("last", others, span)] if others else pending

    def _scrapes(self, values: Sequence[Mapping[Key, float]]) -> Scrapes:
        """Return the times of each target: those of its heartbeat, else of its longest series."""
        times: dict[Labels, set[Milliseconds]] = defaultdict(set)
        for series in self._heartbeats():
            times[target_of(series.labels)].update(at for at, _ in series.points)
        others: dict[Labels, list[Key]] = defaultdict(list)
        for key in sorted(self._known, key=lambda key: -sum(key in near for near in values)):
            others[target_of(key.labels)].append(key)
        pending = [
            (target, self._reading.begin_samples(key.name, key.labels, self._all))
            for target, keys in others.items()
            if target not in times
            for key in keys[:PILOTS]
        ]
        for target, read in pending:
            times[target].update(at for series in read() for at, _ in series.points)
        return Scrapes({target: sorted(found) for target, found in times.items()})

    def _begin(
        self,
        template: str,
        names: Iterable[str],
        span: Span | None = None,
        tasks: Iterable[str] | None = None,
    ) -> Pending:
        span = span or self._all
        return self._reading.begin(template, selector(names, self._equal, tasks), span)


def _last(found: Iterable[Series]) -> dict[Key, float]:
    return {Key(series.name, series.labels): series.points[-1][1] for series in found}


def _gains(
    window: Span, before: Mapping[Key, float], after: Mapping[Key, float], falls: Falls
) -> dict[Key, float]:
    gains = {}
    for key, value in after.items():
        lost = falls.get(key, {}).items()
        reset = sum(fallen for at, fallen in lost if window.start < at <= window.end)
        gain = value - before.get(key, 0.0) + reset
        # Only a companion can be less than it was: reset while none of its counters fell.
        gains[key] = gain if gain >= 0 else value
    return gains


def totals(gains: Mapping[Key, float], shifts: Mapping[Labels, int]) -> Totals:
    """Return what was gained by name and own labels, whoever counted it and however many did.

    Of replicas side by side the greatest, of those one after another and of clusters the sum.
    """
    best: dict[tuple[str, Labels, Labels, int], float] = defaultdict(float)
    for (name, labels), gain in gains.items():
        target = target_of(labels)
        place = name, labels - target, cluster_of(target), shifts.get(target, 0)
        best[place] = max(best[place], gain)
    total: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
    for (name, own, _, _), gain in best.items():
        total[name][own] += gain
    return total
