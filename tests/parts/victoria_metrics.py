"""A private VictoriaMetrics, which answers the same query API as Prometheus."""

from __future__ import annotations

import shutil

import requests

from parts.presence import require
from parts.processes import Child, Part, accepts_connections, free_port

START_SECONDS = 15.0
TIMEOUT_SECONDS = 5.0


class VictoriaMetrics(Part):
    """An empty one that shows what was written at once."""

    def __init__(self) -> None:
        require("victoria-metrics")
        super().__init__()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [
            shutil.which("victoria-metrics") or "victoria-metrics",
            f"-storageDataPath={self.folder / 'data'}",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=100y",
            "-search.latencyOffset=0s",
            "-memory.allowedBytes=512MB",
            "-loggerLevel=ERROR",
        ]
        self.child = self.adopt(Child("victoria-metrics", command, self.folder))

    def start(self) -> None:
        self.child.start()
        self.child.wait_until(self._is_ready, START_SECONDS, "/health")

    def flush(self) -> None:
        """Return when everything that was written can be found."""
        requests.get(f"{self.url}/internal/force_flush", timeout=TIMEOUT_SECONDS).raise_for_status()

    def _is_ready(self) -> bool:
        if not accepts_connections(self.port):
            return False
        return requests.get(f"{self.url}/health", timeout=TIMEOUT_SECONDS).ok
