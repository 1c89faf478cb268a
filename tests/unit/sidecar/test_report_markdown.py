"""The document against a file. Renew with ``RENEW_GOLDEN=1 pytest tests/unit -k golden``."""

from __future__ import annotations

import os
from pathlib import Path

from reported import report, task, troubled

from celeriac.sidecar.recommendations import recommend
from celeriac.sidecar.report_markdown import MAX_ROWS, markdown

GOLDEN = Path(__file__).parents[2] / "golden" / "report.md"


def test_the_document_is_the_golden_one() -> None:
    made = troubled()
    made.recommendations = recommend(made)
    text = markdown(made)
    if os.environ.get("RENEW_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_a_name_breaks_no_table() -> None:
    (row,) = (line for line in markdown(troubled()).splitlines() if "evil" in line)
    assert row.startswith(r"| evil\|\`name\` \<script\> |")


def test_long_tables_are_cut() -> None:
    rows = [task(f"t{n}") for n in range(MAX_ROWS + 3)]
    assert "And 3 more." in markdown(report(tasks=rows))


def test_what_is_empty_says_so() -> None:
    assert "## Exceptions" not in markdown(report(top_exceptions=[]))
    assert "## Top exceptions\n\nNone.\n" in markdown(report(top_exceptions=[]))
