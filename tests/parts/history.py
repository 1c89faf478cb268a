"""Made-up histories of what exporters showed, sample by sample, and the truth about them.

The truth is kept by the definition, one step after the other, while the samples are made: the sum
of the steps between consecutive samples whose later one lies inside the window, a drop counting as
a reset to 0, and a series that begins inside counting from 0.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

import requests

from parts.presence import require

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

STEP_MS = 15_000
HOUR_MS = 3_600_000
BOUNDS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
COUNTERS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("celery_task_succeeded_total", {}),
    ("celery_task_failed_total", {}),
    ("celery_task_retried_total", {}),
    ("celery_task_rejected_total", {}),
    ("celery_task_revoked_total", {"reason": "revoked"}),
    ("celery_task_revoked_total", {"reason": "terminated"}),
    ("celery_task_revoked_total", {"reason": "expired"}),
    ("celery_task_exceptions_total", {"exception": "ValueError"}),
    ("celery_task_exceptions_total", {"exception": "TimeoutError"}),
)
HISTOGRAMS = ("celery_task_runtime_seconds", "celery_task_queue_wait_seconds")
ENDS = (0, 1, 3, 4, 5, 6)
FAILED, EXCEPTIONS = 1, (7, 8)
Labels = tuple[tuple[str, str], ...]
Series = tuple[str, Labels]


@dataclass
class Target:
    """One exporter: when it was restarted, and when it was not scraped, in ticks."""

    instance: str
    offset_ms: int = 0
    first: int = 0
    restarts: frozenset[int] = frozenset()
    away: Sequence[range] = ()
    downtime: int = 2

    def is_down(self, tick: int) -> bool:
        return tick < self.first or any(0 <= tick - at < self.downtime for at in self.restarts)

    def is_scraped(self, tick: int) -> bool:
        return not self.is_down(tick) and not any(tick in ticks for ticks in self.away)


@dataclass
class Tally:
    """One task on one queue: when it is born, dies, and is forgotten and born again."""

    task: str
    queue: str
    born: int = 0
    dies: int = 1 << 40
    reborn: frozenset[int] = frozenset()
    rate: float = 1.0
    median_seconds: float = 0.3


@dataclass
class Truth:
    """What each series gained in each window, and all exporters together in each minute."""

    windows: Sequence[tuple[int, int]]
    gains: list[dict[Series, float]] = field(init=False)
    minutes: dict[tuple[str, int], float] = field(default_factory=lambda: defaultdict(float))
    """By exporter and number of the minute, of the last window."""
    runtimes: list[float] = field(default_factory=list)
    """What the first exporter saw in the last window."""
    _last: dict[Series, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gains = [defaultdict(float) for _ in self.windows]

    def take(self, series: Series, points: Sequence[tuple[int, float]], *, ends: bool) -> None:
        """Take the next samples of a series; *ends* says that it counts ends of tasks."""
        instance = dict(series[1])["instance"]
        for at, value in points:
            last = self._last.get(series, 0.0)
            step = value - last if value >= last else value
            self._last[series] = value
            for gains, (start, end) in zip(self.gains, self.windows, strict=True):
                if start < at <= end:
                    gains[series] += step
            start, end = self.windows[-1]
            if ends and start < at <= end:
                self.minutes[instance, (at - start - 1) // 60_000] += step

    def see(self, at: int, happened: Sequence[tuple[int, float, float]]) -> None:
        """Take what happened at some time."""
        start, end = self.windows[-1]
        if start < at <= end:
            self.runtimes += [runtime for place, runtime, _ in happened if place == 0]

    def total(self, name: str, window: int = -1, **equal: str) -> float:
        """Return what was gained by series of that name and labels: of exporters the greatest."""
        best: dict[Labels, float] = defaultdict(float)
        for (of, labels), gain in self.gains[window].items():
            if of == name and equal.items() <= dict(labels).items():
                own = tuple(pair for pair in labels if pair[0] != "instance")
                best[own] = max(best[own], gain)
        return sum(best.values())


class History:
    """Samples of all targets and tallies, piece by piece, the same for the same seed."""

    def __init__(
        self, start_ms: int, targets: Sequence[Target], tallies: Sequence[Tally], truth: Truth
    ) -> None:
        self.start_ms = start_ms
        self.targets = targets
        self.tallies = tallies
        self.truth = truth
        self.bursts: frozenset[int] = frozenset()
        self._random = random.Random(7)
        self._values: dict[tuple[int, int], list[float]] = {}

    def piece(self, ticks: range) -> dict[Series, list[tuple[int, float]]]:
        """Return the next samples of every series, and let the truth know."""
        found: dict[Series, list[tuple[int, float]]] = {}
        for number, tally in enumerate(self.tallies):
            events = [self._events(tally, tick) for tick in ticks]
            for place, target in enumerate(self.targets):
                rows = list(self._rows((number, place), ticks, events))
                if rows:
                    found.update(_columns(tally, target, rows))
        for series, points in found.items():
            is_end = series[0] in {COUNTERS[place][0] for place in ENDS}
            self.truth.take(series, points, ends=is_end)
        found.update(self._heartbeats(ticks))
        return found

    def _heartbeats(self, ticks: range) -> Iterator[tuple[Series, list[tuple[int, float]]]]:
        for target in self.targets:
            labels = (("instance", target.instance), ("job", "celeriac"))
            points = [(self._at(target, t), 3.0) for t in ticks if target.is_scraped(t)]
            if points:
                yield ("celery_active_workers", labels), points

    def _at(self, target: Target, tick: int) -> int:
        return self.start_ms + tick * STEP_MS + target.offset_ms

    def _events(self, tally: Tally, tick: int) -> list[tuple[int, float, float]]:
        """Return which counters count one up in this tick, with run time and wait."""
        if not tally.born <= tick < tally.dies:
            return []
        draw = self._random.random
        load = 40 if tick in self.bursts else 1
        return [self._event(tally) for _ in range(int(draw() * 2 * tally.rate * load + draw()))]

    def _event(self, tally: Tally) -> tuple[int, float, float]:
        place = self._random.choices(range(7), (900, 40, 30, 5, 10, 10, 5))[0]
        runtime = tally.median_seconds * self._random.lognormvariate(0, 1)
        return place, round(runtime, 6), round(self._random.expovariate(0.7), 6)

    def _rows(
        self,
        key: tuple[int, int],
        ticks: range,
        events: Sequence[Sequence[tuple[int, float, float]]],
    ) -> Iterator[tuple[int, list[float]]]:
        """Yield each sample of one tally at one target: its time and the values of all series."""
        tally, target = self.tallies[key[0]], self.targets[key[1]]
        counts = self._values.setdefault(key, _zeros())
        for tick, happened in zip(ticks, events, strict=True):
            if tick in target.restarts or tick in tally.reborn:
                counts[:] = _zeros()
            if target.is_down(tick) or not tally.born <= tick < tally.dies:
                continue
            for place, runtime, wait in happened:
                _count(counts, place, runtime, wait)
            if key[1] == 0:
                self.truth.see(self._at(target, tick), happened)
            if target.is_scraped(tick):
                yield self._at(target, tick), counts.copy()


def _zeros() -> list[float]:
    return [0.0] * (len(COUNTERS) + len(HISTOGRAMS) * (len(BOUNDS) + 2))


def _count(counts: list[float], place: int, runtime: float, wait: float) -> None:
    counts[place] += 1
    if place == FAILED:
        counts[EXCEPTIONS[runtime > 0.3]] += 1
    for number, seconds in enumerate((runtime, wait)):
        if number or place == 0:
            first = len(COUNTERS) + number * (len(BOUNDS) + 2)
            counts[first + bisect_left(BOUNDS, seconds)] += 1
            counts[first + len(BOUNDS) + 1] += seconds


def _columns(
    tally: Tally, target: Target, rows: Sequence[tuple[int, list[float]]]
) -> Iterator[tuple[Series, list[tuple[int, float]]]]:
    """Yield the series of one tally at one target."""
    shared = {"task": tally.task, "queue": tally.queue, "instance": target.instance}
    shared["job"] = "celeriac"

    def series(name: str, own: Mapping[str, str]) -> Series:
        return name, tuple(sorted({**shared, **own}.items()))

    for place, (name, own) in enumerate(COUNTERS):
        yield series(name, own), [(at, values[place]) for at, values in rows]
    for number, name in enumerate(HISTOGRAMS):
        first = len(COUNTERS) + number * (len(BOUNDS) + 2)
        last = first + len(BOUNDS)
        up_to = [(at, list(accumulate(values[first : last + 1]))) for at, values in rows]
        for place, bound in enumerate((*map(str, BOUNDS), "+Inf")):
            yield series(f"{name}_bucket", {"le": bound}), [(at, v[place]) for at, v in up_to]
        yield series(f"{name}_count", {}), [(at, values[-1]) for at, values in up_to]
        yield series(f"{name}_sum", {}), [(at, round(v[last + 1], 6)) for at, v in rows]


def back_fill(samples: Mapping[Series, Sequence[tuple[int, float]]], folder: Path) -> None:
    """Write samples as blocks of Prometheus' database."""
    require("prometheus")
    text = folder / "samples.openmetrics"
    with text.open("w") as out:
        out.writelines(_openmetrics(samples))
    command = [shutil.which("promtool") or "promtool", "tsdb", "create-blocks-from"]
    subprocess.run(
        [*command, "openmetrics", text, folder / "data"], check=True, capture_output=True
    )
    text.unlink()


def _openmetrics(samples: Mapping[Series, Sequence[tuple[int, float]]]) -> Iterator[str]:
    # Without types every name is a family of its own, and may have any suffix.
    for (name, labels), points in sorted(samples.items()):
        inside = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels)
        head = f"{name}{{{inside}}} "
        yield "".join(f"{head}{value} {at / 1000:.3f}\n" for at, value in points)
    yield "# EOF\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def import_json(samples: Mapping[Series, Sequence[tuple[int, float]]], url: str) -> None:
    """Write samples into a VictoriaMetrics."""
    lines = (
        json.dumps(
            {
                "metric": {"__name__": name, **dict(labels)},
                "timestamps": [at for at, _ in points],
                "values": [value for _, value in points],
            }
        )
        for (name, labels), points in samples.items()
    )
    requests.post(f"{url}/api/v1/import", "\n".join(lines), timeout=60).raise_for_status()
