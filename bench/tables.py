"""Medians and targets as tables, for the terminal and for the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable
from rich.text import Text

from bench.figures import CELERIAC, Medians, Target, is_met

NOT_MEASURED = "not measured"


class Table(NamedTuple):
    """Cells of text under a title; the columns from *numbers_from* on hold numbers."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    numbers_from: int = 1


def scenario_tables(medians: Medians) -> Iterator[Table]:
    """Yield a table for each scenario: a row for each figure, a column for each consumer."""
    for scenario in _distinct(scenario for scenario, _, _ in medians.values):
        keys = [key for key in medians.values if key[0] == scenario]
        consumers = _distinct(consumer for _, _, consumer in keys)
        rows = [
            (
                _label(medians, scenario, name),
                *(_cell(medians, (scenario, name, c)) for c in consumers),
            )
            for name in _distinct(name for _, name, _ in keys)
        ]
        yield Table(scenario, ("", *consumers), rows)


def target_table(medians: Medians, targets: Iterable[Target]) -> Table:
    """Return what was to be reached and what was."""
    rows = [_target_row(medians, target) for target in targets]
    columns = ("scenario", "figure", "target", "reached", "met")
    return Table("targets", columns, rows, numbers_from=3)


def as_markdown(table: Table) -> str:
    """Return the table as GitHub renders it, numbers to the right."""
    line = [
        "---:" if index >= table.numbers_from else "---" for index, _ in enumerate(table.columns)
    ]
    rows = [_markdown_row(row) for row in (table.columns, line, *table.rows)]
    return "\n".join([f"### {table.title}", "", *rows, ""])


def as_rich(table: Table) -> RichTable:
    """Return the table for a terminal."""
    shown = RichTable(title=table.title, title_justify="left", box=SIMPLE_HEAD)
    for index, column in enumerate(table.columns):
        is_number = index >= table.numbers_from
        shown.add_column(column, justify="right" if is_number else "left", no_wrap=is_number)
    for row in table.rows:
        shown.add_row(*map(Text, row), style="bold red" if row[-1] == "NO" else None)
    return shown


def number(value: float) -> str:
    """Return three digits, or all those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _label(medians: Medians, scenario: str, name: str) -> str:
    unit = medians.units[scenario, name]
    return name if unit == name else f"{name} ({unit})"


def _cell(medians: Medians, key: tuple[str, str, str]) -> str:
    value = medians.of(*key)
    if value is None:
        return ""
    ratio = None if key[2] == CELERIAC else medians.ratio(*key)
    return number(value) if ratio is None else f"{number(value)} ({number(ratio)} x)"


def _target_row(medians: Medians, target: Target) -> tuple[str, ...]:
    unit = medians.units.get((target.scenario, target.name), "")
    what = (target.scenario, target.name, target.sentence(unit).strip())
    reached = medians.reached(target)
    if reached is None:
        return (*what, NOT_MEASURED, "")
    shown = f"{number(reached)} {'x' if target.versus else unit}"
    return (*what, shown, "yes" if is_met(target, reached) else "NO")


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
