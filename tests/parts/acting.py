"""The acting half of the sidecar in a process of its own, asked over HTTP."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx

from parts.processes import Child, Part, accepts_connections, free_port
from tokens import bearer

START_SECONDS = 60.0
TIMEOUT_SECONDS = 60.0


class Acting(Part):
    """Entered as soon as it listens. With ``dies_at`` a step, it is killed there."""

    def __init__(
        self, broker_url: str, *, database_url: str | None = None, dies_at: str = ""
    ) -> None:
        super().__init__()
        self.port = free_port()
        self.database_url = database_url or f"sqlite:///{self.folder}/sidecar.db"
        command = [sys.executable, "-m", "parts.acting_process"]
        command += [broker_url, self.database_url, str(self.port), dies_at]
        self.child = self.adopt(Child("acting", command, self.folder))

    def start(self) -> None:
        self.child.start()
        self.child.wait_until(lambda: accepts_connections(self.port), START_SECONDS, "its port")

    @property
    def database_path(self) -> Path:
        return Path(self.database_url.removeprefix("sqlite:///"))

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return httpx.request(
            method,
            f"http://127.0.0.1:{self.port}/celery-admin{path}",
            json=body,
            headers=bearer("admin") | headers,
            timeout=TIMEOUT_SECONDS,
        )

    def revoke(self, task_ids: list[str], **parameters: Any) -> dict[str, Any]:
        """Revoke by id and return the answer, which has to be good."""
        body = {"operation": "revoke", "task_ids": task_ids, "parameters": parameters}
        answer = self.ask("POST", "/tasks/batch", body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def records(self) -> list[dict[str, Any]]:
        """Return the audit's records, the oldest first."""
        answer = self.ask("GET", "/audit?limit=1000")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["records"]
        return found[::-1]
