"""A real cluster on which everything happens that a panel shows: the demo, and a little more."""

from __future__ import annotations

import re
import shlex
import sys
import time
from typing import TYPE_CHECKING, Any

import requests

from parts.presence import require
from parts.processes import Child, Part, wait_for
from parts.prometheus import Prometheus
from parts.workers import Worker
from workload.app import make_app

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 60.0
TIMEOUT_SECONDS = 15.0
NAMESPACE = "shop"
FAILURES = 5
REST_SECONDS = 0.5
WAITING = re.compile(r"^ +for: .*\n", re.MULTILINE)


class Demo(Part):
    """``celeriac demo``; its addresses in ``env`` once entered."""

    def __init__(self) -> None:
        require("valkey", "prometheus")
        super().__init__()
        self.env: dict[str, str] = {}
        self._state = self.folder / "state"
        command = [sys.executable, "-m", "celeriac", "demo", "--state-dir", str(self._state)]
        self.child = self.adopt(Child("demo", command, self.folder))

    def start(self) -> None:
        self.child.start()
        told = self._state / "env"
        self.child.wait_until(told.exists, START_SECONDS, "env")
        words = shlex.split(told.read_text())
        self.env = dict(word.split("=", 1) for word in words)

    def act(self) -> None:
        """Do to the cluster what the sidecar's panels show, and be refused."""
        body: dict[str, Any] = {"operation": "revoke", "task_ids": ["none-such"], "parameters": {}}
        for token in (self.env["SIDECAR_TOKEN"], "forged"):
            requests.post(
                f"{self.env['SIDECAR_URL']}/celery-admin/tasks/batch",
                json=body,
                headers={"Authorization": f"Bearer {token}"},
                timeout=TIMEOUT_SECONDS,
            )

    def lose_a_worker(self, prometheus: Prometheus) -> None:
        """Have a worker fail all that it is given while *prometheus* looks, and vanish."""
        url = self.env["BROKER_URL"]
        with Worker(url, "lost", queues=("lost",)) as worker:
            worker.ready()
            failed = (
                f'celery_worker_tasks_finished_total{{worker="{worker.node}",outcome="failed"}}'
            )
            publisher = make_app(url)

            def has_grown() -> bool:
                # One at a time: what fails before the first scrape is no increase.
                publisher.send_task("workload.fail", ("ValueError",), queue="lost")
                time.sleep(REST_SECONDS)
                return bool(prometheus.query(f"increase({failed}[1m]) > {FAILURES}"))

            wait_for(has_grown, START_SECONDS, "failures")
            worker.child.kill()


def watching(demo: Demo, rules: Path) -> Prometheus:
    """Return a Prometheus that looks every second, and whose alerts do not wait to fire."""
    exporter, sidecar = (
        demo.env[name].removeprefix("http://") for name in ("EXPORTER_URL", "SIDECAR_URL")
    )
    jobs = {"celeriac": exporter, "celeriac-sidecar": sidecar}
    static = [
        {"targets": [address], "labels": {"job": job, "namespace": NAMESPACE}}
        for job, address in jobs.items()
    ]
    impatient = [_without_waiting(path, demo.folder) for path in sorted(rules.glob("*.yml"))]
    return Prometheus([exporter, sidecar], rules=impatient, scrape={"static_configs": static})


def _without_waiting(rules: Path, folder: Path) -> Path:
    copy = folder / rules.name
    copy.write_text(WAITING.sub("", rules.read_text(encoding="utf-8")), encoding="utf-8")
    return copy
