"""The queues: replaced whole by each sample; what nobody could tell is absent."""

from __future__ import annotations

from cluster import Cluster, bindings, report, stats

from celeriac.model.admission import OVERFLOW, Limits
from celeriac.model.facts import QueueDepth, QueueSample, WorkerReport

LENGTH = "celery_queue_length"
CONSUMERS = "celery_queue_consumers"
PROCESSES = "celery_queue_processes"
UNACKED = "celery_queue_unacked"
DELAYED = "celery_queue_delayed"


def test_a_queue_shows_its_length() -> None:
    cluster = Cluster()
    cluster.depths({"celery": 5, "mail": 0})
    assert cluster.show(LENGTH) == {("celery",): 5, ("mail",): 0}


def test_a_vanished_queue_leaves_no_series() -> None:
    cluster = Cluster()
    cluster.depths({"celery": 5, "mail": 0})
    cluster.depths({"celery": 5})
    for family in (LENGTH, CONSUMERS, PROCESSES, UNACKED):
        assert ("mail",) not in cluster.show(family), family


def test_what_the_broker_cannot_tell_is_absent() -> None:
    cluster = Cluster()
    cluster.depths({"celery": 5})
    for family in (UNACKED, DELAYED, CONSUMERS, PROCESSES):
        assert cluster.show(family) == {}, family


def test_what_the_broker_tells_is_shown() -> None:
    cluster = Cluster()
    sample = QueueSample({"celery": QueueDepth(5, 3, 2)}, delayed=7)
    cluster.state.replace_queues(sample, cluster.now)
    assert cluster.show(UNACKED) == {("celery",): 3}
    assert cluster.show(CONSUMERS) == {("celery",): 2}
    assert cluster.show(DELAYED) == {(): 7}


def test_the_brokers_count_of_consumers_goes_before_the_workers() -> None:
    cluster = Cluster()
    cluster.answer(report())
    cluster.state.replace_queues(QueueSample({"celery": QueueDepth(0, 0, 8)}), cluster.now)
    assert cluster.show(CONSUMERS) == {("celery",): 8}


def test_the_workers_are_the_consumers_where_the_broker_cannot_tell() -> None:
    cluster = Cluster()
    cluster.answer(report("celery@one", "celery", "mail"), report("celery@two", "celery"))
    cluster.depths({"celery": 0, "mail": 0})
    assert cluster.show(CONSUMERS) == {("celery",): 2, ("mail",): 1}


def test_a_queue_nobody_consumes_has_0_consumers() -> None:
    cluster = Cluster()
    cluster.answer(report("celery@one", "celery"))
    cluster.depths({"celery": 0, "orphan": 4})
    assert cluster.show(CONSUMERS)["orphan",] == 0
    assert cluster.show(PROCESSES)["orphan",] == 0


def test_the_processes_of_a_queue_are_the_slots_of_its_workers() -> None:
    cluster = Cluster()
    cluster.answer(
        report("celery@one", "celery", "mail", stats=stats(pool_processes=4)),
        report("celery@two", "celery", stats=stats(pool_processes=2)),
    )
    cluster.depths({"celery": 0, "mail": 0})
    assert cluster.show(PROCESSES) == {("celery",): 6, ("mail",): 4}


def test_a_worker_whose_answer_is_late_consumes_what_it_consumed() -> None:
    cluster = Cluster()
    cluster.depths({"celery": 1})
    cluster.answer(report())
    cluster.answer(WorkerReport("celery@one", stats=stats()))
    assert cluster.show(CONSUMERS) == {("celery",): 1}


def test_a_worker_that_is_down_consumes_nothing() -> None:
    cluster = Cluster()
    cluster.heartbeat()
    cluster.answer(report())
    cluster.depths({"celery": 0})
    cluster.goodbye()
    assert cluster.show(CONSUMERS).get(("celery",)) in (None, 0)


def test_a_queue_that_only_a_worker_names_is_shown_by_its_name() -> None:
    cluster = Cluster()
    cluster.answer(report("celery@one", "celery", "mail"))
    assert cluster.show(CONSUMERS) == {("celery",): 1, ("mail",): 1}


def test_a_queue_the_broker_left_out_is_shown_by_its_name() -> None:
    cluster = Cluster()
    cluster.answer(report("celery@one", "celery", "mail"))
    cluster.depths({"celery": 1})
    assert cluster.show(CONSUMERS) == {("celery",): 1, ("mail",): 1}
    assert cluster.show(LENGTH) == {("celery",): 1}


def test_a_worker_without_stats_is_a_consumer_with_no_known_slots() -> None:
    cluster = Cluster()
    cluster.answer(WorkerReport("celery@one", bindings=bindings("celery")))
    cluster.depths({"celery": 0})
    assert cluster.show(CONSUMERS) == {("celery",): 1}
    assert cluster.show(PROCESSES) in ({("celery",): 0}, {})


def test_queues_over_the_limit_are_added_up_under_overflow() -> None:
    cluster = Cluster(Limits(queues=2))
    sample = QueueSample({name: QueueDepth(n, n, n) for n, name in enumerate("abcd", 1)})
    cluster.state.replace_queues(sample, cluster.now)
    for family in (LENGTH, UNACKED, CONSUMERS):
        assert cluster.show(family) == {("a",): 1, ("b",): 2, (OVERFLOW,): 7}


def test_an_unknown_number_under_overflow_makes_the_sum_unknown() -> None:
    cluster = Cluster(Limits(queues=1))
    sample = QueueSample({"a": QueueDepth(1, 1), "b": QueueDepth(1, 1), "c": QueueDepth(1, None)})
    cluster.state.replace_queues(sample, cluster.now)
    assert cluster.show(UNACKED) == {("a",): 1}


def test_the_queues_with_tasks_are_those_that_exist() -> None:
    cluster = Cluster(Limits(queues=2))
    cluster.sent("a", queue="celery")
    cluster.answer(report("celery@one", "p", "q"))
    cluster.received("b", "other")
    cluster.wait(2)
    cluster.sent("c", queue="over")
    assert cluster.state.queues_with_tasks() == {"celery"}
