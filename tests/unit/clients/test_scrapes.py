"""Resolution, gaps, and which exporters stood in for each other."""

from __future__ import annotations

from celeriac.clients.prometheus_answers import Labels, Span
from celeriac.clients.scrapes import Scrapes, cluster_of, target_of

STEP_MS = 15_000
WINDOW = Span(0, 100 * STEP_MS)


def target(instance: str, **labels: str) -> Labels:
    return frozenset({"instance": instance, "job": "celeriac", **labels}.items())


def ticks(first: int, last: int) -> list[int]:
    return [tick * STEP_MS + 1 for tick in range(first, last)]


def test_a_target_is_what_the_series_of_a_page_share() -> None:
    labels = target("a") | {("task", "t"), ("queue", "q"), ("le", "1"), ("worker", "w")}
    assert target_of(labels) == target("a")


def test_replicas_differ_only_in_where_they_run() -> None:
    assert cluster_of(target("a", pod="x")) == cluster_of(target("b", pod="y"))
    assert cluster_of(target("a", namespace="x")) != cluster_of(target("a", namespace="y"))


def test_the_resolution_is_the_usual_step() -> None:
    assert Scrapes({target("a"): [0, 15_000, 30_010, 90_000]}).resolution_ms() == 15_010


def test_nobody_knows_the_resolution_of_one_sample() -> None:
    assert Scrapes({target("a"): [1]}).resolution_ms() is None


def test_a_late_scrape_is_no_gap() -> None:
    times = [time for time in ticks(0, 100) if time != 50 * STEP_MS + 1]
    assert Scrapes({target("a"): times}).gaps(WINDOW) == []


def test_two_missing_scrapes_are_a_gap() -> None:
    scrapes = Scrapes({target("a"): ticks(0, 50) + ticks(52, 100)})
    assert scrapes.gaps(WINDOW) == [Span(49 * STEP_MS + 1, 52 * STEP_MS + 1)]


def test_there_is_no_gap_while_a_replica_is_scraped() -> None:
    scrapes = Scrapes({target("a"): ticks(0, 50), target("b"): ticks(49, 100)})
    assert scrapes.gaps(WINDOW) == []


def test_another_cluster_fills_no_gap() -> None:
    other = target("a", namespace="other")
    scrapes = Scrapes({target("a"): ticks(0, 50) + ticks(60, 100), other: ticks(0, 100)})
    assert len(scrapes.gaps(WINDOW)) == 1


def test_a_window_without_a_sample_is_one_gap() -> None:
    assert Scrapes({}).gaps(WINDOW) == [WINDOW]


def test_a_window_that_begins_before_the_first_sample_begins_with_a_gap() -> None:
    assert Scrapes({target("a"): ticks(10, 100)}).gaps(WINDOW) == [Span(0, 10 * STEP_MS + 1)]


def test_replicas_side_by_side_share_a_shift() -> None:
    scrapes = Scrapes({target("a"): ticks(0, 60), target("b"): ticks(40, 100)})
    assert scrapes.shifts(WINDOW) == {target("a"): 1, target("b"): 1}


def test_an_exporter_that_moved_has_a_shift_of_its_own() -> None:
    scrapes = Scrapes({target("a"): ticks(0, 40), target("b"): ticks(41, 100)})
    assert scrapes.shifts(WINDOW) == {target("a"): 1, target("b"): 2}


def test_clusters_do_not_share_shifts() -> None:
    other = target("b", namespace="other")
    scrapes = Scrapes({target("a"): ticks(0, 40), other: ticks(41, 100)})
    assert scrapes.shifts(WINDOW) == {target("a"): 1, other: 1}


def test_a_target_is_silent_between_two_of_its_samples() -> None:
    scrapes = Scrapes({target("a"): ticks(0, 10)})
    assert scrapes.is_silent(target("a"), Span(1, STEP_MS + 1))
    assert not scrapes.is_silent(target("a"), Span(1, 2 * STEP_MS + 1))
