"""The rule files as they are on disk: alerts, recordings, and what their expressions ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import promql_parser as promql
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ALERTING = Path(__file__).resolve().parents[2] / "alerting"
RULE_FILES = sorted((ALERTING / "rules").glob("*.yml"))
TEST_FILES = sorted((ALERTING / "tests").glob("*.yml"))
RUNBOOKS = sorted((ALERTING / "runbooks").glob("Celery*.md"))


@dataclass(frozen=True)
class Rule:
    """One rule of a file. ``name`` is the alert's, or what is recorded."""

    path: Path
    group: str
    name: str
    expr: str
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    is_alert: bool = False


@dataclass(frozen=True)
class Selected:
    """What an expression asks for: a series, and the labels that it names of it."""

    name: str
    labels: frozenset[str]


@cache
def groups() -> list[tuple[Path, dict[str, Any]]]:
    """Return every group of every file."""
    return [
        (path, group)
        for path in RULE_FILES
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    ]


@cache
def rules() -> list[Rule]:
    return [_rule(path, group["name"], raw) for path, group in groups() for raw in group["rules"]]


def alerts() -> list[Rule]:
    return [rule for rule in rules() if rule.is_alert]


def recordings() -> list[Rule]:
    return [rule for rule in rules() if not rule.is_alert]


def selected(expr: str) -> list[Selected]:
    """Return every selector of an expression."""
    return [_selected(selector) for selector in _selectors(promql.parse(expr))]


def grouping_labels(expr: str) -> set[str]:
    """Return the labels by which an expression aggregates or matches."""
    return {label for node in _nodes(promql.parse(expr)) for label in _grouping(node)}


def _rule(path: Path, group: str, raw: dict[str, Any]) -> Rule:
    return Rule(
        path,
        group,
        raw.get("alert") or raw["record"],
        raw["expr"],
        raw.get("labels", {}),
        raw.get("annotations", {}),
        is_alert="alert" in raw,
    )


def _selectors(expr: promql.Expr) -> Iterator[promql.VectorSelector]:
    for node in _nodes(expr):
        if isinstance(node, promql.VectorSelector):
            yield node
        elif isinstance(node, promql.MatrixSelector):
            yield node.vector_selector


def _nodes(expr: promql.Expr) -> Iterator[promql.Expr]:
    yield expr
    for name in ("expr", "lhs", "rhs", "param"):
        child = getattr(expr, name, None)
        if isinstance(child, promql.Expr):
            yield from _nodes(child)
    for argument in getattr(expr, "args", None) or ():
        yield from _nodes(argument)


def _grouping(node: promql.Expr) -> list[str]:
    modifier = getattr(node, "modifier", None)
    if isinstance(node, promql.AggregateExpr):
        return list(modifier.labels) if modifier else []
    matching = getattr(modifier, "matching", None)
    return [
        *(matching.labels if matching else ()),
        *(getattr(modifier, "group_labels", None) or ()),
    ]


def _selected(selector: promql.VectorSelector) -> Selected:
    labels = frozenset(matcher.name for matcher in selector.matchers.matchers)
    return Selected(selector.name or "", labels - {"__name__"})
