"""``python -m bench``: measure Celeriac beside the others, and show the tables."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click

from bench import others
from bench.machine import describe
from bench.report import show
from bench.results import Results
from bench.rounds import Rounds
from bench.scenarios import SCENARIOS
from bench.stage import ROOT, Stage

FOLDER = ROOT / ".bench"
NAMES = tuple(scenario.NAME for scenario in SCENARIOS)
A_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--full", "is_full", is_flag=True, help="The loads of the documented figures.")
@click.option("--rounds", default=1, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--only",
    "names",
    multiple=True,
    type=click.Choice(NAMES),
    help="This scenario; may be repeated.  [default: all of them]",
)
@click.option("--without-others", is_flag=True, help="Only Celeriac and the bare reader.")
@click.option("--markdown", "is_markdown", is_flag=True, help="Print the tables as Markdown.")
@click.option(
    "--output", type=A_FILE, help="Where the JSON lines go.  [default: .bench/results/DATE.jsonl]"
)
@click.option("--read", "earlier", type=A_FILE, help="Only print the tables of these JSON lines.")
def main(
    *,
    is_full: bool,
    rounds: int,
    names: tuple[str, ...],
    without_others: bool,
    is_markdown: bool,
    output: Path | None,
    earlier: Path | None,
) -> None:
    """Measure Celeriac beside celery-exporter and Flower: the same work in the same run.

    Exits with 1 if anything was counted wrongly. A figure that was missed is only shown.
    """
    if earlier is not None:
        show(Results.read(earlier), is_markdown=is_markdown)
        return
    path = output or FOLDER / "results" / f"{datetime.now().astimezone():%Y-%m-%d-%H%M%S}.jsonl"
    with _stage(is_full=is_full, without_others=without_others) as stage:
        run = Rounds([each for each in SCENARIOS if each.NAME in (names or NAMES)], stage, rounds)
        results = _measured(run, path)
    show(results, is_markdown=is_markdown)
    run.stage.say(f"the figures are in {path}")
    sys.exit(1 if run.wrong_counts else 0)


def _measured(run: Rounds, path: Path) -> Results:
    """Measure everything; what there is so far is on disk."""
    results = Results(describe(run.stage.others) | run.description)
    for figure in run:
        results.figures.append(figure)
        results.write(path)
    results.write(path)
    return results


@contextmanager
def _stage(*, is_full: bool, without_others: bool) -> Iterator[Stage]:
    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"bench: {time.monotonic() - began:5.0f} s  {text}", err=True)

    FOLDER.mkdir(exist_ok=True)
    python = None if without_others else others.install(say)
    # Not in /tmp, which may be memory: the loads are up to a gigabyte.
    with tempfile.TemporaryDirectory(prefix="loads-", dir=FOLDER) as folder:
        yield Stage(is_full, Path(folder), python, say)


if __name__ == "__main__":
    main()
