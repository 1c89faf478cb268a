"""What was measured, as tables for people."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bench.figures import BARE, CELERIAC, FLOWER, Figure, Medians, Target
from bench.tables import Table, as_markdown, as_rich, number, scenario_tables, target_table

MEDIANS = Medians(
    [
        Figure("page", CELERIAC, "p50", 2.5, "ms"),
        Figure("page", FLOWER, "p50", 75, "ms"),
        Figure("page", CELERIAC, "series", 10_692, "series"),
        Figure("quiet", CELERIAC, "share", 0.25, "%"),
    ]
)
TABLE = Table("page", ("", CELERIAC, FLOWER), [("p50 (ms)", "2.5", "75 (30 x)")])


def test_each_scenario_has_a_table_of_its_own() -> None:
    assert [table.title for table in scenario_tables(MEDIANS)] == ["page", "quiet"]


def test_a_figure_is_a_row_of_medians_with_ratios() -> None:
    page = next(scenario_tables(MEDIANS))
    assert page.columns == ("", CELERIAC, FLOWER)
    assert page.rows[0] == ("p50 (ms)", "2.5", "75 (30 x)")


def test_what_a_consumer_has_not_is_left_empty() -> None:
    page = next(scenario_tables(MEDIANS))
    assert page.rows[1] == ("series", "10,692", "")


def test_the_targets_say_what_was_reached() -> None:
    table = target_table(
        MEDIANS,
        [
            Target("page", "p50", 2),
            Target("page", "p50", 6, FLOWER, is_minimum=True),
            Target("page", "p50", 2, BARE, is_minimum=True),
        ],
    )
    assert table.rows == [
        ("page", "p50", "at most 2 ms", "2.5 ms", "NO"),
        ("page", "p50", "at least 6 x flower", "30 x", "yes"),
        ("page", "p50", "at least 2 x bare reader", "not measured", ""),
    ]


def test_markdown_has_numbers_to_the_right() -> None:
    assert as_markdown(TABLE) == (
        "### page\n\n"
        "|  | celeriac | flower |\n"
        "| --- | ---: | ---: |\n"
        "| p50 (ms) | 2.5 | 75 (30 x) |\n"
    )


def test_the_terminal_shows_every_cell() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(as_rich(TABLE))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert all(cell in shown for row in (TABLE.columns, *TABLE.rows) for cell in row)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.2345, "0.234"), (3.14159, "3.14"), (99.94, "99.9"), (1234567.8, "1,234,568")],
)
def test_a_number_has_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown
