"""Alertmanager as the bundle configures it, and somebody who is told."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import requests
import yaml

from parts.alertmanager import TIMEOUT_SECONDS, Alertmanager

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ALERTING = Path(__file__).resolve().parents[2] / "alerting"
CONFIGURATION = ALERTING / "alertmanager" / "alertmanager.yml"


@dataclass(frozen=True)
class Told:
    """One alert in one message to one receiver; ``at`` is by the monotonic clock."""

    at: float
    receiver: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def name(self) -> str:
        return self.labels["alertname"]


@dataclass
class Listener:
    """A webhook on loopback that remembers all it was told."""

    told: list[Told] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def hear(self, message: Mapping[str, Any]) -> None:
        """Remember every alert of a message."""
        for alert in message["alerts"]:
            texts = alert["labels"], alert["annotations"]
            self.told.append(Told(time.monotonic(), message["receiver"], alert["status"], *texts))

    def first(self, name: str, status: str = "firing", since: float = 0.0) -> Told | None:
        """Return the first news of this alert since an instant, None if there was none."""
        news = (t for t in self.told if (t.name, t.status) == (name, status) and t.at >= since)
        return next(news, None)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hear = self.hear

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hear(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


class BundleAlertmanager(Alertmanager):
    """The bundle's routes and inhibitions; every receiver is one webhook, told at once, or none."""

    def __init__(self, webhook_url: str | None = None) -> None:
        super().__init__("", Path("/dev/null"))
        config = self.folder / "alertmanager.yml"
        published = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
        config.write_text(yaml.safe_dump(_told_to(published, webhook_url)))

    def post(self, alerts: Iterable[Mapping[str, str]]) -> None:
        """Take alerts that fire, by their labels."""
        self._post("alerts", [{"labels": dict(labels)} for labels in alerts])

    def held_back(self, job: str) -> set[str]:
        """Return the names of this job's alerts that others hold back."""
        found = requests.get(
            f"{self.url}/api/v2/alerts",
            params={"filter": f'job="{job}"', "active": "false", "silenced": "false"},
            timeout=TIMEOUT_SECONDS,
        )
        return {alert["labels"]["alertname"] for alert in found.json()}


def _told_to(published: Mapping[str, Any], url: str | None) -> dict[str, Any]:
    webhooks = [{"url": url}] if url else []
    receivers = [
        {"name": receiver["name"], "webhook_configs": webhooks}
        for receiver in published["receivers"]
    ]
    return {
        "route": _at_once(published["route"]),
        "inhibit_rules": published["inhibit_rules"],
        "receivers": receivers,
    }


def _at_once(route: Mapping[str, Any]) -> dict[str, Any]:
    below = [_at_once(child) for child in route.get("routes", ())]
    return {**route, "group_wait": "0s", "group_interval": "1s", "routes": below}
