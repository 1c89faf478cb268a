#!/usr/bin/env python3
"""Write rules/thresholds.yml from thresholds.yml; with --check, say whether it is up to date."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "thresholds.yml"
RULES = HERE / "rules" / "thresholds.yml"
LABELS = frozenset({"queue", "task", "worker", "entry", "source", "job", "namespace", "cluster"})
NOT_LEVELS = frozenset({"means", "of", "own"})
HEADER = """\
# Made from thresholds.yml by thresholds.py: change the numbers there.
# Each is recorded for every series that it applies to: an alert compares like with like, a graph
# can draw both.
groups:
  - name: celeriac-thresholds
    rules:
"""

Threshold = Mapping[str, Any]


class ThresholdError(Exception):
    """thresholds.yml cannot be used; the message says which entry, and why."""


def recorded_name(name: str, threshold: Threshold, level: str) -> str:
    """Return the name of the series that holds the threshold."""
    subject, _, _ = threshold["of"].partition(":")
    return f"{subject}:celery_threshold_{name}:{level}"


def rules(thresholds: Mapping[str, Threshold]) -> str:
    """Return the rule file that records all thresholds.

    Raises:
        ThresholdError: an entry has a key or a value that it cannot have.
    """
    return HEADER + "".join(
        _rule(recorded_name(name, threshold, level), _expression(name, threshold, level))
        for name, threshold in thresholds.items()
        for level in _levels(name, threshold)
    )


def _rule(record: str, expression: list[str]) -> str:
    text = "\n          or ".join(expression)
    folded = f">-\n          {text}" if len(expression) > 1 else text
    return f"      - record: {record}\n        expr: {folded}\n"


def _levels(name: str, threshold: Threshold) -> list[str]:
    """Return what the threshold has numbers for: warning, critical and the like."""
    if not (threshold.get("of") and threshold.get("means")):
        raise ThresholdError(f"{name}: 'of' and 'means' are needed")
    levels = [key for key in threshold if key not in NOT_LEVELS]
    for own in threshold.get("own", ()):
        unknown = own.keys() - LABELS - set(levels)
        if unknown:
            raise ThresholdError(
                f"{name}: own: {', '.join(sorted(unknown))}: no such label or level"
            )
    return levels


def _expression(name: str, threshold: Threshold, level: str) -> list[str]:
    """Return what is joined by ``or``: the first one that matches a series counts."""
    owns = [own for own in threshold.get("own", ()) if level in own]
    subject = threshold["of"]
    chosen = [(_matchers(own), own[level]) for own in owns] + [("", threshold[level])]
    return [f"0 * {subject}{matchers} + {_number(name, value)}" for matchers, value in chosen]


def _number(name: str, value: object) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ThresholdError(f"{name}: {value!r} is not a number")
    return value


def _matchers(own: Mapping[str, Any]) -> str:
    labels = [(label, str(value)) for label, value in own.items() if label in LABELS]
    return "{" + ", ".join(_matcher(label, value) for label, value in labels) + "}"


def _matcher(label: str, value: str) -> str:
    operator, text = ("=~", value[1:]) if value.startswith("~") else ("=", value)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'{label}{operator}"{escaped}"'


def _complaints(arguments: list[str]) -> Iterator[str]:
    """Do what was asked for; yield what is wrong."""
    if arguments not in ([], ["--check"]):
        yield "usage: thresholds.py [--check]"
        return
    try:
        text = rules(yaml.safe_load(SOURCE.read_text(encoding="utf-8")))
    except ThresholdError as error:
        yield f"{SOURCE.name}: {error}"
        return
    if not arguments:
        RULES.write_text(text, encoding="utf-8")
    elif text != RULES.read_text(encoding="utf-8"):
        yield f"{RULES} is not what {SOURCE.name} says: run alerting/thresholds.py"


if __name__ == "__main__":
    sys.exit("\n".join(_complaints(sys.argv[1:])) or None)
