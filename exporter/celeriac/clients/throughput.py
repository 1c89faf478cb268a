"""The best minute: when did counters gain most, and how much?

The sum over all series at each minute is cheap, and tells the minute's gain unless a series was
reset, came or went in it. So the sums only say where to look: minutes are taken in the order of
what they promise, and counted from their samples until no other promises more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

from celeriac.clients.prometheus_answers import Labels, Milliseconds, Point, Span
from celeriac.clients.prometheus_api import Reading
from celeriac.clients.promql import selector
from celeriac.clients.scrapes import cluster_of, target_of

MINUTE_MS = 60_000
# A step longer than this has no minute; one longer than a minute counts in part.
LONGEST_STEP_MS = 5 * MINUTE_MS
MINUTE_SECONDS = 60
MAX_LOOKS = 40
LOOKS_AT_ONCE = 4


class Minute(NamedTuple):
    """A minute, or what is left of one at the end of a window, and what was gained in it."""

    span: Span
    gain: float

    @property
    def per_second(self) -> float:
        return self.gain * 1000 / max(1, self.span.end - self.span.start)


class BestMinute:
    """The best minute of a window, counted from its start; the query begins at once."""

    def __init__(
        self,
        reading: Reading,
        names: frozenset[str],
        equal: Iterable[tuple[str, str]],
        window: Span,
    ) -> None:
        self._reading = reading
        self._equal = tuple(equal)
        self._names = names
        self._window = window
        self._sums = [
            reading.begin_steps("sums", selector({name}, self._equal), window, MINUTE_MS)
            for name in sorted(names)
        ]

    def find(self) -> Minute | None:
        """Return it, the earliest of several, None if nothing was gained."""
        if not self._names:
            return None
        tail = (self._window.end - self._window.start) % MINUTE_MS
        best = self._begin_count(Span(self._window.end - tail, self._window.end))()
        hopes = sorted(self._hopes().items(), key=lambda hope: (-hope[1], hope[0]))[:MAX_LOOKS]
        while hopes and hopes[0][1] > best.per_second * MINUTE_SECONDS:
            some, hopes = hopes[:LOOKS_AT_ONCE], hopes[LOOKS_AT_ONCE:]
            counts = [self._begin_count(Span(end - MINUTE_MS, end)) for end, _ in some]
            for count in counts:
                best = _better(best, count())
        return best if best.gain else None

    def _hopes(self) -> Mapping[Milliseconds, float]:
        """Return, by the end of a minute, what may have been gained in it."""
        hopes: dict[Labels, dict[Milliseconds, float]] = defaultdict(lambda: defaultdict(float))
        for pending in self._sums:
            for series in pending():
                hope = hopes[target_of(series.labels)]
                known = dict(series.points)
                for end in range(self._window.start + MINUTE_MS, self._window.end + 1, MINUTE_MS):
                    hope[end] += abs(known.get(end, 0.0) - known.get(end - MINUTE_MS, 0.0))
        return _together(hopes)

    def _begin_count(self, span: Span) -> Callable[[], Minute]:
        """Begin to count a minute from its samples."""
        if span.start == span.end:
            return lambda: Minute(span, 0.0)
        wide = Span(span.start - LONGEST_STEP_MS, span.end)
        pending = self._reading.begin("samples", selector(self._names, self._equal), wide)

        def count() -> Minute:
            gains: dict[Labels, dict[Milliseconds, float]] = defaultdict(lambda: {span.end: 0.0})
            for series in pending():
                gains[target_of(series.labels)][span.end] += _gain(series.points, span)
            return Minute(span, _together(gains).get(span.end, 0.0))

        return count


def _gain(points: Iterable[Point], span: Span) -> float:
    """Return the steps that end inside, of one longer than a minute its share of a minute."""
    return sum(
        (after - before if after >= before else after) * min(1, MINUTE_MS / (later - earlier))
        for (earlier, before), (later, after) in pairwise(points)
        if span.start < later <= span.end
    )


def _together(
    by_target: Mapping[Labels, Mapping[Milliseconds, float]],
) -> Mapping[Milliseconds, float]:
    """Return the greatest of replicas and the sum of clusters."""
    clusters: dict[Labels, dict[Milliseconds, float]] = defaultdict(dict)
    total: dict[Milliseconds, float] = defaultdict(float)
    for target, gains in by_target.items():
        best = clusters[cluster_of(target)]
        for at, gain in gains.items():
            best[at] = max(best.get(at, 0.0), gain)
    for gains in clusters.values():
        for at, gain in gains.items():
            total[at] += gain
    return total


def _better(one: Minute, other: Minute) -> Minute:
    key = (one.per_second, -one.span.start), (other.per_second, -other.span.start)
    return other if key[1] > key[0] else one
