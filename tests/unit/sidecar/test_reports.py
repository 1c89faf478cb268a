"""POST /monitoring/reports/performance, and the reports that were saved."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from werkzeug.test import TestResponse

from celeriac.clients.prometheus_answers import (
    Point,
    PrometheusAnswerError,
    PrometheusError,
    PrometheusTooSlowError,
    PrometheusUnavailableError,
)
from celeriac.clients.resets import Key
from celeriac.sidecar import Frame, create_app
from celeriac.sidecar.auth import Gate, SharedSecret, TokenRules
from celeriac.sidecar.database import Database
from celeriac.sidecar.limits import RateLimit
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.report_store import ReportStore
from celeriac.sidecar.reports import ReportOptions, Reports
from celeriac.sidecar.routes import rows
from parts.memory_prometheus import MemoryPrometheus, key
from tokens import SECRET, bearer

URL = "/celery-admin/monitoring/reports"
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
GOOD = {"start": "2026-03-01T12:00:00Z", "end": "2026-03-01T13:00:00Z"}
STEP_MS = 15_000
CONTRACT = {
    "report_id", "generated_at", "time_range", "total_tasks", "successful_tasks", "failed_tasks",
    "retried_tasks", "revoked_tasks", "success_rate_percent", "avg_execution_time_ms",
    "p50_execution_time_ms", "p95_execution_time_ms", "p99_execution_time_ms",
    "avg_queue_wait_ms", "p95_queue_wait_ms", "peak_throughput", "peak_throughput_at", "tasks",
    "queues", "workers", "top_exceptions", "comparison", "optimization_recommendations",
    "data_quality",
}  # fmt: skip


def climb(per_step: float, at_first: float = 0.0) -> list[Point]:
    """Return samples of an hour and more before noon, and of the hour after it."""
    first = round((NOON - 1.5 * HOUR).timestamp() * 1000) + 1_000
    return [(first + tick * STEP_MS, float(at_first + per_step * tick)) for tick in range(600)]


def of(name: str, task: str = "shop.pay", **labels: str) -> Key:
    return key(name, task=task, queue="default", instance="one:9808", job="celeriac", **labels)


def gauge(name: str, **labels: str) -> Key:
    return key(name, instance="one:9808", job="celeriac", **labels)


SAMPLES = {
    of("celery_task_succeeded_total"): climb(9),
    of("celery_task_succeeded_total", 'x"} or up{a="'): climb(1),
    of("celery_task_failed_total"): climb(1),
    of("celery_task_exceptions_total", exception="ValueError"): climb(1),
    of("celery_task_runtime_seconds_bucket", le="0.5"): climb(9),
    of("celery_task_runtime_seconds_bucket", le="+Inf"): climb(9),
    of("celery_task_runtime_seconds_sum"): climb(2.25),
    of("celery_task_runtime_seconds_count"): climb(9),
    gauge("celery_active_workers"): climb(0, 2),
    gauge("celery_queue_length", queue="default"): climb(0, 4),
    gauge("celery_worker_up", worker="one@host"): climb(0, 1),
    gauge("celery_worker_active_tasks", worker="one@host"): climb(0, 3),
    gauge("celery_worker_pool_processes", worker="one@host"): climb(0, 4),
}


class FakePrometheus:
    """Has the samples, or the error."""

    def __init__(self) -> None:
        self.error: PrometheusError | None = None

    @contextmanager
    def reading(self, _timeout_seconds: float) -> Iterator[MemoryPrometheus]:
        if self.error:
            raise self.error
        yield MemoryPrometheus(SAMPLES)


class Scene:
    """An application with nothing but reports."""

    def __init__(self, folder: Path, options: ReportOptions | None = None) -> None:
        self.prometheus = FakePrometheus()
        self.path = folder / "sidecar.db"
        store = ReportStore(Database(f"sqlite:///{self.path}"))
        reports = Reports(
            self.prometheus, store, options or ReportOptions(), lambda: NOON + 2 * HOUR
        )  # type: ignore[arg-type]
        gate = Gate(SharedSecret(SECRET), TokenRules())
        frame = Frame(gate, SidecarMetrics(), RateLimit("1000000/second"), 1 << 20)
        self.client = create_app(rows(reports), frame).test_client()

    def post(self, body: object = GOOD, **headers: str) -> TestResponse:
        return self.client.post(f"{URL}/performance", json=body, headers=bearer("viewer") | headers)

    def get(self, path: str = "", **headers: str) -> TestResponse:
        return self.client.get(URL + path, headers=bearer("viewer") | headers)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def made(scene: Scene, body: object = GOOD) -> dict[str, Any]:
    answer = scene.post(body)
    assert answer.status_code == 200, answer.get_json()
    report: dict[str, Any] = answer.get_json()
    return report


def test_a_report_has_every_field_of_the_contract(scene: Scene) -> None:
    report = made(scene)
    assert set(report) >= CONTRACT
    assert set(report["data_quality"]) >= {"missed_events", "gaps", "resolution_seconds"}


def test_its_figures_are_those_of_the_samples(scene: Scene) -> None:
    report = made(scene)
    assert report["total_tasks"] == 240 * 11
    assert report["failed_tasks"] == 240
    assert report["success_rate_percent"] == pytest.approx(100 * 10 / 11, abs=0.001)
    assert report["avg_execution_time_ms"] == 250.0
    assert report["p50_execution_time_ms"] == 250.0
    assert report["peak_throughput"] == pytest.approx(11 / 15, abs=0.001)
    assert report["peak_throughput_at"] == "2026-03-01T12:00:00Z"
    assert report["data_quality"]["resolution_seconds"] == 15.0
    assert report["data_quality"]["gaps"] == []


def test_its_rows_are_those_of_the_samples(scene: Scene) -> None:
    report = made(scene)
    assert [(row["task"], row["total"]) for row in report["tasks"]] == [
        ("shop.pay", 2400),
        ('x"} or up{a="', 240),
    ]
    assert [(row["queue"], row["max_backlog"]) for row in report["queues"]] == [("default", 4.0)]
    assert [(row["worker"], row["busy_percent"]) for row in report["workers"]] == [
        ("one@host", 75.0)
    ]
    (raised,) = report["top_exceptions"]
    assert (raised["exception"], raised["count"]) == ("ValueError", 240)
    assert raised["tasks"] == {"shop.pay": 240}


def test_what_was_not_measured_is_null(scene: Scene) -> None:
    report = made(scene)
    assert report["avg_queue_wait_ms"] is None
    assert report["p95_queue_wait_ms"] is None


def test_it_is_compared_with_the_window_before(scene: Scene) -> None:
    before = made(scene)["comparison"]
    assert before["time_range"]["end"] == "2026-03-01T12:00:00Z"
    assert before["total_tasks"] == 240 * 11
    assert before["worse"] == []


@pytest.mark.parametrize(
    ("task", "total"), [('x"} or up{a="', 240), ('y"} or up{a="', 0), ("shop.pay", 2400)]
)
def test_a_task_is_chosen_by_its_name_and_nothing_else(scene: Scene, task: str, total: int) -> None:
    report = made(scene, GOOD | {"task": task})
    assert (report["task"], report["total_tasks"]) == (task, total)
    assert len(report["tasks"]) == (total > 0)


@pytest.mark.parametrize(
    "times",
    [
        {"start": "2026-03-01T13:00:00+01:00", "end": "2026-03-01T12:30:00Z"},
        {"start": "2026-03-01T12:00:00", "end": "2026-03-01T12:30:00"},
        {"start": "2026-03-01T12:00:00.000000", "end": "2026-03-01 12:30:00Z"},
    ],
)
def test_a_time_may_have_an_offset_or_none(scene: Scene, times: dict[str, str]) -> None:
    found = made(scene, times)["time_range"]
    assert found == {"start": "2026-03-01T12:00:00Z", "end": "2026-03-01T12:30:00Z"}


def test_without_an_offset_the_zone_is_the_configured_one(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ReportOptions(time_zone=ZoneInfo("Europe/Vienna")))
    times = {"start": "2026-03-01T13:00:00", "end": "2026-03-01T13:30:00"}
    assert made(scene, times)["time_range"]["start"] == "2026-03-01T12:00:00Z"


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"end": "2026-03-01T11:00:00Z"}, id="91-end-before-start"),
        pytest.param({"end": GOOD["start"]}, id="empty"),
        pytest.param({"start": "2016-03-01T12:00:00Z"}, id="92-ten-years"),
        pytest.param({"step": 0}, id="93-step"),
        pytest.param({"start": "2027-03-01T12:00:00Z", "end": "2027-03-01T13:00:00Z"}, id="future"),
        pytest.param({"start": "0001-01-01T00:00:00+14:00"}, id="first-of-all-times"),
        pytest.param({"end": "9999-12-31T23:59:59-14:00"}, id="last-of-all-times"),
        pytest.param({"start": "yesterday"}, id="no-time"),
        pytest.param({"start": 1_772_366_400}, id="a-number"),
        pytest.param({"start": None}, id="null"),
        pytest.param({"task": 5}, id="task-a-number"),
    ],
)
def test_times_that_make_no_window_are_refused(scene: Scene, changed: dict[str, Any]) -> None:
    answer = scene.post(GOOD | changed)
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"


def test_the_longest_window_is_configured(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ReportOptions(max_days=1))
    assert scene.post({"start": "2026-02-28T13:00:00Z", "end": GOOD["end"]}).status_code == 200
    assert scene.post({"start": "2026-02-28T12:59:59Z", "end": GOOD["end"]}).status_code == 400


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PrometheusUnavailableError("canary"), 503),
        (PrometheusTooSlowError("canary"), 504),
        (PrometheusAnswerError("canary"), 502),
        (PrometheusError("canary"), 502),
    ],
)
def test_what_is_wrong_with_prometheus_has_a_status(
    scene: Scene, error: PrometheusError, status: int
) -> None:
    scene.prometheus.error = error
    answer = scene.post()
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert "canary" not in answer.text
    scene.prometheus.error = None
    assert scene.post().status_code == 200


def test_a_document_is_made_for_who_prefers_one(scene: Scene) -> None:
    answer = scene.post(Accept="text/markdown")
    assert answer.content_type == "text/markdown; charset=utf-8"
    assert answer.text.startswith("# Performance report, 2026-03-01 12:00:00+00:00")
    found = scene.get(
        f"/{scene.get().get_json()['reports'][0]['report_id']}", Accept="text/markdown"
    )
    assert found.text == answer.text


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, */*;q=0.8", "image/png"])
def test_everybody_else_gets_json(scene: Scene, accept: str) -> None:
    assert scene.post(Accept=accept).content_type == "application/json"


def test_a_report_is_saved(scene: Scene) -> None:
    report = made(scene)
    assert report["is_saved"]
    assert scene.get(f"/{report['report_id']}").get_json() == report
    (row,) = scene.get().get_json()["reports"]
    assert {name: report[name] for name in row} == row


def test_a_report_that_cannot_be_saved_is_still_given(scene: Scene) -> None:
    scene.path.mkdir()
    report = made(scene)
    assert not report["is_saved"]
    assert report["total_tasks"] == 240 * 11
    assert scene.get().status_code == 503
    assert scene.get(f"/{report['report_id']}").status_code == 503


def test_there_is_no_report_of_another_id(scene: Scene) -> None:
    assert scene.get("/0123").status_code == 404
    assert scene.get("/..%2f").status_code == 404


@pytest.mark.parametrize("limit", ["0", "-1", "x", "501", "1e3", "٣", "99999999999"])
def test_a_limit_is_a_whole_number(scene: Scene, limit: str) -> None:
    assert scene.get(f"?limit={limit}").status_code == 400


def test_a_limit_limits(scene: Scene) -> None:
    for _ in range(3):
        made(scene)
    assert len(scene.get("?limit=2").get_json()["reports"]) == 2
