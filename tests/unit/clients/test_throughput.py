"""The best minute is found, whatever else happens to the counters."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from celeriac.clients.prometheus_answers import Point, Span
from celeriac.clients.resets import Key
from celeriac.clients.throughput import BestMinute, Minute
from parts.memory_prometheus import MemoryPrometheus, key

STEP_MS = 15_000
MINUTE_MS = 60_000
START = 600_000
WINDOW = Span(START, START + 30 * MINUTE_MS)
NAMES = frozenset({"ok_total", "bad_total"})
OK = key("ok_total", task="a", instance="one", job="celeriac")


def climb(rates: Sequence[float], start: int = START - 5 * MINUTE_MS) -> list[Point]:
    """Return a counter that goes up by so much in each step."""
    points, value = [], 0.0
    for tick, rate in enumerate(rates):
        value += rate
        points.append((start + tick * STEP_MS + 1_000, value))
    return points


def steady(minutes: int = 35) -> list[float]:
    return [1.0] * (4 * minutes)


def burst_in(minute: int, rates: list[float], size: float = 25.0) -> list[float]:
    # Samples come a second after their tick, and five minutes lie before the window.
    first = 4 * (5 + minute)
    return [*rates[:first], *([size] * 4), *rates[first + 4 :]]


def find(samples: dict[Key, list[Point]], window: Span = WINDOW) -> Minute | None:
    return BestMinute(MemoryPrometheus(samples), NAMES, [("job", "celeriac")], window).find()


def test_a_burst_is_the_best_minute() -> None:
    found = find({OK: climb(burst_in(12, steady()))})
    assert found == Minute(Span(START + 12 * MINUTE_MS, START + 13 * MINUTE_MS), 100.0)


def test_nothing_done_has_no_best_minute() -> None:
    assert find({}) is None
    assert find({OK: climb([0.0] * 140)}) is None


def test_of_equal_minutes_the_first_is_best() -> None:
    found = find({OK: climb(steady())})
    assert found is not None
    assert found.span.start == START


def test_a_restart_looks_like_no_burst() -> None:
    rates = climb(burst_in(12, steady()))
    big = [(at, value + 10_000) for at, value in rates[:100]]
    restarted = climb(steady(10), rates[100][0] - 1_000)
    found = find({OK: [*big, *restarted]})
    assert found is not None
    assert (found.span.start, found.gain) == (START + 12 * MINUTE_MS, 100.0)


def test_an_exporter_that_comes_back_after_a_gap_looks_like_no_burst() -> None:
    points = [(at, value + 10_000) for at, value in climb(burst_in(12, steady()))]
    gap = range(START + 16 * MINUTE_MS, START + 26 * MINUTE_MS)
    found = find({OK: [point for point in points if point[0] not in gap]})
    assert found is not None
    assert (found.span.start, found.gain) == (START + 12 * MINUTE_MS, 100.0)


def test_what_was_gained_in_two_minutes_counts_half_in_each() -> None:
    points = climb(steady())
    gap = range(START + 16 * MINUTE_MS, START + 18 * MINUTE_MS)
    kept = [point for point in points if point[0] not in gap]
    counted = find({OK: [(at, v + (500 if at > gap.stop else 0)) for at, v in kept]})
    assert counted is not None
    assert counted.gain == pytest.approx(3 + (9 + 500) * 60 / 135)


def test_a_series_that_begins_large_is_no_burst() -> None:
    late = key("bad_total", task="a", instance="one", job="celeriac")
    points = [(at, value + 10_000) for at, value in climb(steady())[60:]]
    found = find({OK: climb(burst_in(12, steady())), late: points})
    assert found is not None
    assert found.span.start == START + 12 * MINUTE_MS


def test_families_are_added_up() -> None:
    bad = key("bad_total", task="a", instance="one", job="celeriac")
    rates = climb(burst_in(12, steady()))
    found = find({OK: rates, bad: rates})
    assert found is not None
    assert found.gain == 200.0


def test_replicas_are_not_added_up() -> None:
    spare = key("ok_total", task="a", instance="two", job="celeriac")
    rates = climb(burst_in(12, steady()))
    found = find({OK: rates, spare: rates})
    assert found is not None
    assert found.gain == 100.0


def test_clusters_are_added_up() -> None:
    other = key("ok_total", task="a", instance="one", job="celeriac", cluster="b")
    rates = climb(burst_in(12, steady()))
    found = find({OK: rates, other: rates})
    assert found is not None
    assert found.gain == 200.0


def test_the_rest_of_a_minute_at_the_end_counts() -> None:
    window = Span(START, START + 10 * MINUTE_MS + 20_000)
    found = find({OK: climb(burst_in(10, steady()))}, window)
    assert found is not None
    assert found.span == Span(START + 10 * MINUTE_MS, window.end)
    assert found.per_second == 2 * 25 / 20


def test_a_window_shorter_than_a_minute_is_its_own_best_minute() -> None:
    found = find({OK: climb(steady())}, Span(START, START + 30_000))
    assert found is not None
    assert found.per_second == 2 / 30
