"""From real workers through the exporter and Prometheus to the sidecar's report."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from parts.exporter import Exporter
from parts.processes import wait_for
from parts.prometheus import Prometheus
from parts.sidecar import Sidecar
from parts.valkey import Valkey
from parts.workers import Worker
from workload.app import make_app

pytestmark = pytest.mark.slow

SUCCEED, FAIL = 40, 7
ENDED = 'sum(celery_task_succeeded_total{task=~"workload.*"}) + sum(celery_task_failed_total)'
# What is new is shown at 0 first, and with its value on the next page.
SHOWN = "sum(celery_task_exceptions_total) + sum(celery_task_runtime_seconds_count)"


def _one(prometheus: Prometheus, promql: str) -> float | None:
    found = prometheus.query(promql)
    return found[0][1] if found else None


@pytest.fixture(scope="module")
def report() -> Iterator[dict[str, Any]]:
    """A report on the time from before the first task to after the last."""
    with (
        Valkey() as broker,
        Exporter(broker.url) as exporter,
        Worker(broker.url, "one") as worker,
        Prometheus([exporter.url.removeprefix("http://")]) as prometheus,
        Sidecar(broker.url, exporter.url, prometheus.url) as sidecar,
    ):
        worker.ready()
        exporter.ready()
        wait_for(lambda: prometheus.query(ENDED), 30, "the counters, at 0")
        start = dt.datetime.now(dt.UTC)
        app = make_app(broker.url)
        for _ in range(SUCCEED):
            app.send_task("workload.succeed", queue="celery")
        for _ in range(FAIL):
            app.send_task("workload.fail", ("ValueError",), queue="celery")
        for counted in (ENDED, SHOWN):
            wait_for(lambda: _one(prometheus, counted) == SUCCEED + FAIL, 60, counted)  # noqa: B023
        span = {"start": start, "end": dt.datetime.now(dt.UTC)}
        body = {name: time.isoformat() for name, time in span.items()}
        yield sidecar.post("/monitoring/reports/performance", body, "viewer").json()


def test_it_counts_every_task(report: dict[str, Any]) -> None:
    assert (report["successful_tasks"], report["failed_tasks"]) == (SUCCEED, FAIL)
    assert report["total_tasks"] == SUCCEED + FAIL
    assert {row["task"]: row["total"] for row in report["tasks"]} == {
        "workload.succeed": SUCCEED,
        "workload.fail": FAIL,
    }


def test_it_knows_queue_worker_and_exception(report: dict[str, Any]) -> None:
    assert {row["queue"]: row["total"] for row in report["queues"]}["celery"] == SUCCEED + FAIL
    (worker,) = report["workers"]
    assert (worker["finished"], worker["failed"]) == (SUCCEED + FAIL, FAIL)
    assert {row["exception"]: row["count"] for row in report["top_exceptions"]} == {
        "ValueError": FAIL
    }


def test_it_has_run_times_and_waits(report: dict[str, Any]) -> None:
    assert 0 < report["p50_execution_time_ms"] <= report["p99_execution_time_ms"]
    assert report["avg_queue_wait_ms"] is not None
    assert report["peak_throughput"] > 0


def test_its_data_is_good(report: dict[str, Any]) -> None:
    assert report["data_quality"]["missed_events"] == 0
    assert report["data_quality"]["resolution_seconds"] == 1.0


def test_it_has_nothing_to_recommend(report: dict[str, Any]) -> None:
    assert report["comparison"]["total_tasks"] == 0
    assert report["optimization_recommendations"] == []
