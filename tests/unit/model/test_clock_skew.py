"""How far a worker's clock is from ours, told by its heartbeats."""

from __future__ import annotations

import pytest
from cluster import WORKER, Cluster, report

from celeriac.model.clock_skew import HEARTBEATS_REMEMBERED
from celeriac.sources.wire import WorkerEvent

FAMILY = "celery_worker_clock_skew_seconds"


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    made.state.listening(made.now)
    return made


def beat(cluster: Cluster, ahead_seconds: float, travel_seconds: float = 0.0) -> None:
    """Let a heartbeat arrive now that was stamped by a clock which is ahead."""
    stamp = cluster.now.wall + ahead_seconds - travel_seconds
    event = WorkerEvent("worker-heartbeat", WORKER, timestamp=stamp, pid=100, freq=2.0)
    cluster.state.apply_worker_event(event, cluster.now)


def skew(cluster: Cluster) -> object:
    return cluster.show(FAMILY).get((WORKER,))


def test_a_clock_that_is_ahead_shows_how_far(cluster: Cluster) -> None:
    beat(cluster, 90.0)
    assert skew(cluster) == pytest.approx(90.0)


def test_a_clock_that_is_behind_is_negative(cluster: Cluster) -> None:
    beat(cluster, -90.0)
    assert skew(cluster) == pytest.approx(-90.0)


def test_the_fastest_heartbeat_is_the_measure(cluster: Cluster) -> None:
    for travel_seconds in (0.5, 0.001, 2.0):
        beat(cluster, 0.0, travel_seconds)
    assert skew(cluster) == pytest.approx(-0.001, abs=1e-5)


def test_heartbeats_that_waited_for_us_do_not_count_once_others_have_come(cluster: Cluster) -> None:
    for waited_seconds in (600.0, 598.0, 0.01):
        beat(cluster, 0.0, waited_seconds)
    assert skew(cluster) == pytest.approx(-0.01, abs=1e-5)


def test_a_clock_that_was_set_right_is_soon_seen_to_be(cluster: Cluster) -> None:
    beat(cluster, 90.0)
    for _ in range(HEARTBEATS_REMEMBERED):
        cluster.wait(2.0)
        beat(cluster, 0.0)
    assert skew(cluster) == pytest.approx(0.0)


def test_a_worker_without_heartbeats_has_none(cluster: Cluster) -> None:
    cluster.answer(report(WORKER))
    assert skew(cluster) is None


def test_a_worker_that_has_left_has_none(cluster: Cluster) -> None:
    beat(cluster, 90.0)
    cluster.goodbye()
    assert skew(cluster) is None
