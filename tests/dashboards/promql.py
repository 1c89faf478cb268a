"""What a query asks for: its selectors, and the functions around them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import promql_parser

Matchers = frozenset[tuple[str, str, str]]
_OPERATORS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


@dataclass(frozen=True)
class Selector:
    """A metric with its matchers, the range it is read over, and the function that reads it."""

    name: str
    matchers: Matchers
    over: dt.timedelta | None
    function: str


@dataclass
class Query:
    """A query that could be parsed."""

    selectors: list[Selector] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    """What it groups and joins by."""


def parse(text: str) -> Query:
    """Return what is asked for. Errors: ValueError where Prometheus would refuse it."""
    query = Query()
    _walk(promql_parser.parse(text), "", query)
    return query


def _walk(node: Any, function: str, query: Query) -> None:
    match type(node).__name__:
        case "VectorSelector":
            query.selectors.append(_selector(node, None, function))
        case "MatrixSelector":
            query.selectors.append(_selector(node.vector_selector, node.range, function))
        case "AggregateExpr":
            query.labels |= set(node.modifier.labels) if node.modifier else set()
        case "BinaryExpr" if node.modifier and node.modifier.matching:
            query.labels |= set(node.modifier.matching.labels)
    inner = node.func.name if type(node).__name__ == "Call" else function
    for child in _children(node):
        _walk(child, inner, query)


def _children(node: Any) -> Iterator[Any]:
    yield from getattr(node, "args", ())
    for name in ("lhs", "rhs", "expr", "param"):
        child = getattr(node, name, None)
        if isinstance(child, promql_parser.Expr):
            yield child


def _selector(node: Any, over: dt.timedelta | None, function: str) -> Selector:
    matchers = (
        (m.name, _OPERATORS[str(m.op).rpartition(".")[2]], m.value) for m in node.matchers.matchers
    )
    return Selector(node.name or "", frozenset(matchers), over, function)


def _operator(matcher: Any) -> str:
    return _OPERATORS[str(matcher.op).rpartition(".")[2]]
