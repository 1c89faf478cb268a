"""What a worker has counted itself, over restarts, namesakes and restarts of the exporter."""

from __future__ import annotations

import pytest
from cluster import EPOCH, WORKER, Cluster, report, running, stats, total

from celeriac.model.cumulative import INCARNATIONS_REMEMBERED, Cumulative
from celeriac.model.event_switch import TaskEventsSwitch

PROCESSED = "celery_worker_processed_total"
RESTARTS = "celery_worker_restarts_total"
STARTED = "celery_worker_start_timestamp_seconds"


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster()
    cluster.state.listening(cluster.now)
    return cluster


def processed(cluster: Cluster) -> object:
    return cluster.show(PROCESSED)[WORKER,]


def restarts(cluster: Cluster) -> float:
    return total(cluster.show(RESTARTS))


# -- processed and restarts ---------------------------------------------------------------------


def test_the_first_count_is_taken_whole(cluster: Cluster) -> None:
    cluster.heartbeat(processed=40)
    assert processed(cluster) == 40


def test_the_count_follows_the_worker(cluster: Cluster) -> None:
    for count in (40, 40, 45):
        cluster.heartbeat(processed=count)
    assert processed(cluster) == 45


def test_a_restart_goes_on_where_the_count_was(cluster: Cluster) -> None:
    cluster.heartbeat(pid=1, processed=40)
    cluster.heartbeat(pid=2, processed=3)
    assert processed(cluster) == 43
    assert restarts(cluster) == 1


def test_a_restart_under_the_same_pid_shows_in_the_count(cluster: Cluster) -> None:
    cluster.heartbeat(pid=1, processed=40)
    cluster.heartbeat(pid=1, processed=3)
    assert processed(cluster) == 43
    assert restarts(cluster) == 1


def test_a_restart_under_the_same_pid_shows_in_the_uptime(cluster: Cluster) -> None:
    cluster.answer(report(stats=stats(pid=1, uptime_seconds=1_000)))
    cluster.wait(10)
    cluster.answer(report(stats=stats(pid=1, uptime_seconds=2)))
    assert restarts(cluster) == 1
    assert cluster.show(STARTED) == {(WORKER,): EPOCH + 8}


def test_an_uptime_in_whole_seconds_is_no_restart(cluster: Cluster) -> None:
    for uptime in (100, 109, 121, 128):
        cluster.answer(report(stats=stats(uptime_seconds=uptime)))
        cluster.wait(10)
    assert restarts(cluster) == 0
    assert cluster.show(STARTED) == {(WORKER,): EPOCH - 100}


@pytest.mark.parametrize("first", ["heartbeat", "answer"])
def test_one_restart_counts_once_whoever_tells_first(cluster: Cluster, first: str) -> None:
    cluster.heartbeat(pid=1, processed=40)
    cluster.answer(report(stats=stats(pid=1, uptime_seconds=1_000)))
    cluster.wait(10)
    if first == "heartbeat":
        cluster.heartbeat(pid=1, processed=0)
    cluster.answer(report(stats=stats(pid=1, uptime_seconds=2)))
    cluster.heartbeat(pid=1, processed=0)
    assert restarts(cluster) == 1


@pytest.mark.parametrize("first", ["heartbeat", "answer"])
def test_a_restart_with_a_new_pid_counts_once(cluster: Cluster, first: str) -> None:
    cluster.heartbeat(pid=1, processed=40)
    cluster.answer(report(stats=stats(pid=1, uptime_seconds=1_000)))
    cluster.wait(10)
    if first == "heartbeat":
        cluster.heartbeat(pid=2, processed=0)
    cluster.answer(report(stats=stats(pid=2, uptime_seconds=2)))
    cluster.heartbeat(pid=2, processed=0)
    assert restarts(cluster) == 1


def test_a_restart_with_a_goodbye_is_a_restart_too(cluster: Cluster) -> None:
    cluster.heartbeat(pid=1)
    cluster.goodbye()
    cluster.online(pid=2)
    assert restarts(cluster) == 1
    assert cluster.show("celery_worker_lost_total") == {(): 0}


def test_the_first_start_is_no_restart(cluster: Cluster) -> None:
    cluster.online(pid=1, processed=0)
    cluster.heartbeat(pid=1, processed=5)
    assert restarts(cluster) == 0


def test_two_workers_with_one_name_are_added_up(cluster: Cluster) -> None:
    for one, other in ((10, 100), (11, 105), (12, 110)):
        cluster.heartbeat(pid=1, processed=one)
        cluster.heartbeat(pid=2, processed=other)
    assert processed(cluster) == 122
    assert restarts(cluster) == 1


def test_a_heartbeat_without_pid_adds_nothing(cluster: Cluster) -> None:
    cluster.heartbeat(pid=None, processed=40)
    assert cluster.show(PROCESSED) == {}


def test_no_processed_is_unknown_rather_than_0(cluster: Cluster) -> None:
    cluster.heartbeat()
    assert cluster.show(PROCESSED) == {}


def test_the_answers_do_not_count_what_heartbeats_have_counted(cluster: Cluster) -> None:
    cluster.heartbeat(processed=40)
    cluster.answer(report(stats=stats(processed=39)))
    assert processed(cluster) == 40


def test_cpu_seconds_go_on_after_a_restart(cluster: Cluster) -> None:
    for pid, user, system in ((1, 10.0, 2.0), (1, 12.0, 2.5), (2, 1.0, 0.5)):
        usage = {"user_cpu_seconds": user, "system_cpu_seconds": system}
        cluster.answer(report(stats=stats(pid=pid, **usage)))
    assert cluster.show("celery_worker_cpu_seconds_total") == {
        (WORKER, "user"): 13.0,
        (WORKER, "system"): 3.0,
    }


def test_unknown_cpu_seconds_are_absent(cluster: Cluster) -> None:
    cluster.answer(report(stats=stats(user_cpu_seconds=None, system_cpu_seconds=None)))
    assert cluster.show("celery_worker_cpu_seconds_total") == {}


def test_the_count_by_task_is_opt_in(cluster: Cluster) -> None:
    answer = report(stats=stats(processed_by_task={"app.add": 3}))
    cluster.answer(answer)
    chosen = Cluster(counts_processed_by_task=True)
    chosen.answer(answer)
    family = "celery_worker_task_processed_total"
    assert cluster.show(family) == {}
    assert chosen.show(family) == {(WORKER, "app.add"): 3}


def test_the_count_by_task_goes_on_after_a_restart() -> None:
    cluster = Cluster(counts_processed_by_task=True)
    for pid, count in ((1, 3), (1, 5), (2, 1)):
        cluster.answer(report(stats=stats(pid=pid, processed_by_task={"app.add": count})))
    family = "celery_worker_task_processed_total"
    assert cluster.show(family) == {(WORKER, "app.add"): 6}


# -- what is shown of an answer -----------------------------------------------------------------


def test_a_worker_shows_what_it_answered(cluster: Cluster) -> None:
    cluster.heartbeat(active=3, loadavg=[0.5, 1, 2], sw_ver="5.7.0")
    cluster.answer(
        report(active=(running("a"),), reserved=(running("b"),) * 2, scheduled=(), revoked_ids=9)
    )
    expected = {
        "celery_worker_active_tasks": 3,
        "celery_worker_reserved_tasks": 2,
        "celery_worker_scheduled_tasks": 0,
        "celery_worker_revoked_ids": 9,
        "celery_worker_pool_processes": 4,
        "celery_worker_prefetch_count": 16,
        "celery_worker_max_resident_memory_bytes": 50_000_000,
        "celery_worker_load1": 0.5,
        "celery_worker_last_heartbeat_timestamp_seconds": EPOCH,
        "celery_worker_start_timestamp_seconds": EPOCH - 60,
    }
    snapshot = {family: cluster.show(family) for family in expected}
    assert snapshot == {family: {(WORKER,): value} for family, value in expected.items()}


def test_a_worker_says_what_it_is(cluster: Cluster) -> None:
    cluster.heartbeat(sw_ver="5.7.0")
    cluster.answer(report())
    assert cluster.show("celery_worker_info") == {(WORKER, "5.7.0", "prefork", "one"): 1}


def test_a_name_without_at_is_its_own_host(cluster: Cluster) -> None:
    cluster.heartbeat("plain")
    assert cluster.show("celery_worker_info") == {("plain", "", "", "plain"): 1}


@pytest.mark.parametrize(
    "loadavg",
    [None, [], "high", ["x"], [float("nan")], [float("inf")], [True], {"a": 1}, [10**400]],
    ids=lambda loadavg: repr(loadavg)[:10],
)
def test_a_load_that_is_none_is_absent(cluster: Cluster, loadavg: object) -> None:
    cluster.heartbeat(loadavg=loadavg)
    assert cluster.show("celery_worker_load1") == {}
    assert cluster.show("celery_worker_up") == {(WORKER,): 1}


def test_what_an_answer_leaves_out_is_unknown_again(cluster: Cluster) -> None:
    cluster.answer(report(reserved=(running("a"),)))
    cluster.answer(report())
    assert cluster.show("celery_worker_reserved_tasks") == {}


def test_the_oldest_active_task_is_the_longest_running_of_its_name(cluster: Cluster) -> None:
    active = (
        running("a", "app.x", at=EPOCH - 5),
        running("b", "app.x", at=EPOCH - 50),
        running("c", "app.y", at=EPOCH - 1),
        running("d", "app.z")._replace(started_at=None),
    )
    cluster.answer(report(active=active))
    assert cluster.show("celery_task_oldest_active_start_timestamp_seconds") == {
        ("app.x", WORKER): EPOCH - 50,
        ("app.y", WORKER): EPOCH - 1,
    }


# -- are task events on? ----------------------------------------------------------------------


def heartbeats(cluster: Cluster, *counts: int) -> None:
    for count in counts:
        cluster.heartbeat(processed=count)


def enabled(cluster: Cluster) -> object:
    return cluster.show("celery_worker_events_enabled").get((WORKER,))


def test_an_idle_worker_does_not_tell_whether_its_events_are_on(cluster: Cluster) -> None:
    heartbeats(cluster, 5, 5, 5, 5)
    assert enabled(cluster) is None


def test_a_task_that_started_shows_that_events_are_on(cluster: Cluster) -> None:
    cluster.heartbeat(processed=0)
    cluster.sent()
    cluster.task("started")
    heartbeats(cluster, 1, 1)
    assert enabled(cluster) == 1


def test_growth_without_events_shows_that_they_are_off(cluster: Cluster) -> None:
    heartbeats(cluster, 0, 1, 1)
    assert enabled(cluster) == 0


def test_growth_is_judged_one_heartbeat_later(cluster: Cluster) -> None:
    heartbeats(cluster, 0, 1)
    assert enabled(cluster) is None
    cluster.sent()
    cluster.task("started")
    heartbeats(cluster, 1)
    assert enabled(cluster) == 1


def test_growth_while_nobody_listened_proves_nothing(cluster: Cluster) -> None:
    heartbeats(cluster, 0)
    cluster.state.not_listening(cluster.now)
    cluster.state.listening(cluster.now)
    heartbeats(cluster, 5, 5, 5)
    assert enabled(cluster) is None


def test_events_can_be_switched_on_later(cluster: Cluster) -> None:
    heartbeats(cluster, 0, 1, 1)
    cluster.sent()
    cluster.task("started")
    heartbeats(cluster, 2)
    assert enabled(cluster) == 1


def test_events_can_be_switched_off_later() -> None:
    switch = TaskEventsSwitch()
    switch.note_processed(0, started=0)
    switch.note_processed(1, started=1)
    assert switch.is_on is True
    for count in (2, 3, 4):
        switch.note_processed(count, started=1)
    assert switch.is_on is False


def test_one_start_that_was_lost_does_not_mean_that_events_are_off() -> None:
    switch = TaskEventsSwitch()
    switch.note_processed(0, started=0)
    switch.note_processed(1, started=1)
    for _ in range(5):
        switch.note_processed(2, started=1)
    assert switch.is_on is True


# -- counts kept by others ------------------------------------------------------------------


def test_a_sum_never_goes_back() -> None:
    count, sums = Cumulative(), []
    for incarnation, value in ((1, 5), (2, 3), (1, 6), (2, 0), (1, 1), (3, 0), (2, 4)):
        count.note(incarnation, value)
        sums.append(count.total)
    assert sums == [5, 8, 9, 9, 10, 10, 14]


@pytest.mark.parametrize(("values", "anew"), [((5, 6), False), ((5, 5), False), ((5, 4), True)])
def test_only_a_smaller_value_has_begun_anew(values: tuple[int, int], anew: bool) -> None:
    count = Cumulative()
    count.note(1, values[0])
    assert count.note(1, values[1]) is anew


def test_the_incarnations_remembered_are_the_last_ones_heard() -> None:
    count = Cumulative()
    count.note(0, 100)
    for incarnation in range(1, INCARNATIONS_REMEMBERED):
        count.note(incarnation, 1)
        count.note(0, 100)
    count.note(99, 1)
    count.note(0, 101)
    assert count.total == 101 + INCARNATIONS_REMEMBERED
