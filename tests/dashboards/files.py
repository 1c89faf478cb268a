"""The committed dashboards, and what a reader of them needs: panels, queries, variables' values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "grafana" / "dashboards"
PATHS = sorted(FOLDER.glob("*.json"))
VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::\w+)?\})")

# As Grafana fills them in for a range of one hour on a screen of usual width.
GRAFANAS_OWN = {
    "__rate_interval": "1m",
    "__interval": "15s",
    "__range": "1h",
    "__interval_ms": "15000",
}
Json = dict[str, Any]


@dataclass(frozen=True)
class Ask:
    """One query of a panel."""

    panel: str
    ref: str
    promql: str
    is_instant: bool


def read(path: Path) -> Json:
    found: Json = json.loads(path.read_text(encoding="utf-8"))
    return found


def panels(dashboard: Json) -> list[Json]:
    """Return all panels but the rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def asks(dashboard: Json) -> Iterator[Ask]:
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield Ask(panel["title"], target["refId"], target["expr"], target["instant"])


def variables(dashboard: Json) -> dict[str, Json]:
    """Return the variables that are asked from Prometheus, by name."""
    found = dashboard["templating"]["list"]
    return {variable["name"]: variable for variable in found if variable["type"] == "query"}


def filled_in(text: str, dashboard: Json, **own: str) -> str:
    """Return a query as Grafana sends it with every variable at All."""
    values = {name: variable["allValue"] for name, variable in variables(dashboard).items()}
    values |= GRAFANAS_OWN | own
    return VARIABLE.sub(lambda found: values[found[1] or found[2]], text)
