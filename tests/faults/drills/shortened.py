"""The bundle's rules with every duration divided by one factor, and nothing else changed.

An hour is a minute: ``for``, ``keep_firing_for``, ranges, offsets and the horizon of a forecast,
and of the thresholds those that are in seconds.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from bundle.generator import generator
from bundle.rule_files import RULE_FILES

if TYPE_CHECKING:
    from pathlib import Path

FACTOR = 60
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = re.compile(r"(?<=\[)(\d+)([smhd])(?=\])|(?<=offset )(\d+)([smhd])\b")
HOUR_IN_SECONDS = re.compile(r"\b3600\b")


def write_shortened(folder: Path) -> list[Path]:
    """Write the rules of the bundle, shortened, into a folder; return the files."""
    folder.mkdir()
    written = [folder / path.name for path in RULE_FILES]
    for path, target in zip(RULE_FILES, written, strict=True):
        target.write_text(_shortened(path), encoding="utf-8")
    return written


def duration(text: str) -> str:
    """Return a duration of a rule, such as ``5m``, divided by the factor."""
    return f"{int(text[:-1]) * SECONDS[text[-1]] * 1000 // FACTOR}ms"


def expression(expr: str) -> str:
    """Return an expression with all its durations divided by the factor."""
    shorter = DURATION.sub(lambda found: duration(found[0]), expr)
    return HOUR_IN_SECONDS.sub(str(3600 // FACTOR), shorter)


def _shortened(path: Path) -> str:
    if path.name == "thresholds.yml":
        return str(generator.rules(_thresholds()))
    file = yaml.safe_load(path.read_text(encoding="utf-8"))
    rules = [rule for group in file["groups"] for rule in group["rules"]]
    for rule in rules:
        rule["expr"] = expression(rule["expr"])
        waits = {key: duration(rule[key]) for key in ("for", "keep_firing_for") if key in rule}
        rule.update(waits)
    return yaml.safe_dump(file, sort_keys=False)


def _thresholds() -> dict[str, Any]:
    thresholds: dict[str, Any] = yaml.safe_load(generator.SOURCE.read_text(encoding="utf-8"))
    return {name: _scaled(name, threshold) for name, threshold in thresholds.items()}


def _scaled(name: str, threshold: dict[str, Any]) -> dict[str, Any]:
    if not name.endswith("_seconds"):
        return threshold
    return {
        key: value / FACTOR if isinstance(value, int | float) else value
        for key, value in threshold.items()
    }
