"""Tables: a row for each combination of labels, a column for each query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from grafana.generate.links import Link, Runbook
from grafana.generate.looks import NEUTRAL, Below, Json, Levels, Words, mappings
from grafana.generate.panels import NOTHING, Panel, Query, defaults_of, named, ref


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: a label, or the value of a query."""

    title: str
    of: str | Query
    unit: str = "none"
    levels: Levels | Below = NEUTRAL
    words: Words = field(default_factory=dict)
    link: Link | Runbook | None = None
    width: int | None = None
    decimals: int | None = None


def table(
    title: str,
    description: str,
    columns: Sequence[Column],
    *,
    width: int = 8,
    sort: str = "",
    hidden: Sequence[Query] = (),
    nothing: str = NOTHING,
) -> Panel:
    """One row for each combination of labels; queries with the same labels share a row.

    *sort* is a column, the largest first, or with ``-`` before it the smallest. *hidden* queries
    have labels to add and no column.
    """
    queries = (*(c.of for c in columns if isinstance(c.of, Query)), *hidden)
    names = _source_names(columns, len(queries))
    order = {name: place for place, name in enumerate(names.values())}
    return Panel(
        "table", title, description, queries, width,
        options={
            "showHeader": True,
            "cellHeight": "sm",
            "sortBy": [_sorted_by(sort)] if sort else [],
        },
        defaults=defaults_of("none", NEUTRAL, None, nothing)
        | {"custom": {"align": "auto"}, "mappings": []},
        overrides=tuple(named(column.title, *_column(column)) for column in columns),
        transformations=(
            {"id": "merge", "options": {}},
            {"id": "filterFieldsByName", "options": {"include": {"names": list(order)}}},
            {"id": "organize", "options": {
                "indexByName": order,
                "renameByName": {names[c.title]: c.title for c in columns},
                "excludeByName": {},
            }},
        ),
        is_instant=True, is_table=True,
    )  # fmt: skip


def _source_names(columns: Sequence[Column], query_count: int) -> dict[str, str]:
    """Return how Grafana calls each column, by its title, in the order of the columns."""
    names, number = {}, 0
    for column in columns:
        if isinstance(column.of, str):
            names[column.title] = column.of
        else:
            names[column.title] = f"Value #{ref(number)}" if query_count > 1 else "Value"
            number += 1
    return names


def _sorted_by(sort: str) -> Json:
    return {"displayName": sort.removeprefix("-"), "desc": not sort.startswith("-")}


def _column(column: Column) -> list[Mapping[str, object]]:
    properties: list[Mapping[str, object]] = [
        {"id": "unit", "value": column.unit},
        # The panel's own words for "nothing" stand for the whole table, not for a cell.
        {"id": "noValue", "value": "-"},
    ]
    if column.decimals is not None:
        properties.append({"id": "decimals", "value": column.decimals})
    if column.width:
        properties.append({"id": "custom.width", "value": column.width})
    if column.words:
        properties.append({"id": "mappings", "value": mappings(column.words, "-")})
    if column.words or column.levels is not NEUTRAL:
        properties.append({"id": "thresholds", "value": column.levels.json()})
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    if column.link:
        properties.append({"id": "links", "value": [column.link.of_cell()]})
    return properties
