"""No input grows the page or the memory; what is gone gives way before the living."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

import pytest
from cluster import QUEUE, TASK, WORKER, Cluster, report, running, stats, total
from messages_on_the_wire import body, heartbeat, task

from celeriac.model.admission import (
    OVERFLOW,
    RESERVED_SERIES,
    Admission,
    Limits,
    SeriesBudget,
)
from celeriac.sources.wire import decode_body

OVERFLOWS = "celery_exporter_label_overflow_total"
SENT = "celery_task_sent_total"
HOUR = 3600.0


def overflows(cluster: Cluster, label: str) -> object:
    return cluster.show(OVERFLOWS)[label,]


# -- the label of a task, a queue, an exception, a worker ---------------------------------------


def test_a_task_over_the_limit_is_counted_under_overflow() -> None:
    cluster = Cluster(Limits(tasks=1))
    cluster.sent("a", "first")
    cluster.sent("b", "second")
    cluster.sent("c", "third")
    assert cluster.show(SENT) == {("first", QUEUE): 1, (OVERFLOW, QUEUE): 2}
    assert overflows(cluster, "task")


def test_a_queue_over_the_limit_is_counted_under_overflow() -> None:
    cluster = Cluster(Limits(queues=1))
    cluster.sent("a", queue="first")
    cluster.sent("b", queue="second")
    assert cluster.show(SENT) == {(TASK, "first"): 1, (TASK, OVERFLOW): 1}
    assert overflows(cluster, "queue")


def test_an_exception_over_the_limit_is_counted_under_overflow() -> None:
    cluster = Cluster(Limits(exceptions=1))
    cluster.sent()
    for name in ("First", "Second", "Third"):
        cluster.task("failed", exception=f"{name}()")
    assert cluster.show("celery_task_exceptions_total") == {
        (TASK, QUEUE, "First"): 1,
        (TASK, QUEUE, OVERFLOW): 2,
    }
    assert overflows(cluster, "exception")


def test_a_worker_over_the_limit_counts_its_outcomes_under_overflow() -> None:
    cluster = Cluster(Limits(workers=1))
    cluster.heartbeat("celery@one")
    cluster.heartbeat("celery@two")
    cluster.sent()
    cluster.task("succeeded", hostname="celery@two")
    samples = cluster.show("celery_worker_tasks_finished_total")
    assert samples[OVERFLOW, "succeeded"] == 1
    assert cluster.show("celery_worker_up") == {("celery@one",): 1}
    assert overflows(cluster, "worker")


def test_58_ten_thousand_names_take_no_more_than_the_limit() -> None:
    cluster = Cluster()
    for number in range(10_000):
        cluster.sent(str(number), f"app.task{number}")
    samples = cluster.show(SENT)
    assert len(samples) == 501
    assert total(samples) == 10_000


def test_ten_thousand_short_lived_workers_take_no_more_than_the_limit() -> None:
    cluster = Cluster(Limits(workers=50))
    for number in range(10_000):
        cluster.heartbeat(f"celery@{number}")
        cluster.goodbye(f"celery@{number}")
        cluster.wait(1)
    assert len(cluster.show("celery_worker_up")) <= 50


def test_a_limit_without_overflow_counts_none() -> None:
    cluster = Cluster()
    cluster.sent()
    cluster.heartbeat()
    assert total(cluster.show(OVERFLOWS)) == 0


def test_tasks_in_a_workers_own_count_are_limited_too() -> None:
    cluster = Cluster(Limits(tasks=2), counts_processed_by_task=True)
    by_task = {"a": 1, "b": 2, "c": 3, "d": 4}
    cluster.answer(report(stats=stats(processed_by_task=by_task)))
    samples = cluster.show("celery_worker_task_processed_total")
    assert len({task for _, task in samples}) <= 3
    assert total(samples) == 10


def test_tasks_that_run_now_are_limited_too() -> None:
    cluster = Cluster(Limits(tasks=2))
    active = tuple(running(str(n), f"app.task{n}") for n in range(5))
    cluster.answer(report(active=active))
    samples = cluster.show("celery_task_oldest_active_start_timestamp_seconds")
    assert len({task for task, _ in samples}) <= 3


def test_a_counter_under_overflow_never_goes_back() -> None:
    # a on p, b on q, the overflow of both take the whole budget: a on q finds no room.
    cluster = Cluster(Limits(tasks=2, queues=2, series=240))
    cluster.sent("1", "a", "p")
    cluster.sent("2", "b", "q")
    for number in range(5):
        cluster.sent(f"over{number}", "c", "r")
    before = cluster.show(SENT)[OVERFLOW, OVERFLOW]
    cluster.sent("3", "a", "q")
    after = cluster.show(SENT)[OVERFLOW, OVERFLOW]
    assert (before, after) == (5, 6)


def test_no_count_is_lost_where_the_series_are_full() -> None:
    cluster = Cluster(Limits(series=300))
    for number in range(100):
        cluster.sent(str(number), f"app.task{number}")
    assert total(cluster.show(SENT)) == 100
    assert overflows(cluster, "series")


# -- what is gone gives way -----------------------------------------------------------------


def test_a_task_nobody_registers_any_more_gives_way_to_a_new_one() -> None:
    cluster = Cluster(Limits(tasks=1))
    cluster.heartbeat()
    cluster.sent("a", "old")
    cluster.wait(HOUR)
    cluster.heartbeat()
    cluster.answer(report(registered=frozenset({"new"})))
    cluster.sent("b", "new")
    assert set(cluster.show(SENT)) == {("new", QUEUE)}


def test_a_task_that_is_still_registered_does_not_give_way() -> None:
    cluster = Cluster(Limits(tasks=1))
    cluster.sent("a", "old")
    cluster.wait(HOUR)
    cluster.answer(report(registered=frozenset({"old", "new"})))
    cluster.sent("b", "new")
    assert set(cluster.show(SENT)) == {("old", QUEUE), (OVERFLOW, QUEUE)}


def test_a_task_that_was_busy_a_moment_ago_does_not_give_way() -> None:
    cluster = Cluster(Limits(tasks=1))
    cluster.sent("a", "old")
    cluster.answer(report(registered=frozenset({"new"})))
    cluster.sent("b", "new")
    assert ("old", QUEUE) in cluster.show(SENT)


def test_nothing_gives_way_while_there_is_room() -> None:
    cluster = Cluster()
    cluster.sent("a", "old")
    cluster.wait(HOUR)
    cluster.answer(report(registered=frozenset({"new"})))
    cluster.sent("b", "new")
    assert set(cluster.show(SENT)) == {("old", QUEUE), ("new", QUEUE)}


def test_a_deleted_queue_gives_way_to_a_new_one() -> None:
    cluster = Cluster(Limits(queues=1))
    cluster.sent("a", queue="deleted")
    cluster.wait(HOUR)
    cluster.depths({"new": 3})
    cluster.sent("b", queue="new")
    assert set(cluster.show(SENT)) == {(TASK, "new")}


def test_a_deleted_queue_gives_way_to_one_on_which_nothing_happens() -> None:
    cluster = Cluster(Limits(queues=1))
    cluster.sent("a", queue="deleted")
    cluster.wait(HOUR)
    cluster.depths({"new": 3})
    cluster.depths({"new": 3})
    assert cluster.show("celery_queue_length") == {("new",): 3}


def test_a_dead_worker_gives_way_to_a_living_one() -> None:
    cluster = Cluster(Limits(workers=2))
    for worker in ("celery@first", "celery@second"):
        cluster.heartbeat(worker)
        cluster.goodbye(worker)
        cluster.wait(1)
    cluster.heartbeat("celery@third")
    assert cluster.show("celery_worker_up") == {("celery@second",): 0, ("celery@third",): 1}


def test_a_living_worker_gives_way_to_nobody() -> None:
    cluster = Cluster(Limits(workers=1))
    cluster.heartbeat("celery@one")
    cluster.wait(1)
    cluster.heartbeat("celery@two")
    assert cluster.show("celery_worker_up") == {("celery@one",): 1}


def test_dead_workers_give_way_to_a_living_task() -> None:
    cluster = Cluster(Limits(series=320))
    for number in range(5):
        cluster.heartbeat(f"celery@{number}")
        cluster.goodbye(f"celery@{number}")
    cluster.sent()
    assert cluster.show(SENT) == {(TASK, QUEUE): 1}


def test_tasks_that_are_gone_give_way_to_a_living_worker() -> None:
    cluster = Cluster(Limits(series=300))
    for number in range(10):
        cluster.sent(str(number), f"old{number}")
    cluster.wait(HOUR)
    cluster.answer()
    cluster.heartbeat()
    assert cluster.show("celery_worker_up") == {(WORKER,): 1}


def test_an_event_of_a_task_whose_series_gave_way_is_not_lost() -> None:
    cluster = Cluster(Limits(tasks=1))
    cluster.sent("long", "old")
    cluster.wait(HOUR)
    cluster.answer(report(registered=frozenset({"new"})))
    cluster.sent("b", "new")
    cluster.task("succeeded", "long")
    assert total(cluster.show("celery_task_succeeded_total")) == 1


# -- memory --------------------------------------------------------------------------------


def collections_in(root: object) -> Iterator[tuple[str, int]]:
    """Yield the name and size of every collection reachable from *root*."""
    waiting: list[tuple[str, object]] = [("", root)]
    met: set[int] = set()
    while waiting:
        name, thing = waiting.pop()
        if id(thing) in met:
            continue
        met.add(id(thing))
        if isinstance(thing, (dict, list, set, frozenset, deque, tuple)):
            yield name, len(thing)
            members = thing.values() if isinstance(thing, dict) else thing
            waiting += [(name, member) for member in members]
        elif type(thing).__module__.startswith("celeriac"):
            waiting += [(f"{name}.{field}", value) for field, value in _fields(thing)]


def _fields(thing: object) -> Iterator[tuple[str, object]]:
    for kind in type(thing).__mro__:
        for slot in kind.__dict__.get("__slots__", ()):
            yield slot, getattr(thing, slot, None)
    yield from getattr(thing, "__dict__", {}).items()


def assert_small(cluster: Cluster, limit: int) -> None:
    large = {name: size for name, size in collections_in(cluster.state) if size > limit}
    assert large == {}


SMALL = Limits(tasks=10, workers=10, queues=10, exceptions=10, series=1_000, tracked_tasks=100)


def test_the_number_of_task_names_does_not_grow_the_memory() -> None:
    cluster = Cluster(SMALL)
    for number in range(2_000):
        cluster.sent("id", f"app.task{number}")
        cluster.sent(str(number), f"app.other{number}")
    assert_small(cluster, 2_000)


def test_the_number_of_unannounced_task_names_does_not_grow_the_memory() -> None:
    cluster = Cluster(SMALL)
    cluster.answer(report(WORKER, "p", "q"))
    for number in range(2_000):
        cluster.received(str(number), f"app.task{number}")
        cluster.wait(0.01)
    cluster.wait(10)
    assert_small(cluster, 200)


def test_the_number_of_task_ids_does_not_grow_the_memory() -> None:
    cluster = Cluster(SMALL)
    for number in range(30_000):
        cluster.sent(str(number))
        cluster.task("succeeded", str(number))
    assert_small(cluster, 10_000)
    assert total(cluster.show("celery_exporter_tracked_tasks")) <= 10_100


def test_the_number_of_workers_and_their_processes_does_not_grow_the_memory() -> None:
    cluster = Cluster(SMALL)
    for number in range(2_000):
        cluster.heartbeat(f"celery@{number}")
        cluster.heartbeat("celery@same", pid=number, processed=1)
        cluster.goodbye(f"celery@{number}")
    assert_small(cluster, 200)


def test_the_number_of_exceptions_does_not_grow_the_memory() -> None:
    cluster = Cluster(SMALL)
    cluster.sent()
    for number in range(2_000):
        cluster.task("failed", exception=f"E{number}()")
    assert_small(cluster, 200)


@pytest.mark.parametrize(
    "field", ["name", "queue", "routing_key", "exchange", "exception", "eta", "parent_id"]
)
def test_no_text_in_an_event_makes_a_label_long(field: str) -> None:
    cluster = Cluster()
    for kind in ("task-sent", "task-failed"):
        fields = {"type": kind, "uuid": kind, "routing_key": "q", field: "x" * 100_000}
        for event in decode_body(body(task(**fields))).events:
            cluster.tasks([event])
    cluster.wait(10)
    assert _longest_label(cluster) <= 1_000


def test_no_text_in_a_heartbeat_makes_a_label_long() -> None:
    cluster = Cluster()
    message = body(heartbeat(sw_ver="5" * 100_000))
    for event in decode_body(message).events:
        cluster.state.apply_worker_event(event, cluster.now)
    cluster.answer(report())
    assert _longest_label(cluster) <= 1_000


def _longest_label(cluster: Cluster) -> int:
    snapshot = cluster.snapshot()
    texts = [text for tally in snapshot.tallies for text in tally.key]
    texts += [text for tally in snapshot.tallies for text in tally.exceptions]
    texts += [text for w in snapshot.workers for text in (w.worker, w.version or "")]
    return max(map(len, texts), default=0)


# -- the parts -----------------------------------------------------------------------------


def budget_of(series: int) -> SeriesBudget:
    """Return a budget with room for *series*, beside what is always reserved."""
    return SeriesBudget(RESERVED_SERIES + series, Counter())


def test_a_value_once_admitted_stays() -> None:
    overflows: Counter[str] = Counter()
    admission = Admission("task", 1, overflows, budget_of(0))
    assert [admission.admit(value, 0) for value in ("a", "b", "a")] == ["a", OVERFLOW, "a"]
    assert overflows == {"task": 1}


def test_a_released_value_makes_room() -> None:
    admission = Admission("task", 1, Counter(), budget_of(0))
    admission.admit("a", 0)
    admission.keep_only({"b"})
    assert admission.admit("b", 0) == "b"


def test_a_released_value_gives_its_series_back() -> None:
    budget = budget_of(5)
    admission = Admission("queue", 9, Counter(), budget, series_each=5)
    admission.admit("a", 0)
    admission.keep_only(set())
    assert budget.room == 5


def test_a_value_without_room_for_its_series_goes_to_overflow() -> None:
    admission = Admission("queue", 9, Counter(), budget_of(4), series_each=5)
    assert admission.admit("a", 0) == OVERFLOW


def test_the_budget_refuses_what_is_over_it() -> None:
    overflows: Counter[str] = Counter()
    budget = SeriesBudget(RESERVED_SERIES + 10, overflows)
    assert [budget.take(6, 0), budget.take(5, 0), budget.take(4, 0)] == [True, False, True]
    assert (budget.room, overflows["series"]) == (0, 1)


def test_what_is_given_back_can_be_taken_again() -> None:
    budget = budget_of(10)
    budget.take(10, 0)
    budget.give_back(4)
    assert (budget.room, budget.take(5, 0), budget.take(4, 0)) == (4, False, True)


def test_what_is_gone_is_looked_for_at_most_once_a_second() -> None:
    budget, looks = budget_of(0), []
    budget.reclaims.append(lambda _, now_mono: looks.append(now_mono))
    for now_mono in (10.0, 10.5, 11.0):
        budget.take(1, now_mono)
    assert looks == [10.0, 11.0]
