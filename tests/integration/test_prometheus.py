"""A real Prometheus scrapes the real exporter, and its queries tell the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from parts.exporter import Exporter
from parts.processes import wait_for
from parts.prometheus import Prometheus, promtool_check_metrics
from parts.valkey import Valkey
from parts.workers import Worker
from workload.app import make_app

pytestmark = pytest.mark.slow


@dataclass
class Watched:
    exporter: Exporter
    prometheus: Prometheus

    def wait_for(self, promql: str, expected: float) -> None:
        def is_there() -> bool:
            return [value for _, value in self.prometheus.query(promql)] == [expected]

        wait_for(is_there, 30, f"{promql} to be {expected}")


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    """A worker whose every task is new to Prometheus, and messages where nobody consumes."""
    with (
        Valkey() as broker,
        Exporter(broker.url) as exporter,
        Worker(broker.url, "one") as worker,
        Prometheus([exporter.url.removeprefix("http://")]) as prometheus,
    ):
        worker.ready()
        exporter.ready()
        made = Watched(exporter, prometheus)
        # The counters of registered tasks are there, at 0, before the first one runs.
        made.wait_for('count(celery_task_failed_total{task="workload.fail"} == 0)', 1)
        app = make_app(broker.url)
        for _ in range(3):
            app.send_task("workload.fail", ("ValueError",), queue="celery")
        app.send_task("workload.succeed", queue="parked")
        yield made


def test_the_target_is_up(watched: Watched) -> None:
    watched.wait_for("up", 1)


def test_a_length_by_queue_answers(watched: Watched) -> None:
    watched.wait_for('sum by (queue) (celery_queue_length{queue="parked"})', 1)


def test_the_first_failures_of_a_task_are_an_increase(watched: Watched) -> None:
    watched.wait_for('sum(celery_task_failed_total{task="workload.fail"})', 3)
    watched.wait_for(
        'clamp_max(increase(celery_task_failed_total{task="workload.fail"}[2m]), 1)', 1
    )


def test_the_first_of_an_exception_is_an_increase(watched: Watched) -> None:
    failures = 'celery_task_exceptions_total{exception="ValueError"}'
    watched.wait_for(f"clamp_max(increase({failures}[2m]), 1)", 1)


def test_types_reach_prometheus(watched: Watched) -> None:
    watched.wait_for("up", 1)
    metadata = watched.prometheus.get("/api/v1/metadata")["data"]
    types = {name: entries[0]["type"] for name, entries in metadata.items()}
    assert types["celery_task_runtime_seconds"] == "histogram"
    assert types["celery_worker_prefetch_count"] == "gauge"


def test_promtool_finds_nothing(watched: Watched) -> None:
    assert promtool_check_metrics(watched.exporter.page()) == ""
