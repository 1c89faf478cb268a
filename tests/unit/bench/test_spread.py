"""Many durations as three figures."""

from __future__ import annotations

from bench.spread import p99, spread


def test_durations_become_three_figures() -> None:
    figures = list(spread("page", "flower", [5.0, 1.0, 3.0]))
    assert [(figure.name, figure.unit) for figure in figures] == [
        ("p50", "ms"), ("p99", "ms"), ("max", "ms")
    ]  # fmt: skip
    assert (figures[0].value, figures[2].value) == (3, 5)


def test_of_a_hundred_it_is_the_last_but_one() -> None:
    assert 99 <= p99(list(range(1, 101))) < 100


def test_of_a_few_it_is_not_beyond_the_greatest() -> None:
    assert 2 <= p99([1.0, 2.0, 3.0]) <= 3
