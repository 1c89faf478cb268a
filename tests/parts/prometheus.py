"""A private Prometheus, and promtool."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import requests
import yaml

from parts.presence import require
from parts.processes import Child, Part, accepts_connections, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

START_SECONDS = 15.0
TIMEOUT_SECONDS = 5.0


class Prometheus(Part):
    """A Prometheus that scrapes ``targets`` (``host:port``) every second as job ``celeriac``.

    ``rules`` are rule files, evaluated every second; ``alertmanagers`` are ``host:port``;
    ``scrape`` is more of the job's scrape_config.
    """

    def __init__(
        self,
        targets: Sequence[str] = (),
        *,
        rules: Sequence[Path] = (),
        alertmanagers: Sequence[str] = (),
        scrape: Mapping[str, Any] | None = None,
    ) -> None:
        require("prometheus")
        super().__init__()
        self._target_count = len(targets)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = self.folder / "prometheus.yml"
        job = {"job_name": "celeriac", "static_configs": [{"targets": list(targets)}]}
        job |= dict(scrape or {})
        config.write_text(yaml.safe_dump(_config(job, rules, alertmanagers)))
        command = [
            shutil.which("prometheus") or "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.enable-lifecycle",
            "--log.level=warn",
        ]
        self.child = self.adopt(Child("prometheus", command, self.folder))

    def start(self) -> None:
        self.child.start()
        self.child.wait_until(self._is_ready, START_SECONDS, "/-/ready")

    def scraped(self, timeout_seconds: float = START_SECONDS) -> None:
        """Return when every target was scraped once: six seconds after the start, not sooner.

        Prometheus learns even of static targets only with the first tick of its discovery.
        """
        self.child.wait_until(self._has_scraped, timeout_seconds, "the first scrape")

    def reload(self) -> None:
        """Make it read its configuration and its rules again."""
        requests.post(f"{self.url}/-/reload", timeout=TIMEOUT_SECONDS).raise_for_status()

    def query(self, promql: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of every series of an instant vector or scalar, as of now."""
        answer = self.get("/api/v1/query", query=promql)["data"]
        if answer["resultType"] == "scalar":
            return [({}, float(answer["result"][1]))]
        return [(row["metric"], float(row["value"][1])) for row in answer["result"]]

    def get(self, path: str, **parameters: str) -> Any:
        """Return the decoded answer of the HTTP API; raise ``requests.HTTPError`` for a refusal."""
        response = requests.get(self.url + path, params=parameters, timeout=TIMEOUT_SECONDS)
        response.raise_for_status()
        return response.json()

    def _has_scraped(self) -> bool:
        return len(self.query("up")) == self._target_count

    def _is_ready(self) -> bool:
        if not accepts_connections(self.port):
            return False
        return requests.get(f"{self.url}/-/ready", timeout=TIMEOUT_SECONDS).ok


def promtool_check_metrics(text: str) -> str:
    """Return what ``promtool check metrics`` complains about in a page; empty if nothing."""
    require("prometheus")
    command = [shutil.which("promtool") or "promtool", "check", "metrics"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _config(
    job: Mapping[str, Any], rules: Sequence[Path], alertmanagers: Sequence[str]
) -> dict[str, Any]:
    config: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [dict(job)],
    }
    if alertmanagers:
        static = [{"targets": list(alertmanagers)}]
        config["alerting"] = {"alertmanagers": [{"static_configs": static}]}
    return config
