"""When was who scraped? Resolution, gaps, and which exporters stood in for each other.

A target is one exporter as Prometheus labels it. Targets that differ only in the labels of a
replica watch the same broker: while they run side by side each of them counts everything, so the
greatest counts; where one followed another, as after a move to a new address, each has its part.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from statistics import median

from celeriac.clients.prometheus_answers import Labels, Milliseconds, Span

# Labels that tell the series of one page apart; all the others are the target's.
SERIES_LABELS = frozenset({"task", "queue", "reason", "exception", "le", "worker", "outcome"})
# Labels that tell the replicas of one exporter, or of one Prometheus, apart.
REPLICA_LABELS = frozenset(
    {"instance", "pod", "node", "host", "hostname", "replica", "prometheus_replica"}
)
# Scrapes are late now and then; one that is missing makes the step twice as long.
GAP_STEPS = 2.5
MANY_SERIES = 1 << 15


@lru_cache(MANY_SERIES)
def target_of(labels: Labels) -> Labels:
    """Return whose series this is."""
    return frozenset(pair for pair in labels if pair[0] not in SERIES_LABELS)


@lru_cache(MANY_SERIES)
def cluster_of(target: Labels) -> Labels:
    """Return what a target has in common with its replicas."""
    return frozenset(pair for pair in target if pair[0] not in REPLICA_LABELS)


class Scrapes:
    """The times of each target's samples, ascending."""

    def __init__(self, times: Mapping[Labels, Sequence[Milliseconds]]) -> None:
        self._times = times

    def resolution_ms(self) -> Milliseconds | None:
        """Return the usual time between two samples, None if no target has two."""
        steps = [
            median(later - earlier for earlier, later in pairwise(times))
            for times in self._times.values()
            if len(times) > 1
        ]
        return round(min(steps)) if steps else None

    def is_silent(self, target: Labels, span: Span) -> bool:
        """Return True if the target has no sample strictly inside."""
        times = self._times.get(target, ())
        return bisect_right(times, span.start) >= bisect_left(times, span.end)

    def gaps(self, span: Span) -> list[Span]:
        """Return the times in which nobody was scraped who watches a certain broker."""
        longest = GAP_STEPS * (self.resolution_ms() or 0)
        clusters = self._by_cluster() or {frozenset(): []}
        found = (
            Span(earlier, later)
            for targets in clusters.values()
            for earlier, later in pairwise([span.start, *self._inside(targets, span), span.end])
            if later - earlier > longest
        )
        return sorted(set(found))

    def shifts(self, span: Span) -> Mapping[Labels, int]:
        """Return the number of each target's shift: those that ran side by side share one."""
        numbers: dict[Labels, int] = {}
        for targets in self._by_cluster().values():
            number, ends = 0, 0
            for first, last, target in sorted(
                self._lives(targets, span), key=lambda life: life[:2]
            ):
                number += first > ends
                ends = max(ends, last)
                numbers[target] = number
        return numbers

    def _by_cluster(self) -> Mapping[Labels, Sequence[Labels]]:
        def key(target: Labels) -> list[tuple[str, str]]:
            return sorted(cluster_of(target))

        ordered = sorted(self._times, key=key)
        return {frozenset(pairs): list(group) for pairs, group in groupby(ordered, key)}

    def _inside(self, targets: Iterable[Labels], span: Span) -> list[Milliseconds]:
        return sorted({time for target in targets for time in self._part(target, span)})

    def _lives(
        self, targets: Iterable[Labels], span: Span
    ) -> Iterator[tuple[Milliseconds, Milliseconds, Labels]]:
        for target in targets:
            times = self._part(target, span)
            if times:
                yield times[0], times[-1], target

    def _part(self, target: Labels, span: Span) -> Sequence[Milliseconds]:
        times = self._times[target]
        return times[bisect_right(times, span.start) : bisect_right(times, span.end)]
