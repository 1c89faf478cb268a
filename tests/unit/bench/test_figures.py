"""Medians of several runs, ratios between consumers, and whether a target is met."""

from __future__ import annotations

import pytest

from bench.figures import BARE, CELERIAC, FLOWER, Figure, Medians, Target, is_met

FIGURES = [
    *(Figure("s", CELERIAC, "rate", value, "events/s") for value in (900, 1000, 5000)),
    *(Figure("s", FLOWER, "rate", value, "events/s") for value in (40, 60)),
    Figure("s", CELERIAC, "time", 2, "ms"),
    Figure("s", FLOWER, "time", 30, "ms"),
    Figure("s", CELERIAC, "lost", 0, "events"),
    Figure("s", FLOWER, "lost", 7, "events"),
]


@pytest.fixture
def medians() -> Medians:
    return Medians(FIGURES)


def test_one_outlier_does_not_move_the_median(medians: Medians) -> None:
    assert medians.of("s", "rate", CELERIAC) == 1000


def test_of_two_runs_it_is_the_middle(medians: Medians) -> None:
    assert medians.of("s", "rate", FLOWER) == 50


def test_the_runs_are_counted(medians: Medians) -> None:
    assert medians.runs["s", "rate", CELERIAC] == 3


def test_a_higher_rate_is_better(medians: Medians) -> None:
    assert medians.ratio("s", "rate", FLOWER) == 20


def test_a_shorter_time_is_better(medians: Medians) -> None:
    assert medians.ratio("s", "time", FLOWER) == 15


def test_nothing_is_a_multiple_of_zero(medians: Medians) -> None:
    assert medians.ratio("s", "lost", FLOWER) is None


def test_more_series_are_neither_better_nor_worse() -> None:
    medians = Medians([Figure("s", who, "series", 10, "series") for who in (CELERIAC, FLOWER)])
    assert medians.ratio("s", "series", FLOWER) is None


def test_without_the_other_there_is_no_ratio(medians: Medians) -> None:
    assert medians.ratio("s", "rate", BARE) is None


@pytest.mark.parametrize(
    ("target", "reached"),
    [
        (Target("s", "rate", 25, FLOWER, is_minimum=True), 20),
        (Target("s", "time", 10, FLOWER, is_minimum=True), 15),
        (Target("s", "time", 10), 2),
        (Target("s", "lost", 0), 0),
        (Target("s", "rate", 1, BARE, is_minimum=True), None),
        (Target("s", "memory", 60), None),
    ],
)
def test_a_target_is_compared_with(medians: Medians, target: Target, reached: float | None) -> None:
    assert medians.reached(target) == reached


@pytest.mark.parametrize(("reached", "met"), [(24.9, False), (25, True), (26, True)])
def test_a_minimum_is_met_from_the_bound_on(reached: float, met: bool) -> None:
    assert is_met(Target("s", "rate", 25, FLOWER, is_minimum=True), reached) is met


@pytest.mark.parametrize(("reached", "met"), [(9, True), (10, True), (10.1, False)])
def test_a_maximum_is_met_up_to_the_bound(reached: float, met: bool) -> None:
    assert is_met(Target("s", "time", 10), reached) is met


def test_a_target_is_a_sentence() -> None:
    assert Target("s", "time", 10).sentence("ms") == "at most 10 ms"
    ratio = Target("s", "rate", 25, FLOWER, is_minimum=True)
    assert ratio.sentence("events/s") == "at least 25 x flower"
