"""The results of a run for its reader, on the terminal or as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console

from bench.figures import Medians
from bench.results import Results
from bench.scenarios import SCENARIOS
from bench.tables import Table, as_markdown, as_rich, scenario_tables, target_table


def show(results: Results, *, is_markdown: bool) -> None:
    """Print where it was measured, each scenario's table, and which targets were reached."""
    tables = _tables(results)
    click.echo("\n".join(_preface(results.about)))
    if is_markdown:
        click.echo("\n" + "\n".join(map(as_markdown, tables)))
        return
    console = Console()
    for table in tables:
        console.print()
        console.print(as_rich(table))


def _tables(results: Results) -> list[Table]:
    medians = Medians(results.figures)
    chosen = [scenario for scenario in SCENARIOS if scenario.NAME in results.about["scenarios"]]
    targets = [target for scenario in chosen for target in scenario.TARGETS]
    return [*scenario_tables(medians), target_table(medians, targets)]


def _preface(about: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{about['processor']}, {about['cores']} cores, {about['memory_megabytes']:,} MB, "
        f"{about['system']}; {about['date']}, commit {about['commit'] or 'unknown'}."
    )
    yield f"{_releases(about['versions'])}."
    if about["others"]:
        yield f"The others: {_releases(about['others'])}."
    form = "Full" if about["is_full"] else "Short"
    yield (
        f"{form} form, medians of {about['rounds']} round(s); "
        "in brackets, how many times better Celeriac is."
    )
    for wrong in about["wrong_counts"]:
        yield f"WRONG COUNT in {wrong}"


def _releases(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {release}" for name, release in versions.items())
