"""How long a performance report takes: 200 tasks on 20 queues, scraped every 15 s by a Prometheus.

The history is as long as the report's window and the one before it, with three restarts of the
exporter; the total of every report is compared with what was made up.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from bench.counts import check
from bench.figures import CELERIAC, Figure, Target
from bench.stage import Stage
from parts import history
from parts.history import HOUR_MS, STEP_MS, History, Series, Tally, Truth, back_fill
from parts.prometheus import Prometheus
from parts.sidecar import Sidecar

NAME = "report"
FIRST, AGAIN = "the first", "again"
TARGETS = (Target(NAME, FIRST, 3_000), Target(NAME, AGAIN, 3_000))
TASKS, QUEUES = 200, 20
HOURS, SHORT_HOURS = 24, 2
TICKS_PER_HOUR = HOUR_MS // STEP_MS
PIECE = 2 * TICKS_PER_HOUR
REPEATS = 5
TIMEOUT = ["--report-timeout", "60"]
SUCCEEDED = "celery_task_succeeded_total"


class Successes(Truth):
    """The truth about one counter; about all of them it would take as long as the history."""

    def take(self, series: Series, points: Sequence[tuple[int, float]], *, ends: bool) -> None:
        if series[0] == SUCCEEDED:
            super().take(series, points, ends=ends)

    def see(self, at: int, happened: Sequence[tuple[int, float, float]]) -> None:
        pass


def measure(stage: Stage) -> Iterator[Figure]:
    """Yield milliseconds: of the first report after Prometheus began, and the median of more."""
    hours = HOURS if stage.is_full else SHORT_HOURS
    server = Prometheus([])
    stage.say(f"{NAME}: makes {2 * hours} h of history")
    truth = fill(server.folder, hours)
    with server, Sidecar(prometheus_url=server.url, extra=TIMEOUT) as sidecar:
        stage.say(f"{NAME}, {hours} h")
        first, *others = (_milliseconds(sidecar, truth) for _ in range(1 + REPEATS))
    yield Figure(NAME, CELERIAC, FIRST, first, "ms")
    yield Figure(NAME, CELERIAC, AGAIN, median(others), "ms")


def fill(folder: Path, hours: int) -> Truth:
    """Write a history that has just ended into Prometheus' *folder*, and return its truth."""
    ticks = 2 * hours * TICKS_PER_HOUR
    # Prometheus' blocks begin every two hours: others would be compacted while it is asked.
    end = int(time.time() * 1000) // (2 * HOUR_MS) * 2 * HOUR_MS
    start = end - ticks * STEP_MS
    restarts = frozenset(ticks - round(share * ticks) for share in (0.02, 0.3, 0.7))
    target = history.Target("exporter:9808", restarts=restarts)
    tallies = [Tally(f"shop.tasks.t{n}", f"queue-{n % QUEUES}") for n in range(TASKS)]
    # Half a step from any sample: it does not matter on which side ranges are closed.
    window = end - hours * HOUR_MS - STEP_MS // 2, end - STEP_MS // 2
    made = History(start, [target], tallies, Successes([window]))
    for first in range(0, ticks, PIECE):
        back_fill(made.piece(range(first, min(first + PIECE, ticks))), folder)
    return made.truth


def _milliseconds(sidecar: Sidecar, truth: Truth) -> float:
    start, end = (dt.datetime.fromtimestamp(at / 1000, dt.UTC) for at in truth.windows[-1])
    body = {"start": start.isoformat(), "end": end.isoformat()}
    began = time.perf_counter()
    report = sidecar.post("/monitoring/reports/performance", body, "viewer").json()
    took = (time.perf_counter() - began) * 1000
    counted = Counter(succeeded=report["successful_tasks"])
    check(CELERIAC, counted, Counter(succeeded=round(truth.total(SUCCEEDED))))
    return took
