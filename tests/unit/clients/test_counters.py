"""What counters gained is exactly what brute force over all samples says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.clients import counters
from celeriac.clients.counters import CounterHistory, totals
from celeriac.clients.prometheus_answers import Point, Span
from celeriac.clients.resets import Families, Key
from celeriac.clients.scrapes import Scrapes, target_of
from parts.memory_prometheus import MemoryPrometheus, gain, key

STEP_MS = 15_000
FAMILIES = Families(
    counted=frozenset({"ok_total", "bad_total", "missed_total"}),
    companions=frozenset({"seconds_count", "errors_total"}),
)
SERIES = [
    key(name, task=task, instance=instance, job="celeriac")
    for name in ("ok_total", "bad_total", "errors_total", "seconds_count")
    for task in ("a", "b.c", 'x"} or up{a="')
    for instance in ("one", "two")
] + [key("missed_total", instance="one", job="celeriac")]
TICKS = 36
MARKS = [12 * STEP_MS + 7, 24 * STEP_MS + 7, 36 * STEP_MS + 7]
# The first sample is out of sight.
LOOK_BACK_MS = 24 * STEP_MS
# Whether ranges are closed on their left, and whether resets() looks at the sample before.
SERVERS = [(True, False), (False, False), (False, True)]


@pytest.fixture(autouse=True, scope="module")
def _short_looks() -> Iterator[None]:
    """Make the first look see a few samples and the look-back nearly all, so that both are used."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counters, "NEAR_MS", 2 * STEP_MS)
        patch.setattr(counters, "FARTHER_MS", (4 * STEP_MS, 1 << 60))
        patch.setattr(counters, "LOOK_BACK_MS", LOOK_BACK_MS)
        yield


def history(values: Sequence[int | None]) -> list[Point]:
    """Return samples at every tick but those without a value."""
    return [(tick * STEP_MS + 1, float(v)) for tick, v in enumerate(values) if v is not None]


# Small values recover from a reset within a step, stand still, and fall by one.
anything = st.lists(st.one_of(st.none(), st.integers(0, 5)), min_size=TICKS, max_size=TICKS)
ticks = st.integers(0, TICKS)


@st.composite
def climbing(draw: st.DrawFn) -> list[int | None]:
    """Born at some tick, gone at another, absent at times, reset at times."""
    born, gone = draw(st.integers(-20, 30)), draw(st.integers(10, 60))
    resets = draw(st.sets(ticks, max_size=4))
    away = draw(st.lists(st.tuples(ticks, st.integers(1, 20)), max_size=2))
    steps = draw(st.lists(st.integers(0, 3), min_size=TICKS, max_size=TICKS))
    values: list[int | None] = []
    value = 0
    for tick, step in enumerate(steps):
        value = step + (0 if tick in resets else value)
        is_away = any(start <= tick < start + length for start, length in away)
        values.append(None if is_away or not born <= tick < gone else value)
    return values


def read(
    samples: Mapping[Key, Sequence[Point]], server: tuple[bool, bool] = SERVERS[0]
) -> tuple[MemoryPrometheus, Sequence[Mapping[Key, float]], Scrapes]:
    prometheus = MemoryPrometheus(samples, *server)
    asked = CounterHistory(prometheus, FAMILIES, [("job", "celeriac")], MARKS)
    moved = asked.moved()
    gains, scrapes = asked.read()
    gained = {one.name for found in gains for one, gained in found.items() if gained}
    assert gained & FAMILIES.counted <= moved
    return prometheus, gains, scrapes


def assert_exact(samples: Mapping[Key, Sequence[Point]], server: tuple[bool, bool]) -> None:
    _, gains, _ = read(samples, server)
    for found, marks in zip(gains, pairwise(MARKS), strict=True):
        for one, points in samples.items():
            if one.name in FAMILIES.counted:
                in_sight = [point for point in points if point[0] > MARKS[1] - LOOK_BACK_MS]
                assert found.get(one, 0.0) == gain(in_sight, Span(*marks)), one


@pytest.mark.parametrize("server", SERVERS)
@given(st.dictionaries(st.sampled_from(SERIES), climbing(), max_size=6))
def test_gains_are_exact_with_births_gaps_and_resets(
    server: tuple[bool, bool], drawn: dict[Key, list[int | None]]
) -> None:
    assert_exact({one: history(values) for one, values in drawn.items()}, server)


@pytest.mark.parametrize("server", SERVERS)
@given(st.dictionaries(st.sampled_from(SERIES), anything, max_size=4))
def test_gains_are_exact_whatever_the_samples_are(
    server: tuple[bool, bool], drawn: dict[Key, list[int | None]]
) -> None:
    assert_exact({one: history(values) for one, values in drawn.items()}, server)


def of(name: str, task: str = "a", instance: str = "one", **labels: str) -> Key:
    return key(name, task=task, instance=instance, job="celeriac", **labels)


def counted(start: int, restart: int | None = None) -> list[Point]:
    """Return a counter that goes up by one a tick, with a restart at some tick."""
    return history(
        [
            tick + start if restart is None or tick < restart else tick - restart
            for tick in range(TICKS)
        ]
    )


@pytest.mark.parametrize("server", SERVERS)
def test_a_restart_needs_the_samples_of_one_series_only(server: tuple[bool, bool]) -> None:
    series = [of("ok_total", task=f"t{n}") for n in range(50)]
    prometheus, gains, _ = read({one: counted(100, restart=30) for one in series}, server)
    assert set(gains[1].values()) == {10.0}
    # Of the others two samples each, and those of three to tell when there were scrapes.
    assert prometheus.points_read < 4 * TICKS + 50 * 3


def test_a_histogram_is_reset_with_its_counters_even_if_it_does_not_fall() -> None:
    values = [3] * 30 + [4] * 6
    samples = {of("ok_total"): counted(100, restart=30), of("seconds_count"): history(values)}
    _, gains, _ = read(samples)
    assert gains[1][of("seconds_count")] == 4.0


def test_a_histogram_of_another_task_is_not() -> None:
    samples = {
        of("ok_total"): counted(100, restart=30),
        of("ok_total", task="b"): counted(100),
        of("seconds_count", task="b"): counted(100),
    }
    _, gains, _ = read(samples)
    assert gains[1][of("seconds_count", task="b")] == 11.0


def test_a_histogram_that_falls_alone_counts_from_zero() -> None:
    samples = {of("ok_total"): counted(0), of("seconds_count"): counted(100, restart=30)}
    _, gains, _ = read(samples)
    assert gains[1][of("seconds_count")] == 5.0


def test_the_look_back_is_bounded() -> None:
    values = [None] * TICKS
    values[-1] = 1_000
    early = [(-100 * STEP_MS, 999.0), *history(values)]
    _, gains, _ = read({of("ok_total"): early})
    assert gains[1][of("ok_total")] == 1_000.0


def test_the_heartbeat_tells_when_there_were_scrapes() -> None:
    beat = key("celery_active_workers", instance="one", job="celeriac")
    late = history([None] * 30 + [1] * 6)
    _, _, scrapes = read({beat: counted(0), of("ok_total"): late})
    assert scrapes.gaps(Span(MARKS[1], MARKS[2])) == []


def test_without_one_the_longest_series_does() -> None:
    late = history([None] * 30 + [1] * 6)
    _, _, scrapes = read({of("bad_total"): late, of("ok_total"): counted(0)})
    assert scrapes.gaps(Span(MARKS[1], MARKS[2])) == []
    assert scrapes.resolution_ms() == STEP_MS


def summed(gains: Mapping[Key, float], shifts: Mapping[str, int]) -> float:
    found = totals(
        gains, {target_of(of("", instance=name).labels): n for name, n in shifts.items()}
    )
    return sum(found["ok_total"].values())


def test_replicas_count_once() -> None:
    gains = {of("ok_total"): 5.0, of("ok_total", instance="two"): 7.0}
    assert summed(gains, {"one": 1, "two": 1}) == 7.0


def test_an_exporter_that_moved_counts_in_both_places() -> None:
    gains = {of("ok_total"): 5.0, of("ok_total", instance="two"): 7.0}
    assert summed(gains, {"one": 1, "two": 2}) == 12.0


def test_clusters_are_added_up() -> None:
    gains = {of("ok_total"): 5.0, of("ok_total", namespace="other"): 7.0}
    assert summed(gains, {}) == 12.0


def test_tasks_are_kept_apart() -> None:
    gains = {of("ok_total"): 5.0, of("ok_total", task="b"): 7.0}
    own = totals(gains, {})["ok_total"]
    assert own == {frozenset({("task", "a")}): 5.0, frozenset({("task", "b")}): 7.0}
