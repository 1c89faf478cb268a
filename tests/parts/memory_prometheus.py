"""A Prometheus in memory: answers the templates of queries, and counts what it gave."""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from celeriac.clients.prometheus_answers import Labels, Point, Series, Span
from celeriac.clients.resets import Key

STALE_MS = 300_000
_MATCHER = re.compile(r'(\w+)(=~|=)("(?:[^"\\]|\\.)*")')
_RANGES: Mapping[str, Callable[[Sequence[Point]], float]] = {
    "last": lambda points: points[-1][1],
    "mean": lambda points: sum(value for _, value in points) / len(points),
    "most": lambda points: max(value for _, value in points),
    "slope": lambda points: (points[-1][1] - points[0][1]) * 1000 / (points[-1][0] - points[0][0]),
}


def key(name: str, **labels: str) -> Key:
    """Return one series."""
    return Key(name, frozenset(labels.items()))


def gain(points: Iterable[Point], span: Span) -> float:
    """Return by brute force what a counter gained, as the contract of reports defines it."""
    ordered = [(None, 0.0), *points]
    return sum(
        after - before if after >= before else after
        for (_, before), (at, after) in pairwise(ordered)
        if at is not None and span.start < at <= span.end
    )


@dataclass
class MemoryPrometheus:
    """Answers what a ``Reading`` answers, from samples in memory.

    ``is_closed``: ranges take a sample on their left bound, as Prometheus 2 does.
    ``looks_before``: ``resets()`` also compares with the sample before the range.
    """

    samples: Mapping[Key, Sequence[Point]]
    is_closed: bool = True
    looks_before: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    points_read: int = 0

    def begin(self, template: str, selected: str, span: Span) -> Callable[[], list[Series]]:
        self.asked.append((template, selected))
        found = [self._one(template, key, points, span) for key, points in self._selected(selected)]
        answer = [series for series in found if series.points]
        if template == "samples":
            self.points_read += sum(len(series.points) for series in answer)
        return lambda: answer

    def begin_samples(self, name: str, labels: Labels, span: Span) -> Callable[[], list[Series]]:
        matchers = ",".join(f"{label}={json.dumps(value)}" for label, value in labels)
        return self.begin("samples", f'{{__name__=~"{name}",{matchers}}}', span)

    def begin_steps(
        self, template: str, selected: str, span: Span, step: int
    ) -> Callable[[], list[Series]]:
        assert template == "sums"
        sums: dict[Labels, dict[int, float]] = {}
        for found, points in self._selected(selected):
            labels = frozenset(p for p in found.labels if p[0] not in {"task", "queue", "reason"})
            for at in range(span.start, span.end + 1, step):
                recent = self._range(points, Span(at - STALE_MS, at))
                if recent:
                    values = sums.setdefault(labels, {})
                    values[at] = values.get(at, 0.0) + recent[-1][1]
        return lambda: [
            Series("", labels, sorted(values.items())) for labels, values in sums.items()
        ]

    def _selected(self, selected: str) -> Iterable[tuple[Key, Sequence[Point]]]:
        matchers = [(n, op, json.loads(text)) for n, op, text in _MATCHER.findall(selected)]
        for key, points in self.samples.items():
            labels = {**dict(key.labels), "__name__": key.name}
            if all(
                re.fullmatch(text, labels.get(name, ""))
                if op == "=~"
                else labels.get(name, "") == text
                for name, op, text in matchers
            ):
                yield key, points

    def _one(self, template: str, key: Key, points: Sequence[Point], span: Span) -> Series:
        inside = self._range(points, span)
        if template == "samples":
            return Series(key.name, key.labels, inside)
        if not inside:
            return Series("", key.labels, [])
        if template == "resets":
            first = bisect_left(points, inside[0])
            compared = points[max(0, first - 1) : first] if self.looks_before else []
            count = sum(b[1] < a[1] for a, b in pairwise([*compared, *inside]))
            return Series("", key.labels, [(span.end, float(count))])
        name = key.name if template == "last" else ""
        return Series(name, key.labels, [(span.end, _RANGES[template](inside))])

    def _range(self, points: Sequence[Point], span: Span) -> Sequence[Point]:
        find = bisect_left if self.is_closed else bisect_right
        inf = float("inf")
        first = find(points, (span.start, -inf if self.is_closed else inf))
        return points[first : bisect_right(points, (span.end, inf))]
