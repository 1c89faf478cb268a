"""Writes the dashboards: ``python -m grafana.generate``."""

from __future__ import annotations

import json
from pathlib import Path

from grafana.generate.dashboard import Dashboard
from grafana.generate.exporter import EXPORTER
from grafana.generate.overview import OVERVIEW
from grafana.generate.queues import QUEUES
from grafana.generate.tasks import TASKS
from grafana.generate.workers import WORKERS

DASHBOARDS = (OVERVIEW, QUEUES, TASKS, WORKERS, EXPORTER)
FOLDER = Path(__file__).resolve().parents[1] / "dashboards"


def text(dashboard: Dashboard) -> str:
    """Return a dashboard's file."""
    return json.dumps(dashboard.json(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard.uid}.json").write_text(text(dashboard), encoding="utf-8")


if __name__ == "__main__":
    main()
