"""Every row of the contract, by a client that knows nothing but the contract."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect as connect_websocket

from parts.exporter import Exporter
from parts.processes import inherited_environment, wait_for
from parts.prometheus import Prometheus
from parts.sidecar import Sidecar
from parts.valkey import Valkey
from parts.workers import Worker
from tokens import token

ALERTS_TOKEN = "the token of the webhook"
ALERT = {
    "status": "firing",
    "labels": {"alertname": "CeleryQueueStuck", "severity": "critical"},
    "annotations": {"summary": "nobody consumes"},
    "startsAt": "2026-01-01T00:00:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "fingerprint": "abc",
}
LIVE = {
    "timestamp", "active_workers", "total_workers", "pending_tasks", "processing_tasks",
    "reserved_tasks", "scheduled_tasks", "queue_lengths", "current_throughput",
    "error_rate_percent", "avg_execution_time_ms", "system_health", "data_age_seconds", "stale",
}  # fmt: skip
DASHBOARD = {
    "real_time_metrics", "system_summary", "workers", "queues", "top_tasks", "alerts", "timestamp",
}  # fmt: skip
REPORT = {
    "report_id", "generated_at", "time_range", "total_tasks", "successful_tasks", "failed_tasks",
    "retried_tasks", "revoked_tasks", "success_rate_percent", "avg_execution_time_ms",
    "p50_execution_time_ms", "p95_execution_time_ms", "p99_execution_time_ms", "avg_queue_wait_ms",
    "p95_queue_wait_ms", "peak_throughput", "peak_throughput_at", "tasks", "queues", "workers",
    "top_exceptions", "comparison", "optimization_recommendations", "data_quality",
}  # fmt: skip
BATCH = {
    "operation_id", "operation", "total", "successful", "failed", "summary", "dry_run", "workers",
    "results",
}  # fmt: skip


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "redis":
        with Valkey() as broker:
            yield broker.url
        return
    node = request.getfixturevalue("shared_rabbitmq")
    yield node.add_vhost("sidecar-contract")
    node.control("delete_vhost", "sidecar-contract")


@pytest.fixture(scope="module")
def worker(broker_url: str) -> Iterator[Worker]:
    with Worker(broker_url, "one") as worker:
        worker.ready()
        yield worker


@pytest.fixture(scope="module")
def sidecar(
    broker_url: str, worker: Worker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sidecar]:
    file = tmp_path_factory.mktemp("alerts") / "token"
    file.write_text(ALERTS_TOKEN)
    file.chmod(0o600)
    with (
        Exporter(broker_url) as exporter,
        Prometheus([f"127.0.0.1:{exporter.port}"]) as prometheus,
        Sidecar(
            broker_url, exporter.url, prometheus.url, extra=["--alerts-token-file", str(file)]
        ) as sidecar,
    ):
        exporter.ready()
        wait_for(
            lambda: sidecar.get("/monitoring/metrics/realtime", "viewer").json()["active_workers"],
            20,
            "a worker in the live numbers",
        )
        yield sidecar


def good(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def test_health(sidecar: Sidecar) -> None:
    health = good(httpx.get(f"{sidecar.url}/system/health"))
    assert health["status"] == "healthy"
    assert dt.datetime.fromisoformat(health["timestamp"]).tzinfo
    assert {"exporter", "broker", "workers", "prometheus"} <= set(health["checks"])


def test_information(sidecar: Sidecar) -> None:
    info = good(httpx.get(f"{sidecar.url}/system/info"))
    assert info["broker_transport"] in ("redis", "amqp", "pyamqp")


def test_status(sidecar: Sidecar) -> None:
    status = good(sidecar.get("/system/status"))
    assert {"workers", "queues", "sources", "firing_alerts", "components"} <= set(status)
    assert [row["worker"] for row in status["workers"]] == ["one@localhost"]


def test_live_numbers(sidecar: Sidecar) -> None:
    live = good(sidecar.get("/monitoring/metrics/realtime", "viewer"))
    assert set(live) >= LIVE
    assert (live["active_workers"], live["stale"]) == (1, False)
    dashboard = good(sidecar.get("/monitoring/dashboard", "viewer"))
    assert set(dashboard) >= DASHBOARD
    assert set(dashboard["real_time_metrics"]) >= LIVE


def test_the_monitor(sidecar: Sidecar) -> None:
    said = [good(sidecar.post("/monitoring/start", None, "operator"))["status"] for _ in range(2)]
    assert said == ["started", "already_running"]
    status = good(sidecar.get("/monitoring/status", "viewer"))
    assert status["running"] is True
    assert {"started_at", "interval_seconds", "clients", "last_sample_at"} <= set(status)
    good(sidecar.post("/monitoring/stop", None, "operator"))
    assert good(sidecar.get("/monitoring/status", "viewer"))["running"] is False


@pytest.mark.parametrize("way", ["header", "subprotocol", "ticket"])
def test_the_websocket(sidecar: Sidecar, way: str) -> None:
    url, options = f"{sidecar.url.replace('http', 'ws')}/monitoring/ws", dict[str, Any]()
    if way == "header":
        options["additional_headers"] = {"Authorization": f"Bearer {token()}"}
    elif way == "subprotocol":
        options["subprotocols"] = ["celeriac.bearer", token()]
    else:
        url += f"?ticket={good(sidecar.post('/monitoring/ws-ticket', None, 'viewer'))['ticket']}"
    with connect_websocket(url, **options) as websocket:
        first, second, third = (json.loads(websocket.recv(5)) for _ in range(3))
    kinds = [message["message_type"] for message in (first, second, third)]
    assert kinds == ["connection_established", "dashboard_data", "metrics_update"]
    assert set(first["data"]) == {"message", "client_count"}
    assert set(second["data"]) >= DASHBOARD
    assert set(third["data"]["metrics"]) >= LIVE


def test_a_report(sidecar: Sidecar) -> None:
    now = dt.datetime.now(dt.UTC)
    window = {"start": (now - dt.timedelta(hours=1)).isoformat(), "end": now.isoformat()}
    report = good(sidecar.post("/monitoring/reports/performance", window, "viewer"))
    assert set(report) >= REPORT
    listed = good(sidecar.get("/monitoring/reports", "viewer"))
    assert report["report_id"] in json.dumps(listed)
    path = f"/monitoring/reports/{report['report_id']}"
    assert good(sidecar.get(path, "viewer")) == report
    with sidecar.client("viewer") as client:
        document = client.get(path, headers={"Accept": "text/markdown"})
    assert document.headers["content-type"].startswith("text/markdown")
    assert document.text.startswith("# ")


def revoke(*task_ids: str, **parameters: Any) -> dict[str, Any]:
    return {"task_ids": task_ids, "operation": "revoke", "parameters": parameters}


def test_a_batch(sidecar: Sidecar) -> None:
    ids = [str(uuid.uuid4()) for _ in range(500)]
    batch = good(sidecar.post("/tasks/batch", revoke(*ids, ids[0], reason="why"), "operator"))
    assert set(batch) >= BATCH
    assert (batch["total"], batch["successful"], batch["failed"]) == (500, 500, 0)
    assert batch["workers"] == {"one@localhost": "acknowledged"}
    assert {row["task_id"] for row in batch["results"]} == set(ids)
    assert good(sidecar.get(f"/tasks/{ids[0]}", "viewer"))["state"] == "revoked"


def test_a_repeated_batch_gets_the_first_answer(sidecar: Sidecar) -> None:
    body, key = revoke("a", "b"), str(uuid.uuid4())
    first, again = (
        good(sidecar.post("/tasks/batch", body, "operator", Idempotency_Key=key)) for _ in range(2)
    )
    assert first == again
    other = sidecar.post("/tasks/batch", revoke("c"), "operator", Idempotency_Key=key)
    assert other.status_code == 409


def test_79_to_terminate_needs_an_admin(sidecar: Sidecar) -> None:
    body = revoke("a", terminate=True)
    assert sidecar.post("/tasks/batch", body, "operator").status_code == 403
    assert good(sidecar.post("/tasks/batch", body, "admin"))["total"] == 1


def test_a_dry_run_changes_nothing(sidecar: Sidecar) -> None:
    task_id = str(uuid.uuid4())
    assert good(sidecar.post("/tasks/batch", revoke(task_id, dry_run=True)))["dry_run"] is True
    assert good(sidecar.get(f"/tasks/{task_id}"))["state"] == "unknown"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (revoke(), 400),
        ({"operation": "revoke"}, 400),
        ({"operation": "revoke", "task_ids": [5]}, 400),
        ({"operation": "revoke", "task_ids": [None]}, 400),
        ({"operation": "revoke", "task_ids": [["a"]]}, 400),
        ({"operation": "revoke", "task_ids": [""]}, 400),
        (revoke("a" * 256), 400),
        (revoke("a", terminate="true"), 400),
        (revoke("a", terminate=True, signal="KILL; rm"), 400),
        (revoke("a", unknown=1), 400),
        ({"operation": "delete", "task_ids": ["a"]}, 400),
        (revoke(*map(str, range(10_001))), 413),
        (revoke(*map(str, range(1_001)), terminate=True), 413),
        (revoke(*(f"{n:0255}" for n in range(10_000)), dry_run=True), 200),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_batch_is_read_strictly(sidecar: Sidecar, body: dict[str, Any], status: int) -> None:
    assert sidecar.post("/tasks/batch", body).status_code == status


def test_a_worker_is_told_what_to_do(sidecar: Sidecar) -> None:
    body = {"command": "pool_grow", "arguments": {"n": 1}, "reason": "backlog"}
    good(sidecar.post("/workers/one@localhost/control", body))
    assert sidecar.post("/workers/one@localhost/control", {"command": "rm"}).status_code == 400
    assert sidecar.post("/workers/*/control", {"command": "shutdown"}).status_code == 400


def test_a_queue_is_purged(sidecar: Sidecar) -> None:
    with sidecar.client() as client:
        assert good(client.delete("/queues/celery/messages"))["purged"] == 0


def test_alerts(sidecar: Sidecar) -> None:
    message = {"version": "4", "status": "firing", "alerts": [ALERT]}
    url = f"{sidecar.url}/alerts"
    assert httpx.post(url, json=message).status_code == 401
    assert sidecar.post("/alerts", message).status_code == 401
    headers = {"Authorization": f"Bearer {ALERTS_TOKEN}"}
    good(httpx.post(url, json=message, headers=headers))
    assert "CeleryQueueStuck" in json.dumps(good(sidecar.get("/alerts", "viewer")))
    assert "celery_alerts" in sidecar.child.log_text()


def test_everything_was_recorded(sidecar: Sidecar) -> None:
    records = good(sidecar.get("/audit", limit=1000))["records"]
    by_operation: dict[str, list[str]] = {}
    for record in records:
        by_operation.setdefault(record["operation_id"], []).append(record["kind"])
    assert by_operation
    assert all(kinds == ["outcome", "intent"] for kinds in by_operation.values())
    url = f"sqlite:///{sidecar.database_path}"
    done = verified(url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{len(records)} records")
    metrics = httpx.get(f"{sidecar.root}/metrics").text
    assert f"celeriac_sidecar_audit_head {len(records):.1f}" in metrics


def verified(url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "celeriac", "audit", "verify", "--database-url", url]
    env = inherited_environment()
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False)


def test_an_audit_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = verified(f"sqlite:///{tmp_path}/none.db")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_nothing_of_it_left_a_traceback(sidecar: Sidecar) -> None:
    assert "Traceback" not in sidecar.child.log_text()
