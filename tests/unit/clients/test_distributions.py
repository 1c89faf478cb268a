"""Means and percentiles of what a histogram gained."""

from __future__ import annotations

import pytest

from celeriac.clients.counters import Totals
from celeriac.clients.distributions import by_label, distributions, percent, whole

BUCKETS = {"0.1": 50.0, "0.5": 90.0, "1.0": 99.0, "+Inf": 100.0}


def labels(**pairs: str) -> frozenset[tuple[str, str]]:
    return frozenset(pairs.items())


def histogram(task: str = "a", queue: str = "q") -> Totals:
    place = {"task": task, "queue": queue}
    return {
        "seconds_bucket": {labels(le=le, **place): gain for le, gain in BUCKETS.items()},
        "seconds_sum": {labels(**place): 30.0},
        "seconds_count": {labels(**place): 100.0},
    }


@pytest.mark.parametrize(
    ("quantile", "milliseconds"), [(0.25, 50.0), (0.5, 100.0), (0.7, 300.0), (0.99, 1000.0)]
)
def test_a_percentile_is_interpolated_in_its_bucket(quantile: float, milliseconds: float) -> None:
    found = distributions(histogram(), "seconds")[""]
    assert found.quantile_ms(quantile) == milliseconds


def test_a_percentile_above_all_bounds_is_the_last_of_them() -> None:
    assert distributions(histogram(), "seconds")[""].quantile_ms(0.999) == 1000.0


def test_the_mean_is_exact() -> None:
    assert distributions(histogram(), "seconds")[""].mean_ms() == 300.0


def test_nothing_observed_has_no_figures() -> None:
    found = distributions({}, "seconds")["a"]
    assert found.execution_times() == {
        "avg_execution_time_ms": None,
        "p50_execution_time_ms": None,
        "p95_execution_time_ms": None,
        "p99_execution_time_ms": None,
    }


def test_bounds_that_are_written_differently_are_the_same() -> None:
    totals = {"seconds_bucket": {labels(le="1"): 1.0, labels(le="1.0", task="b"): 2.0}}
    assert dict(distributions(totals, "seconds")[""].up_to) == {1.0: 3.0}


def test_a_histogram_is_told_apart_by_a_label() -> None:
    assert set(distributions(histogram("b"), "seconds", "task")) == {"b"}


def test_a_counter_is_added_up_by_a_label() -> None:
    totals = {
        "x_total": {
            labels(task="a", queue="q"): 2.0,
            labels(task="a", queue="r"): 3.0,
            labels(task="b", queue="q"): 5.0,
        }
    }
    assert by_label(totals, "x_total", "task") == {"a": 5, "b": 5}
    assert by_label(totals, "x_total", "task", queue="q") == {"a": 2, "b": 5}
    assert whole(totals, "x_total") == 10


def test_a_share_of_nothing_is_unknown() -> None:
    assert percent(1, 0) is None
    assert percent(None, 1) is None
