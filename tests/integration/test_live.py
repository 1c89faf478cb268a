"""The live numbers against the truth: real workers, a real exporter, a real sidecar."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from parts.exporter import Exporter
from parts.processes import wait_for
from parts.sidecar import Sidecar
from parts.valkey import Valkey
from parts.workers import Worker
from workload.app import make_app
from workload.driver import run_workload
from workload.fleet import Fleet

OFTEN = ["--worker-interval", "1", "--queue-interval", "1"]
PATIENCE_SECONDS = 30.0
TASKS = 400
NUMBERS = "/monitoring/metrics/realtime"


@pytest.fixture
def exporter(valkey: Valkey) -> Iterator[Exporter]:
    with Exporter(valkey.url, queues=["parked"], extra=OFTEN) as exporter:
        exporter.ready()
        yield exporter


@pytest.fixture
def sidecar(valkey: Valkey, exporter: Exporter) -> Iterator[Sidecar]:
    with Sidecar(valkey.url, exporter.url) as sidecar:
        yield sidecar


def live(sidecar: Sidecar) -> dict[str, Any]:
    answer = sidecar.get(NUMBERS, "viewer")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def wait_until(sidecar: Sidecar, timeout_seconds: float = PATIENCE_SECONDS, **expected: Any) -> Any:
    """Return the first live object that says so."""
    found: dict[str, Any] = {}

    def is_so() -> bool:
        found.update(live(sidecar))
        return {name: found[name] for name in expected} == expected

    try:
        wait_for(is_so, timeout_seconds, str(expected))
    except TimeoutError as error:
        raise AssertionError(f"{error}, but there is {found}") from error
    return found


def ended(exporter: Exporter) -> float:
    return exporter.sum("celery_worker_tasks_finished_total")


def test_what_ended_between_two_looks_is_the_truth(
    valkey: Valkey, exporter: Exporter, sidecar: Sidecar
) -> None:
    with Fleet(valkey.url) as fleet:
        wait_until(sidecar, active_workers=len(fleet.workers))
        before = live(sidecar)
        truth = run_workload(fleet, TASKS)
        wait_for(lambda: ended(exporter) == TASKS, PATIENCE_SECONDS, "the last event")
        after = live(sidecar)
        overview = sidecar.get("/monitoring/dashboard", "viewer").json()
    outcomes = truth.worker_outcomes
    failed = sum(n for (_, outcome), n in outcomes.items() if outcome == "failed")
    assert before["current_throughput"] == 0
    assert round(after["current_throughput"] * after["window_seconds"]) == TASKS
    assert after["error_rate_percent"] == round(100 * failed / TASKS, 2)
    exporter.page()  # Prometheus' part: what is new is at 0 in one scrape.
    runtime, runs = (
        exporter.sum(f"celery_task_runtime_seconds_{part}") for part in ("sum", "count")
    )
    assert after["avg_execution_time_ms"] == pytest.approx(1000 * runtime / runs, abs=0.001)
    counts = {row["task"]: (row["succeeded"], row["failed"]) for row in overview["top_tasks"]}
    assert counts == {
        f"workload.{kind}": (_count(truth, kind, "succeeded"), _count(truth, kind, "failed"))
        for kind in {order.kind for order in truth.orders}
    }


def _count(truth: Any, kind: str, event: str) -> int:
    return sum(
        n
        for count, n in truth.events.items()
        if (count.task, count.event) == (f"workload.{kind}", event)
    )


def test_what_waits_and_runs_now_is_the_truth(valkey: Valkey, sidecar: Sidecar) -> None:
    with Worker(valkey.url, "one", concurrency=2, extra=["--prefetch-multiplier", "2"]) as worker:
        worker.ready()
        app = make_app(valkey.url)
        for _ in range(7):
            app.send_task("workload.succeed", queue="parked")
        app.send_task("workload.succeed", countdown=600)
        wait_until(sidecar, scheduled_tasks=1)
        for _ in range(3):
            app.send_task("workload.terminate")
        found = wait_until(
            sidecar, pending_tasks=7, processing_tasks=2, reserved_tasks=1, scheduled_tasks=1
        )
        app.close()
        assert (found["active_workers"], found["total_workers"]) == (1, 1)
        assert found["queue_lengths"] == {"celery": 0, "parked": 7}
        assert found["system_health"] == "degraded"
        assert found["system_health_reasons"] == [
            "queues with messages that nobody consumes: parked"
        ]
        worker.child.kill()
        gone = wait_until(sidecar, active_workers=0, system_health="unhealthy")
        assert "no worker is up" in gone["system_health_reasons"]
        assert gone["total_workers"] == 1


def test_an_exporter_that_stops_leaves_stale_numbers(
    valkey: Valkey, exporter: Exporter, sidecar: Sidecar
) -> None:
    with Worker(valkey.url, "one", concurrency=1) as worker:
        worker.ready()
        fresh = wait_until(sidecar, active_workers=1, stale=False, system_health="healthy")
        exporter.child.kill()
        stale = wait_until(sidecar, stale=True, system_health="unhealthy")
        assert "the exporter does not answer" in stale["system_health_reasons"]
        assert stale["queue_lengths"] == fresh["queue_lengths"]
        assert stale["active_workers"] == 1
        wait_for(
            lambda: live(sidecar)["data_age_seconds"] > stale["data_age_seconds"] + 1,
            PATIENCE_SECONDS,
            "its age",
        )
        exporter.start()
        exporter.ready()
        wait_until(sidecar, active_workers=1, stale=False)


def test_an_exporter_that_hangs_holds_nobody_up(exporter: Exporter, sidecar: Sidecar) -> None:
    assert not live(sidecar)["stale"]
    exporter.child.pause()
    try:
        assert sidecar.post("/monitoring/start", None, "operator").json()["status"] == "started"
        wait_until(sidecar, stale=True)
        answers = [sidecar.get(NUMBERS, "viewer") for _ in range(20)]
        # The sidecar itself waits two seconds for the exporter.
        assert max(answer.elapsed.total_seconds() for answer in answers) < 1.9
    finally:
        exporter.child.resume()
    wait_until(sidecar, stale=False)


def test_without_a_broker_the_numbers_are_stale(
    valkey: Valkey, exporter: Exporter, sidecar: Sidecar
) -> None:
    assert not live(sidecar)["stale"]
    valkey.child.kill()
    found = wait_until(sidecar, system_health="unhealthy", stale=True)
    assert found["system_health_reasons"][0] == "the broker does not answer"
    # What nobody knows any more is unknown, not 0.
    wait_until(sidecar, pending_tasks=None)


def test_without_an_exporter_ever_there_are_no_numbers(valkey: Valkey) -> None:
    with Sidecar(valkey.url) as sidecar:
        for path in (NUMBERS, "/monitoring/dashboard"):
            answer = sidecar.get(path, "viewer")
            assert (answer.status_code, answer.headers["Content-Type"]) == (
                503,
                "application/problem+json",
            )


def test_the_monitor_is_started_once_and_stopped(sidecar: Sidecar) -> None:
    def post(word: str) -> Any:
        return sidecar.post(f"/monitoring/{word}", None, "operator").json()["status"]

    assert [post(word) for word in ("start", "start", "stop", "stop")] == [
        "started",
        "already_running",
        "stopped",
        "not_running",
    ]
    assert sidecar.post("/monitoring/start", None, "viewer").status_code == 403
