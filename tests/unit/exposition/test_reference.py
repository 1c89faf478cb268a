"""``docs/metrics.md`` and the table it is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from celeriac.exposition import compat
from celeriac.exposition.families import FAMILIES, Family
from celeriac.exposition.reference import markdown

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
EVERYTHING = (*FAMILIES, *compat.FAMILIES)


def test_the_docs_are_what_the_command_prints() -> None:
    assert DOCS.read_text(encoding="utf-8") == markdown()


@pytest.mark.parametrize("family", EVERYTHING, ids=[family.name for family in EVERYTHING])
def test_every_family_has_its_row(family: Family) -> None:
    labels = ", ".join(family.labels) or "none"
    assert f"| {family.name} | {family.kind} | {labels} | {family.help} |\n" in markdown()


def test_no_cell_breaks_its_table() -> None:
    for line in markdown().splitlines():
        if line.startswith("|"):
            assert line.count("|") in (4, 5), line
