"""A private Alertmanager that tells a webhook of every alert at once."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import requests
import yaml

from parts.presence import ALERTMANAGERS, first_program, require
from parts.processes import Child, Part, accepts_connections, free_port

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 15.0
TIMEOUT_SECONDS = 5.0


class Alertmanager(Part):
    """Entered as soon as it is ready."""

    def __init__(self, webhook_url: str, token_file: Path) -> None:
        require("alertmanager")
        super().__init__()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = self.folder / "alertmanager.yml"
        config.write_text(yaml.safe_dump(_config(webhook_url, token_file)))
        command = [
            first_program(ALERTMANAGERS) or ALERTMANAGERS[0],
            f"--config.file={config}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]
        self.child = self.adopt(Child("alertmanager", command, self.folder))

    def start(self) -> None:
        self.child.start()
        self.child.wait_until(self._is_ready, START_SECONDS, "/-/ready")

    def take(self, **labels: str) -> None:
        """Take an alert that fires, as Prometheus sends it."""
        ends_at = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
        self._post("alerts", [{"labels": labels, "endsAt": ends_at.isoformat()}])

    def silence(self, name: str) -> None:
        """Mute the alerts of this name for an hour."""
        now = dt.datetime.now(dt.UTC)
        matcher = {"name": "alertname", "value": name, "isRegex": False}
        times = {"startsAt": now.isoformat(), "endsAt": (now + dt.timedelta(hours=1)).isoformat()}
        self._post("silences", {"matchers": [matcher], "createdBy": "a", "comment": "b"} | times)

    def _post(self, path: str, body: Any) -> None:
        url = f"{self.url}/api/v2/{path}"
        requests.post(url, json=body, timeout=TIMEOUT_SECONDS).raise_for_status()

    def _is_ready(self) -> bool:
        if not accepts_connections(self.port):
            return False
        return requests.get(f"{self.url}/-/ready", timeout=TIMEOUT_SECONDS).ok


def _config(webhook_url: str, token_file: Path) -> dict[str, Any]:
    authorization = {"credentials_file": str(token_file)}
    webhook = {"url": webhook_url, "http_config": {"authorization": authorization}}
    route = {"receiver": "sidecar", "group_wait": "0s", "group_interval": "1s"}
    return {"route": route, "receivers": [{"name": "sidecar", "webhook_configs": [webhook]}]}
