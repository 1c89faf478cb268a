"""The limits of the alerts, so that a colour on a dashboard and an alert never disagree."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from grafana.generate.looks import Levels

THRESHOLDS = Path(__file__).resolve().parents[2] / "alerting" / "thresholds.yml"


def limit(name: str, kind: str) -> float:
    """Return one number of ``alerting/thresholds.yml``."""
    return float(_thresholds()[name][kind])


def levels(name: str) -> Levels:
    """Return from where on a number is worth a notice, and bad, by its alerts."""
    numbers = _thresholds()[name]
    return Levels(numbers.get("warning"), numbers.get("critical"))


@cache
def _thresholds() -> dict[str, dict[str, Any]]:
    read: dict[str, dict[str, Any]] = yaml.safe_load(THRESHOLDS.read_text(encoding="utf-8"))
    return read
