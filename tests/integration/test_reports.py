"""Reports from a real Prometheus and a real VictoriaMetrics are exactly what was recorded."""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from bisect import bisect_left
from collections.abc import Iterator

import msgspec
import pytest

from celeriac.clients import celery_history
from celeriac.clients.celery_history import Scope
from celeriac.clients.prometheus_answers import Span
from celeriac.clients.prometheus_api import PrometheusApi
from celeriac.clients.promql import selector
from celeriac.sidecar.report_shapes import PerformanceReport
from celeriac.sidecar.reports import make
from parts.history import (
    BOUNDS,
    HOUR_MS,
    STEP_MS,
    History,
    Tally,
    Target,
    Truth,
    back_fill,
    import_json,
)
from parts.prometheus import Prometheus
from parts.sidecar import Sidecar
from parts.victoria_metrics import VictoriaMetrics

IS_FULL = os.environ.get("CELERIAC_FULL") == "1"
# Most of it is making the history.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600 if IS_FULL else 300)]
WINDOW_HOURS = 24 if IS_FULL else 2
TASKS, QUEUES = (200, 20) if IS_FULL else (20, 5)
TICKS_PER_HOUR = HOUR_MS // STEP_MS
# An hour before the first window: a series' last sample may lie there.
TICKS = (2 * WINDOW_HOURS + 1) * TICKS_PER_HOUR
PIECE = 2 * TICKS_PER_HOUR
# Far from any sample, so that neither reading of a range's bounds matters.
PHASE_MS = 7_000
BURST_MINUTE = 37
REPORT_SECONDS = 60.0


def tick(hours: float) -> int:
    """Return the tick so many hours before the end."""
    return TICKS - round(hours * TICKS_PER_HOUR)


def made_history() -> History:
    """Everything that can happen to a counter, in the last window and in the one before."""
    now = int(time.time()) * 1000
    start = (now - TICKS * STEP_MS) // (2 * HOUR_MS) * 2 * HOUR_MS - 2 * HOUR_MS
    end = start + TICKS * STEP_MS - PHASE_MS
    length = WINDOW_HOURS * HOUR_MS
    windows = [(end - 2 * length, end - length), (end - length, end)]
    main = Target(
        "exporter-1:9808",
        restarts=frozenset({tick(0.4), tick(1.3), tick(WINDOW_HOURS + 0.6)}),
        # Over the start of the last window, and a short one inside it.
        away=[
            range(tick(WINDOW_HOURS + 0.1), tick(WINDOW_HOURS - 0.1)),
            range(tick(1), tick(0.95)),
        ],
    )
    spare = Target("exporter-2:9808", 4_321, first=tick(1.5), restarts=frozenset({tick(0.7)}))
    targets = [main] if IS_FULL else [main, spare]
    history = History(start, targets, made_tallies(), Truth(windows))
    burst_ms = windows[-1][0] + BURST_MINUTE * 60_000
    first = (burst_ms - start) // STEP_MS + 1
    history.bursts = frozenset(range(first, first + 60_000 // STEP_MS))
    return history


def made_tallies() -> list[Tally]:
    tallies = [
        Tally(f"shop.tasks.t{n}", f"queue-{n % QUEUES}", median_seconds=0.2 * (1 + n % 7))
        for n in range(TASKS)
    ]
    tallies[1].born = tick(0.7)
    tallies[2].dies = tick(0.8)
    tallies[3].reborn = frozenset({tick(0.5), tick(WINDOW_HOURS + 0.3)})
    tallies[4].born, tallies[4].dies = tick(1.2), tick(0.3)
    tallies[5].task = 'x"} or up{a="'
    tallies[6].rate = 0
    # The same task on another queue.
    tallies[7].task = tallies[8].task
    return tallies


class Recorded:
    """A history in a server, and the report on its last window."""

    def __init__(self, url: str, history: History) -> None:
        self.url = url
        self.truth = history.truth
        self.window = Span(*history.truth.windows[-1])
        began = time.monotonic()
        self.report = self.ask(Scope(job="celeriac"))
        self.seconds = time.monotonic() - began

    def ask(self, scope: Scope) -> PerformanceReport:
        with PrometheusApi(self.url).reading(REPORT_SECONDS) as reading:
            readings = celery_history.read(reading, self.window, scope)
        return make(readings, scope, dt.datetime.now(dt.UTC))


@pytest.fixture(scope="module", params=["prometheus", "victoria-metrics"])
def recorded(request: pytest.FixtureRequest) -> Iterator[Recorded]:
    history = made_history()
    pieces = (range(first, min(first + PIECE, TICKS)) for first in range(0, TICKS, PIECE))
    if request.param == "prometheus":
        server = Prometheus([])
        for ticks in pieces:
            back_fill(history.piece(ticks), server.folder)
        with server:
            yield Recorded(server.url, history)
        return
    with VictoriaMetrics() as database:
        for ticks in pieces:
            import_json(history.piece(ticks), database.url)
        database.flush()
        yield Recorded(database.url, history)


TOTALS = {
    "successful": "celery_task_succeeded_total",
    "failed": "celery_task_failed_total",
    "retried": "celery_task_retried_total",
    "revoked": "celery_task_revoked_total",
    "rejected": "celery_task_rejected_total",
}


@pytest.mark.parametrize("figure", TOTALS)
def test_totals_are_exactly_what_was_counted(recorded: Recorded, figure: str) -> None:
    truth = recorded.truth.total(TOTALS[figure])
    assert truth > 0
    assert getattr(recorded.report, f"{figure}_tasks") == truth


@pytest.mark.parametrize("figure", TOTALS)
def test_so_are_those_of_the_window_before(recorded: Recorded, figure: str) -> None:
    truth = recorded.truth.total(TOTALS[figure], window=0)
    assert getattr(recorded.report.comparison, f"{figure}_tasks") == truth


def test_so_are_those_of_every_task(recorded: Recorded) -> None:
    for row in recorded.report.tasks:
        found = {figure: getattr(row, figure) for figure in TOTALS}
        truth = {f: recorded.truth.total(name, task=row.task) for f, name in TOTALS.items()}
        assert found == truth, row.task


def test_so_are_the_exceptions(recorded: Recorded) -> None:
    found = {row.exception: row.count for row in recorded.report.top_exceptions}
    assert found == {
        name: recorded.truth.total("celery_task_exceptions_total", exception=name)
        for name in ("ValueError", "TimeoutError")
    }


def test_a_task_without_a_life_has_no_row(recorded: Recorded) -> None:
    assert "shop.tasks.t6" not in {row.task for row in recorded.report.tasks}


def test_the_best_minute_is_found(recorded: Recorded) -> None:
    report, truth = recorded.report, recorded.truth
    best = max(
        max(truth.minutes[instance, minute] for instance in ("exporter-1:9808", "exporter-2:9808"))
        for minute in range(WINDOW_HOURS * 60)
    )
    start = report.time_range.start + dt.timedelta(minutes=BURST_MINUTE)
    assert report.peak_throughput_at == start
    assert report.peak_throughput == pytest.approx(best / 60, abs=0.001)


@pytest.mark.parametrize("percentile", [50, 95, 99])
def test_percentiles_are_in_the_right_bucket(recorded: Recorded, percentile: int) -> None:
    runtimes = sorted(recorded.truth.runtimes)
    truth = runtimes[len(runtimes) * percentile // 100]
    found = getattr(recorded.report, f"p{percentile}_execution_time_ms") / 1000
    assert bisect_left(BOUNDS, found) == bisect_left(BOUNDS, truth)


def test_the_mean_is_that_of_the_runs(recorded: Recorded) -> None:
    runtimes = recorded.truth.runtimes
    truth = 1000 * sum(runtimes) / len(runtimes)
    assert recorded.report.avg_execution_time_ms == pytest.approx(truth, rel=0.02)


def test_gaps_and_resolution_are_told(recorded: Recorded) -> None:
    quality = recorded.report.data_quality
    assert quality.resolution_seconds == STEP_MS / 1000
    # The spare was scraped during the others.
    assert len(quality.gaps) == (4 if IS_FULL else 1)
    assert quality.gaps[0].start == recorded.report.time_range.start


def test_an_injected_name_is_a_name(recorded: Recorded) -> None:
    """It selects the task of that name, and one of a name like it selects nothing."""
    for task, rows in (('x"} or up{a="', 1), ('y"} or up{a="', 0)):
        report = recorded.ask(Scope(task=task))
        assert [row.task for row in report.tasks] == [task] * rows
        assert (report.peak_throughput is None) is (rows == 0)


def test_one_queue_is_told_apart(recorded: Recorded) -> None:
    report = recorded.ask(Scope(queue="queue-0"))
    assert [row.queue for row in report.queues] == ["queue-0"]
    name = "celery_task_succeeded_total"
    assert report.successful_tasks == recorded.truth.total(name, queue="queue-0")


@pytest.mark.parametrize(
    "text", ['"', "\\", "\n", "\0", "\x7f", "\u2028", "é", "\ud800", "{{}}", ".*"]
)
def test_any_text_is_a_literal(recorded: Recorded, text: str) -> None:
    selected = selector({"celery_task_succeeded_total"}, [("queue", text)], [text, "a"])
    with PrometheusApi(recorded.url).reading(REPORT_SECONDS) as reading:
        assert reading.begin("last", selected, recorded.window)() == []


def test_the_sidecar_answers_the_same(recorded: Recorded) -> None:
    span = recorded.report.time_range
    body = {"start": span.start.isoformat(), "end": span.end.isoformat()}
    extra = ["--report-timeout", str(REPORT_SECONDS)]
    with Sidecar(prometheus_url=recorded.url, extra=extra) as sidecar:
        report = sidecar.post("/monitoring/reports/performance", body, "viewer").json()
        document = sidecar.get(f"/monitoring/reports/{report['report_id']}", "viewer")
    own = {"report_id": recorded.report.report_id, "generated_at": report["generated_at"]}
    expected = json.loads(msgspec.json.encode(recorded.report)) | {
        "generated_at": own["generated_at"]
    }
    assert report | own == expected
    assert document.json() == report


def test_a_report_is_much_faster_than_fetching_the_samples(
    recorded: Recorded, record_property: pytest.RecordProperty
) -> None:
    """One family's samples are fetched, of the six whose totals the report has."""
    wide = Span(recorded.truth.windows[0][0], recorded.window.end)
    selected = selector({"celery_task_succeeded_total"}, [("job", "celeriac")])
    began = time.monotonic()
    api = PrometheusApi(recorded.url, max_answer_bytes=1 << 30)
    with api.reading(10 * REPORT_SECONDS) as reading:
        reading.begin("samples", selected, wide)()
    seconds = time.monotonic() - began
    record_property("report_seconds", round(recorded.seconds, 2))
    record_property("samples_seconds", round(seconds, 2))
    if IS_FULL:
        assert recorded.seconds < seconds * len(TOTALS)
