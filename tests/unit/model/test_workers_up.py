"""Who is up: heartbeats, goodbyes, silence, and what an outage of the broker does to them."""

from __future__ import annotations

import pytest
from cluster import WORKER, Cluster, report, running, stats, total

from celeriac.model.admission import Limits
from celeriac.model.workers import Patience

UP = "celery_worker_up"
LOST = "celery_worker_lost_total"
ACTIVE = "celery_active_workers"
HOUR = 3600.0


@pytest.fixture
def cluster() -> Cluster:
    """A cluster whose events can be heard."""
    cluster = Cluster()
    cluster.state.listening(cluster.now)
    return cluster


def is_up(cluster: Cluster, worker: str = WORKER) -> object:
    return cluster.show(UP).get((worker,))


def lost(cluster: Cluster) -> float:
    return total(cluster.show(LOST))


def test_nobody_is_active_before_anybody_was_heard(cluster: Cluster) -> None:
    assert cluster.first(ACTIVE) == {(): 0}
    assert cluster.first(UP) == {}


@pytest.mark.parametrize("greeting", ["online", "heartbeat"])
def test_a_worker_that_was_heard_is_up(cluster: Cluster, greeting: str) -> None:
    assert getattr(cluster, greeting)() is True
    assert cluster.first(UP) == {(WORKER,): 1}
    assert cluster.first(ACTIVE) == {(): 1}


def test_a_worker_that_answers_is_up(cluster: Cluster) -> None:
    cluster.answer(report())
    assert is_up(cluster) == 1


def test_a_second_heartbeat_is_no_news(cluster: Cluster) -> None:
    cluster.heartbeat()
    assert cluster.heartbeat() is False


def test_a_heartbeat_after_a_goodbye_is_news(cluster: Cluster) -> None:
    cluster.heartbeat()
    cluster.goodbye()
    assert cluster.heartbeat() is True


def test_a_goodbye_is_down_at_once(cluster: Cluster) -> None:
    cluster.heartbeat()
    cluster.goodbye()
    assert is_up(cluster) == 0
    assert cluster.show(ACTIVE) == {(): 0}


def test_a_goodbye_is_no_loss(cluster: Cluster) -> None:
    cluster.heartbeat()
    cluster.goodbye()
    cluster.wait(HOUR / 2)
    assert lost(cluster) == 0


def test_59_the_goodbye_of_a_worker_nobody_knew_creates_no_series(cluster: Cluster) -> None:
    assert cluster.goodbye("celery@stranger") is False
    assert cluster.snapshot().workers == []
    assert total(cluster.show("celery_exporter_label_overflow_total")) == 0


def test_a_task_event_alone_does_not_make_a_worker_up(cluster: Cluster) -> None:
    cluster.sent()
    cluster.task("succeeded")
    assert cluster.show(UP) == {}
    assert cluster.show(ACTIVE) == {(): 0}


# -- silence ---------------------------------------------------------------------------------


@pytest.mark.parametrize("freq", [2.0, 0.5, 30.0])
def test_a_worker_is_down_after_two_and_a_half_of_its_own_heartbeats(
    cluster: Cluster, freq: float
) -> None:
    cluster.heartbeat(freq=freq)
    cluster.wait(2.5 * freq)
    assert is_up(cluster) == 1
    cluster.wait(0.01)
    assert is_up(cluster) == 0


@pytest.mark.parametrize("freq", [0, -5, None, float("nan")])
def test_46_a_frequency_that_is_none_is_the_default_of_two_seconds(
    cluster: Cluster, freq: float | None
) -> None:
    cluster.heartbeat(freq=freq)
    cluster.wait(5)
    assert is_up(cluster) == 1
    cluster.wait(0.01)
    assert is_up(cluster) == 0


@pytest.mark.parametrize("freq", [1e9, float("inf")])
def test_no_frequency_keeps_a_silent_worker_up_for_ever(cluster: Cluster, freq: float) -> None:
    cluster.heartbeat(freq=freq)
    cluster.wait(2.5 * HOUR + 1)
    assert is_up(cluster) == 0


def test_the_silence_that_is_configured_goes_before_the_workers_own() -> None:
    cluster = Cluster(patience=Patience(worker_timeout_seconds=60))
    cluster.state.listening(cluster.now)
    cluster.heartbeat()
    cluster.wait(60)
    assert is_up(cluster) == 1
    cluster.wait(1)
    assert is_up(cluster) == 0


def test_a_worker_that_falls_silent_is_lost_once(cluster: Cluster) -> None:
    cluster.heartbeat()
    for _ in range(5):
        cluster.wait(10)
    assert lost(cluster) == 1


def test_each_worker_that_falls_silent_is_lost(cluster: Cluster) -> None:
    cluster.heartbeat("celery@one")
    cluster.heartbeat("celery@two")
    cluster.wait(10)
    assert lost(cluster) == 2


def test_a_worker_that_is_lost_again_counts_again(cluster: Cluster) -> None:
    for _ in range(2):
        cluster.heartbeat()
        cluster.wait(10)
    assert lost(cluster) == 2


def test_a_worker_that_comes_back_is_up_again(cluster: Cluster) -> None:
    cluster.heartbeat()
    cluster.wait(10)
    cluster.heartbeat()
    assert is_up(cluster) == 1


def test_one_silent_worker_takes_no_other_one_down(cluster: Cluster) -> None:
    cluster.heartbeat("celery@one")
    cluster.heartbeat("celery@two")
    cluster.wait(4)
    cluster.heartbeat("celery@two")
    cluster.wait(4)
    assert cluster.show(UP) == {("celery@one",): 0, ("celery@two",): 1}


def test_the_senders_clock_does_not_matter(cluster: Cluster) -> None:
    for at in (0.0, 1e9, 2e11):
        event_time = cluster.now._replace(wall=at)
        cluster.now, real = event_time, cluster.now
        cluster.heartbeat()
        cluster.now = real
        cluster.wait(4)
    assert is_up(cluster) == 1


def test_the_walls_clock_may_jump(cluster: Cluster) -> None:
    cluster.heartbeat()
    for jump in (-HOUR, HOUR, 10 * 365 * 86_400):
        cluster.now = cluster.now._replace(wall=cluster.now.wall + jump)
        cluster.wait(0.1)
        assert is_up(cluster) == 1


def test_an_answer_on_its_way_does_not_bring_back_a_worker_that_said_goodbye(
    cluster: Cluster,
) -> None:
    # A sample ends with its slowest worker; what the others said is up to two seconds old.
    cluster.heartbeat()
    cluster.wait(1)
    cluster.goodbye()
    cluster.answer(report())
    assert is_up(cluster) == 0
    cluster.wait(60)
    assert lost(cluster) == 0


# -- the worker that cannot speak while it works -------------------------------------------------


def solo(cluster: Cluster) -> None:
    cluster.heartbeat()
    cluster.answer(report(stats=stats(pool="solo", pool_processes=1)))


def test_a_silent_solo_worker_has_five_minutes(cluster: Cluster) -> None:
    solo(cluster)
    cluster.wait(300)
    assert is_up(cluster) == 1
    cluster.wait(1)
    assert is_up(cluster) == 0


def test_a_solo_worker_has_no_longer_than_is_configured() -> None:
    cluster = Cluster(patience=Patience(worker_timeout_seconds=60))
    cluster.state.listening(cluster.now)
    solo(cluster)
    cluster.wait(61)
    assert is_up(cluster) == 0


def test_the_goodbye_of_a_solo_worker_counts_at_once(cluster: Cluster) -> None:
    solo(cluster)
    cluster.goodbye()
    assert is_up(cluster) == 0


def test_a_prefork_worker_that_runs_a_task_has_no_excuse(cluster: Cluster) -> None:
    cluster.heartbeat()
    cluster.answer(report())
    cluster.sent()
    cluster.task("started")
    cluster.wait(5.1)
    assert is_up(cluster) == 0


# -- while nobody can be heard -----------------------------------------------------------------


def test_silence_says_nothing_while_events_cannot_arrive(cluster: Cluster) -> None:
    cluster.heartbeat()
    cluster.state.not_listening(cluster.now)
    cluster.wait(30)
    assert is_up(cluster) == 1


def test_nobody_knows_who_is_up_after_three_intervals_of_outage(cluster: Cluster) -> None:
    cluster.heartbeat()
    cluster.state.not_listening(cluster.now)
    cluster.wait(30.01)
    assert cluster.show(UP) == {}
    assert cluster.show(ACTIVE) == {(): 0}


def test_an_outage_is_no_loss(cluster: Cluster) -> None:
    cluster.heartbeat()
    cluster.state.not_listening(cluster.now)
    cluster.wait(HOUR)
    cluster.state.listening(cluster.now)
    cluster.heartbeat()
    cluster.wait(1)
    assert is_up(cluster) == 1
    assert lost(cluster) == 0


def test_a_worker_that_was_down_before_an_outage_stays_down_in_it(cluster: Cluster) -> None:
    cluster.heartbeat()
    cluster.goodbye()
    cluster.state.not_listening(cluster.now)
    cluster.wait(HOUR / 2)
    assert is_up(cluster) == 0


def test_workers_have_half_a_minute_after_an_outage(cluster: Cluster) -> None:
    cluster.heartbeat()
    cluster.state.not_listening(cluster.now)
    cluster.wait(100)
    cluster.state.listening(cluster.now)
    cluster.wait(30)
    assert is_up(cluster) == 1
    cluster.wait(1)
    assert is_up(cluster) == 0


def test_a_worker_heard_after_the_outage_has_no_more_than_usual(cluster: Cluster) -> None:
    cluster.heartbeat()
    cluster.state.not_listening(cluster.now)
    cluster.wait(100)
    cluster.state.listening(cluster.now)
    cluster.wait(1)
    cluster.heartbeat()
    cluster.wait(5.1)
    assert is_up(cluster) == 0


# -- without heartbeats ---------------------------------------------------------------------


def test_without_heartbeats_an_answer_is_good_for_half_a_minute(cluster: Cluster) -> None:
    cluster.answer(report())
    cluster.wait(30)
    assert is_up(cluster) == 1
    cluster.wait(1)
    assert is_up(cluster) == 0


def test_a_worker_without_heartbeats_is_never_lost(cluster: Cluster) -> None:
    cluster.answer(report())
    cluster.wait(60)
    assert lost(cluster) == 0


def test_without_heartbeats_the_active_tasks_come_from_the_answer(cluster: Cluster) -> None:
    cluster.answer(report(active=(running("a"), running("b"))))
    assert cluster.show("celery_worker_active_tasks") == {(WORKER,): 2}


def test_without_heartbeats_the_processed_come_from_the_answer(cluster: Cluster) -> None:
    cluster.answer(report(stats=stats(processed=7)))
    assert cluster.show("celery_worker_processed_total") == {(WORKER,): 7}


def test_without_heartbeats_there_is_no_last_one(cluster: Cluster) -> None:
    cluster.answer(report())
    assert cluster.show("celery_worker_last_heartbeat_timestamp_seconds") == {}


# -- how long the dead are shown --------------------------------------------------------------


def test_a_dead_worker_is_shown_at_0_for_an_hour(cluster: Cluster) -> None:
    cluster.heartbeat()
    cluster.goodbye()
    cluster.wait(HOUR)
    assert is_up(cluster) == 0


def test_a_worker_dead_for_longer_leaves_no_series(cluster: Cluster) -> None:
    cluster.heartbeat()
    cluster.sent()
    cluster.task("succeeded")
    cluster.goodbye()
    cluster.wait(HOUR + 1)
    snapshot = cluster.snapshot()
    assert list(snapshot.workers) == []


def test_the_retention_is_what_it_is_told() -> None:
    cluster = Cluster(patience=Patience(retention_seconds=5))
    cluster.heartbeat()
    cluster.goodbye()
    cluster.wait(6)
    assert cluster.show(UP) == {}


def test_a_worker_known_from_task_events_only_disappears_too(cluster: Cluster) -> None:
    cluster.sent()
    cluster.task("succeeded")
    cluster.wait(HOUR + 1)
    assert list(cluster.snapshot().workers) == []


GAUGES_OF_THE_LIVING = (
    "celery_worker_info",
    "celery_worker_start_timestamp_seconds",
    "celery_worker_active_tasks",
    "celery_worker_reserved_tasks",
    "celery_worker_scheduled_tasks",
    "celery_worker_revoked_ids",
    "celery_worker_pool_processes",
    "celery_worker_prefetch_count",
    "celery_worker_max_resident_memory_bytes",
    "celery_worker_load1",
)


def complete(cluster: Cluster) -> None:
    cluster.heartbeat(active=1, processed=3, loadavg=[0.5, 0, 0], sw_ver="5.7.0")
    cluster.answer(report(active=(running("a"),), reserved=(), scheduled=(), revoked_ids=2))


@pytest.mark.parametrize("family", GAUGES_OF_THE_LIVING)
def test_a_worker_that_is_up_shows_its_gauges(cluster: Cluster, family: str) -> None:
    complete(cluster)
    assert len(cluster.show(family)) == 1


@pytest.mark.parametrize("family", GAUGES_OF_THE_LIVING)
def test_a_dead_worker_shows_no_gauge_but_that_it_is_down(cluster: Cluster, family: str) -> None:
    complete(cluster)
    cluster.goodbye()
    assert cluster.show(family) == {}


COUNTERS_OF_A_WORKER = (
    "celery_worker_processed_total",
    "celery_worker_tasks_finished_total",
    "celery_worker_cpu_seconds_total",
)


@pytest.mark.parametrize("family", COUNTERS_OF_A_WORKER)
def test_a_dead_worker_keeps_its_counters(cluster: Cluster, family: str) -> None:
    complete(cluster)
    before = cluster.show(family)
    cluster.goodbye()
    assert before
    assert cluster.show(family) == before


def test_the_limit_of_workers_is_that_of_their_series() -> None:
    cluster = Cluster(Limits(workers=3))
    for number in range(5):
        cluster.heartbeat(f"celery@{number}")
    assert len(cluster.show(UP)) == 3
