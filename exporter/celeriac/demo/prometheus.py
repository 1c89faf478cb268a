"""The demo's Prometheus, if this machine has one: where it is, and what it is told."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

DEFAULT_PORT = 9090
SCRAPE_INTERVAL = "5s"


def find_program() -> str | None:
    """Return the path of Prometheus, None if it is not on PATH."""
    return shutil.which("prometheus")


def configuration(exporter: str) -> dict[str, Any]:
    """Return the configuration that scrapes the exporter at ``host:port``."""
    return {
        "global": {"scrape_interval": SCRAPE_INTERVAL, "evaluation_interval": SCRAPE_INTERVAL},
        # Recording rules and alerts, the Alertmanager that gets them, and further jobs go here.
        "rule_files": [],
        "alerting": {"alertmanagers": []},
        "scrape_configs": [
            {"job_name": "celeriac", "static_configs": [{"targets": [exporter]}]},
        ],
    }


def command(program: str, folder: Path, listen_address: str, exporter: str) -> list[str]:
    """Write the configuration into ``folder``; return the command that runs Prometheus there."""
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(configuration(exporter), sort_keys=False), encoding="utf-8")
    return [
        program,
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={listen_address}",
        "--web.enable-lifecycle",
        "--log.level=warn",
    ]
