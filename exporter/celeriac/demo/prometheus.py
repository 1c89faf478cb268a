"""The demo's Prometheus, if this machine has one: where it is, and what it is told."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEFAULT_PORT = 9090
SCRAPE_INTERVAL = "5s"


@dataclass(frozen=True, slots=True)
class Watched:
    """What it scrapes and whom it tells, each as ``host:port``."""

    exporter: str
    sidecar: str
    alertmanager: str | None = None
    rules: Path | None = None
    """A folder of rule files."""


def find_program() -> str | None:
    """Return the path of Prometheus, None if it is not on PATH."""
    return shutil.which("prometheus")


def configuration(watched: Watched) -> dict[str, Any]:
    """Return the configuration that scrapes, evaluates the rules and tells Alertmanager."""
    alertmanagers = [_static(watched.alertmanager)] if watched.alertmanager else []
    return {
        "global": {"scrape_interval": SCRAPE_INTERVAL, "evaluation_interval": SCRAPE_INTERVAL},
        "rule_files": [f"{watched.rules}/*.yml"] if watched.rules else [],
        "alerting": {"alertmanagers": alertmanagers},
        "scrape_configs": [
            {"job_name": "celeriac"} | _static(watched.exporter),
            {"job_name": "celeriac-sidecar"} | _static(watched.sidecar),
        ],
    }


def _static(address: str) -> dict[str, Any]:
    return {"static_configs": [{"targets": [address]}]}


def command(program: str, folder: Path, listen_address: str, watched: Watched) -> list[str]:
    """Write the configuration into ``folder``; return the command that runs Prometheus there."""
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(configuration(watched), sort_keys=False), encoding="utf-8")
    return [
        program,
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={listen_address}",
        "--web.enable-lifecycle",
        "--log.level=warn",
    ]
