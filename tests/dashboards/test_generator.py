"""The generator refuses what would be wrong, and places what it is given."""

from __future__ import annotations

import pytest

from grafana.generate.dashboard import Dashboard, Row, RowTooWideError
from grafana.generate.panels import Panel, Query
from grafana.generate.queries import UnknownMetricError, each, gain, select, top_of_range
from grafana.generate.tables import Column, table


def panel(width: int) -> Panel:
    return Panel("stat", "one", "of them", (Query("up"),), width)


def places(*widths: int) -> list[tuple[int, int]]:
    rows = (Row("row", 4, tuple(panel(width) for width in widths)),)
    made = Dashboard("celeriac-test", "Test", "", rows).json()["panels"]
    return [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in made]


def test_panels_flow_from_left_to_right_under_their_row() -> None:
    assert places(8, 8, 8) == [(0, 0), (0, 1), (8, 1), (16, 1)]


def test_a_panel_that_does_not_fit_begins_a_new_line() -> None:
    assert places(12, 8, 8) == [(0, 0), (0, 1), (12, 1), (0, 5)]


def test_a_panel_wider_than_the_dashboard_is_refused() -> None:
    with pytest.raises(RowTooWideError):
        places(25)


def test_a_metric_that_nobody_exports_is_refused() -> None:
    with pytest.raises(UnknownMetricError):
        select("celery_tasks_total")


def test_a_series_counts_once_however_many_exporters_show_it() -> None:
    assert each("celery_queue_length").startswith("max without (instance, pod")


def test_what_rules_record_is_read_as_it_is() -> None:
    assert each("queue:celery_queue_length:max").startswith("queue:celery_queue_length:max{")


def test_each_exporter_gains_before_the_larger_is_taken() -> None:
    query = gain("celery_task_failed_total", over="1h")
    assert query.index("max without") < query.index("increase(")


def test_the_sidecar_is_looked_for_in_its_own_job() -> None:
    assert 'job=~"$sidecar"' in select("celeriac_sidecar_audit_head")


def test_the_top_of_a_range_is_the_same_at_every_step() -> None:
    assert top_of_range("a", "queue", "b @ end()") == "a and on (queue) topk(10, b @ end())"


def test_columns_are_named_in_the_order_they_are_given() -> None:
    made = table(
        "t", "d", [Column("Size", Query("a")), Column("Of", "queue"), Column("N", Query("b"))]
    )
    organize = made.transformations[-1]["options"]
    assert organize["renameByName"] == {"Value #A": "Size", "queue": "Of", "Value #B": "N"}
    assert organize["indexByName"] == {"Value #A": 0, "queue": 1, "Value #B": 2}
