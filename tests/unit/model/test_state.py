"""The whole state: what goes stale, what a snapshot promises, what always exists."""

from __future__ import annotations

import threading

import pytest
from cluster import EPOCH, QUEUE, TASK, WORKER, Cluster, read, report, running

from celeriac.model.facts import BrokerInfo, QueueDepth, QueueSample
from celeriac.model.tallies import Outcome

FROM_ANSWERS = (
    "celery_worker_reserved_tasks",
    "celery_worker_scheduled_tasks",
    "celery_worker_revoked_ids",
    "celery_worker_pool_processes",
    "celery_worker_prefetch_count",
    "celery_worker_max_resident_memory_bytes",
    "celery_task_oldest_active_start_timestamp_seconds",
    "celery_queue_processes",
)
FROM_THE_BROKER = ("celery_queue_length", "celery_queue_unacked", "celery_queue_delayed")
FROM_HEARTBEATS = ("celery_worker_active_tasks", "celery_worker_load1")


@pytest.fixture
def cluster() -> Cluster:
    """A cluster of which everything is known, and whose workers will not be called silent."""
    cluster = Cluster()
    cluster.state.listening(cluster.now)
    cluster.heartbeat(active=2, processed=1, loadavg=[0.5])
    cluster.state.replace_queues(QueueSample({QUEUE: QueueDepth(1, 2, 3)}, 4), cluster.now)
    cluster.answer(report(active=(running("a"),), reserved=(), scheduled=(), revoked_ids=0))
    cluster.state.not_listening(cluster.now)
    return cluster


@pytest.mark.parametrize("family", FROM_ANSWERS)
def test_an_answer_is_shown_for_three_intervals(cluster: Cluster, family: str) -> None:
    cluster.wait(30)
    assert len(cluster.show(family)) == 1
    cluster.wait(0.01)
    assert cluster.show(family) == {}


@pytest.mark.parametrize("family", FROM_THE_BROKER)
def test_a_depth_is_shown_for_three_intervals(cluster: Cluster, family: str) -> None:
    cluster.wait(15)
    assert len(cluster.show(family)) == 1
    cluster.wait(0.01)
    assert cluster.show(family) == {}


def test_the_brokers_consumers_are_stale_with_the_depth(cluster: Cluster) -> None:
    cluster.wait(15.01)
    assert cluster.show("celery_queue_consumers") == {(QUEUE,): 1}, "the workers' own count"
    cluster.wait(15)
    assert cluster.show("celery_queue_consumers") == {}


@pytest.mark.parametrize("family", FROM_HEARTBEATS)
def test_a_number_from_heartbeats_is_not_shown_for_an_hour_of_outage(
    cluster: Cluster, family: str
) -> None:
    assert len(cluster.show(family)) == 1
    cluster.wait(3_600)
    assert cluster.show(family) == {}


def test_a_sample_of_a_part_of_the_workers_leaves_the_others_as_they_were(
    cluster: Cluster,
) -> None:
    cluster.wait(10)
    cluster.answer(report("celery@two", reserved=()), unanswered=1)
    reserved = cluster.show("celery_worker_reserved_tasks")
    assert set(reserved) == {(WORKER,), ("celery@two",)}
    assert cluster.show("celery_exporter_workers_unanswered") == {(): 1}


# -- what always exists ----------------------------------------------------------------------


def test_the_first_page_says_that_nothing_is_there_yet() -> None:
    cluster = Cluster()
    assert cluster.first("celery_active_workers") == {(): 0}
    assert cluster.first("celery_broker_up") == {(): 0}
    assert set(cluster.first("celery_exporter_sample_success").values()) == {0}


def test_the_first_page_makes_no_number_up() -> None:
    snapshot = Cluster().snapshot()
    assert (list(snapshot.tallies), list(snapshot.workers), list(snapshot.queues)) == ([], [], [])
    for family in (
        "celery_broker_info",
        "celery_queue_delayed",
        "celery_expected_workers",
    ):
        assert read(snapshot, family) == {}, family


ALWAYS = (
    "celery_exporter_event_lag_seconds",
    "celery_exporter_source_last_success_timestamp_seconds",
    "celery_exporter_sample_duration_seconds",
    "celery_exporter_workers_unanswered",
    "celery_exporter_build_info",
    "celery_exporter_sample_success",
    "celery_exporter_events_received_total",
    "celery_exporter_events_rejected_total",
    "celery_exporter_events_unmatched_total",
    "celery_exporter_reconnects_total",
    "celery_exporter_tracked_tasks",
    "celery_exporter_label_overflow_total",
)


@pytest.mark.parametrize("family", ALWAYS)
def test_what_the_exporter_counts_about_itself_is_there_from_the_first_page(family: str) -> None:
    assert Cluster().first(family)


def test_the_expected_workers_are_those_configured() -> None:
    assert Cluster(expected_workers=0).first("celery_expected_workers") == {(): 0}
    assert Cluster(expected_workers=7).first("celery_expected_workers") == {(): 7}


def test_the_broker_is_remembered_while_it_is_down() -> None:
    cluster = Cluster()
    cluster.state.set_broker(is_up=True, info=BrokerInfo("redis", "7.0"))
    cluster.state.set_broker(is_up=False)
    assert cluster.show("celery_broker_up") == {(): 0}
    assert cluster.show("celery_broker_info") == {("redis", "7.0"): 1}


# -- the sources about themselves ------------------------------------------------------------


def test_a_success_is_told_with_its_instant() -> None:
    cluster = Cluster()
    cluster.state.succeed("queues", cluster.now, 0.25)
    assert cluster.show("celery_exporter_sample_success")["queues",] == 1
    assert cluster.show("celery_exporter_sample_duration_seconds")["queues",] == 0.25
    family = "celery_exporter_source_last_success_timestamp_seconds"
    assert cluster.show(family)["queues",] == EPOCH


def test_a_failure_leaves_the_last_success_where_it_was() -> None:
    cluster = Cluster()
    cluster.state.succeed("queues", cluster.now, 0.25)
    cluster.wait(60)
    cluster.state.fail("queues", "broker", 3.0)
    assert cluster.show("celery_exporter_sample_success")["queues",] == 0
    assert cluster.show("celery_exporter_sample_duration_seconds")["queues",] == 3.0
    family = "celery_exporter_source_last_success_timestamp_seconds"
    assert cluster.show(family)["queues",] == EPOCH


def test_a_source_is_as_old_as_its_last_success() -> None:
    cluster = Cluster()
    cluster.state.succeed("queues", cluster.now)
    cluster.wait(7)
    ages = {view.source: view.age_seconds for view in cluster.state.source_views(cluster.now)}
    assert ages == {"events": None, "workers": None, "queues": 7, "beat": None}


def test_reconnects_are_counted_by_source() -> None:
    cluster = Cluster()
    cluster.state.reconnected("events")
    cluster.state.reconnected("events")
    reconnects = cluster.show("celery_exporter_reconnects_total")
    assert reconnects == {("events",): 2, ("workers",): 0, ("queues",): 0, ("beat",): 0}


def test_rejected_events_are_counted_by_reason() -> None:
    cluster = Cluster()
    cluster.state.reject_events(["event", "body", "event"])
    rejected = cluster.show("celery_exporter_events_rejected_total")
    assert {reason: count for (reason,), count in rejected.items() if count} == {
        "event": 2,
        "body": 1,
    }


def test_rejected_replies_are_counted_by_reason() -> None:
    cluster = Cluster()
    cluster.state.reject_replies(["ticket", "duplicate", "ticket"])
    rejected = cluster.show("celery_exporter_replies_rejected_total")
    assert {reason: count for (reason,), count in rejected.items() if count} == {
        "ticket": 2,
        "duplicate": 1,
    }


# -- a snapshot ------------------------------------------------------------------------------


def test_a_snapshot_does_not_change_any_more() -> None:
    cluster = Cluster()
    cluster.heartbeat(processed=1)
    cluster.sent(at=0)
    cluster.received(at=1)
    cluster.task("started", at=2)
    cluster.task("failed", exception="E()")
    cluster.depths({QUEUE: 1})
    cluster.answer(report())
    cluster.snapshot()
    snapshot = cluster.snapshot()
    before = repr(snapshot)
    cluster.sent("2", at=0)
    cluster.received("2", at=1)
    cluster.task("started", "2", at=5)
    cluster.task("failed", "2", exception="E()")
    cluster.task("succeeded", "2", runtime=0.1)
    cluster.state.reject_events(["body"])
    cluster.depths({QUEUE: 9, "other": 1})
    cluster.heartbeat(processed=5)
    cluster.goodbye()
    cluster.snapshot()
    assert repr(snapshot) == before


def test_a_snapshot_has_a_whole_message_or_nothing_of_it() -> None:
    cluster = Cluster()
    cluster.sent()
    cluster.snapshot()
    message = [
        cluster.event(kind, f"{n}", name=TASK, queue=QUEUE)
        for n in range(20)
        for kind in ("received", "started", "succeeded")
    ]
    writers = [
        threading.Thread(target=lambda: [cluster.tasks(message) for _ in range(30)])
        for _ in range(2)
    ]
    torn = []
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        (tally,) = cluster.snapshot().tallies
        counts = [tally.counts[o] for o in (Outcome.RECEIVED, Outcome.STARTED, Outcome.SUCCEEDED)]
        torn += [counts] if len(set(counts)) > 1 or counts[0] % 20 else []
    assert torn == []
    (tally,) = cluster.snapshot().tallies
    assert tally.counts[Outcome.SUCCEEDED] == 2 * 30 * 20
