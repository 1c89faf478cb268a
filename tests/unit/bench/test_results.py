"""Results come back from their file, for the tables to be printed again."""

from __future__ import annotations

from pathlib import Path

from bench.figures import Figure
from bench.results import Results

ABOUT = {"commit": "abc", "rounds": 2, "versions": {"python": "3.13.1"}}
FIGURES = [
    Figure("s", "celeriac", "CPU per event", 3.25, "µs"),
    Figure("s", "flower", "lost", 0, "%"),
]


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.jsonl"
    Results(ABOUT, FIGURES).write(path)
    assert Results.read(path) == Results(ABOUT, FIGURES)


def test_there_is_a_line_for_the_machine_before_a_line_for_each_figure(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    Results(ABOUT, FIGURES).write(path)
    first, *others = path.read_text().splitlines()
    assert '"commit"' in first
    assert len(others) == len(FIGURES)
