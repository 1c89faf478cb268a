"""Task events in, counts out: each event once, as it arrives."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest
from cluster import EPOCH, QUEUE, TASK, Cluster, report, running, total

from celeriac.model.histogram import HistogramView

RUNTIME = "celery_task_runtime_seconds"
QUEUE_WAIT = "celery_task_queue_wait_seconds"
PREFETCH_WAIT = "celery_task_prefetch_wait_seconds"
FINISHED = "celery_worker_tasks_finished_total"
UNMATCHED = "celery_exporter_events_unmatched_total"
REVOKED = "celery_task_revoked_total"
KINDS = ("sent", "received", "started", "succeeded", "failed", "retried", "rejected")
OUTCOMES = ("succeeded", "failed", "rejected", "revoked")


@pytest.fixture
def cluster() -> Cluster:
    """A cluster with one worker, which consumes one queue and has said so."""
    cluster = Cluster()
    cluster.heartbeat()
    cluster.answer(report())
    return cluster


def seen(cluster: Cluster, family: str) -> tuple[int, float]:
    """Return how many values a histogram of the one task has, and their sum."""
    view = cluster.show(family).get((TASK, QUEUE))
    if view is None:
        return 0, 0.0
    assert isinstance(view, HistogramView)
    return sum(view.counts), view.sum


def unmatched(cluster: Cluster) -> float:
    return total(cluster.show(UNMATCHED))


def finished(cluster: Cluster) -> dict[str, float]:
    samples = cluster.show(FINISHED)
    return {outcome: float(n) for (_, outcome), n in samples.items() if isinstance(n, int) and n}


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_counts_in_its_own_family_only(cluster: Cluster, kind: str) -> None:
    cluster.task(kind, name=TASK, queue=QUEUE)
    assert {k: cluster.count(k) for k in KINDS} == {k: int(k == kind) for k in KINDS}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "revoked"),
        ({"terminated": True, "expired": False}, "terminated"),
        ({"terminated": False, "expired": True}, "expired"),
        ({"terminated": None, "expired": None}, "revoked"),
    ],
)
def test_a_revocation_counts_under_its_reason(
    cluster: Cluster, fields: dict[str, bool], reason: str
) -> None:
    cluster.received()
    cluster.task("revoked", **fields)
    cluster.wait(1)
    counts = {r: n for (_, _, r), n in cluster.show(REVOKED).items()}
    assert counts == {r: int(r == reason) for r in ("revoked", "terminated", "expired")}


def test_a_whole_life_counts_each_step_once(cluster: Cluster) -> None:
    cluster.sent()
    cluster.received()
    cluster.task("started")
    cluster.task("succeeded", runtime=0.5)
    steps = ("sent", "received", "started", "succeeded")
    assert [cluster.count(step) for step in steps] == [1, 1, 1, 1]


def test_55_whatever_the_order_each_event_counts_once() -> None:
    for order in itertools.permutations(("sent", "received", "started", "succeeded")):
        cluster = Cluster()
        cluster.answer(report())
        for kind in order:
            if kind == "sent":
                cluster.sent(at=1)
            else:
                cluster.task(kind, name=TASK if kind == "received" else None, at=2)
        cluster.wait(6)
        assert [cluster.count(kind) for kind in order] == [1, 1, 1, 1], order
        assert unmatched(cluster) == 0, order


@pytest.mark.parametrize("kind", KINDS)
def test_55_a_duplicate_counts_again(cluster: Cluster, kind: str) -> None:
    cluster.sent("other")
    cluster.sent()
    before = cluster.count(kind) or 0
    cluster.task(kind, name=TASK, queue=QUEUE)
    cluster.task(kind, name=TASK, queue=QUEUE)
    assert cluster.count(kind) == before + 2


def test_a_retry_is_no_end(cluster: Cluster) -> None:
    cluster.received()
    cluster.task("started")
    cluster.task("retried")
    cluster.received()
    cluster.task("started")
    cluster.task("succeeded")
    assert (cluster.count("started"), cluster.count("retried"), cluster.count("succeeded")) == (
        2,
        1,
        1,
    )
    assert finished(cluster) == {"succeeded": 1}


def test_a_redelivered_task_counts_as_often_as_it_ran(cluster: Cluster) -> None:
    for _ in range(2):
        cluster.received()
        cluster.task("started")
        cluster.task("succeeded")
    assert cluster.count("succeeded") == 2
    assert finished(cluster) == {"succeeded": 2}


def test_a_rejection_beside_a_failure_is_one_finished_task(cluster: Cluster) -> None:
    cluster.received()
    cluster.task("started")
    cluster.task("rejected")
    cluster.task("failed", exception="Reject()")
    assert (cluster.count("rejected"), cluster.count("failed")) == (1, 1)
    assert finished(cluster) == {"rejected": 1}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_end_is_counted_for_the_worker_where_it_happened(cluster: Cluster, outcome: str) -> None:
    cluster.received()
    cluster.task(outcome)
    assert finished(cluster) == {outcome: 1}


# -- what was never seen -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["started", "succeeded", "failed", "retried", "revoked"])
def test_an_event_of_an_id_never_seen_is_unmatched_after_the_hold(
    cluster: Cluster, kind: str
) -> None:
    cluster.task(kind)
    cluster.wait(0.9)
    assert unmatched(cluster) == 0
    cluster.wait(0.2)
    assert unmatched(cluster) == 1
    assert cluster.count(kind) is None


def test_an_introduction_within_the_hold_matches_what_came_before_it(cluster: Cluster) -> None:
    cluster.task("started", at=0.1)
    cluster.task("succeeded", at=0.2)
    cluster.wait(0.5)
    cluster.received(at=0)
    cluster.wait(10)
    assert unmatched(cluster) == 0
    assert [cluster.count(kind) for kind in ("received", "started", "succeeded")] == [1, 1, 1]


def test_an_unmatched_outcome_still_counts_for_its_worker(cluster: Cluster) -> None:
    cluster.task("succeeded")
    cluster.wait(1)
    assert finished(cluster) == {"succeeded": 1}


def test_a_sampled_request_matches_an_id_that_no_event_introduced(cluster: Cluster) -> None:
    cluster.answer(report(active=(running("id"),)))
    cluster.task("succeeded")
    cluster.wait(1)
    assert (unmatched(cluster), cluster.count("succeeded")) == (0, 1)


def test_every_received_event_is_counted_somewhere(cluster: Cluster) -> None:
    cluster.task("received", "nameless")
    cluster.task("sent", "nameless-too")
    cluster.task("started", "never-introduced")
    cluster.wait(10)
    counted = sum(cluster.count(kind) or 0 for kind in KINDS)  # type: ignore[misc]
    assert counted + unmatched(cluster) == 3


# -- durations --------------------------------------------------------------------------------


def test_a_runtime_is_observed_as_the_worker_reports_it(cluster: Cluster) -> None:
    cluster.received()
    cluster.task("succeeded", runtime=0.25)
    assert seen(cluster, RUNTIME) == (1, 0.25)


@pytest.mark.parametrize(
    "runtime",
    [None, -1, float("nan"), float("inf"), "1", True, [], 10**400],
    ids=lambda runtime: repr(runtime)[:10],
)
def test_54_a_runtime_that_is_none_is_counted_unobserved(cluster: Cluster, runtime: object) -> None:
    cluster.received()
    cluster.task("succeeded", runtime=runtime)
    assert cluster.count("succeeded") == 1
    assert seen(cluster, RUNTIME)[0] == 0


def test_only_successful_runs_have_a_runtime(cluster: Cluster) -> None:
    cluster.received()
    cluster.task("failed", runtime=0.25, exception="E()")
    assert seen(cluster, RUNTIME) == (0, 0.0)


def test_the_prefetch_wait_is_from_received_to_started(cluster: Cluster) -> None:
    cluster.received(at=1)
    cluster.task("started", at=3.5)
    assert seen(cluster, PREFETCH_WAIT) == (1, 2.5)


def test_the_queue_wait_is_from_sent_to_started(cluster: Cluster) -> None:
    cluster.sent(at=1)
    cluster.received(at=1.5)
    cluster.task("started", at=4)
    assert seen(cluster, QUEUE_WAIT) == (1, 3.0)


def test_the_queue_wait_is_the_same_when_sent_arrives_last(cluster: Cluster) -> None:
    cluster.received(at=1.5)
    cluster.task("started", at=4)
    cluster.task("succeeded", at=5)
    cluster.sent(at=1)
    assert seen(cluster, QUEUE_WAIT) == (1, 3.0)


def test_without_sent_there_is_no_queue_wait(cluster: Cluster) -> None:
    cluster.received(at=1)
    cluster.task("started", at=4)
    cluster.wait(10)
    assert cluster.count("started") == 1
    assert seen(cluster, QUEUE_WAIT) == (0, 0.0)


@pytest.mark.parametrize(
    ("eta", "wait"),
    [
        ("2023-11-14T22:13:30+00:00", 5.0),
        ("2023-11-14T22:13:30", 5.0),
        ("2023-11-14T23:13:30+01:00", 5.0),
        ("2023-11-14T22:13:30Z", 5.0),
        ("2023-11-14T22:00:00+00:00", 14.0),
        (None, 14.0),
        ("garbage", 14.0),
        (5, 14.0),
        ("", 14.0),
        ("0001-01-01T00:00:00+23:59", 14.0),
        ("9999-12-31T23:59:59-23:59", 0.0),
    ],
)
def test_53_the_queue_wait_begins_at_the_later_of_sent_or_eta(
    cluster: Cluster, eta: object, wait: float
) -> None:
    assert EPOCH == 1_700_000_000, "2023-11-14T22:13:20Z"
    cluster.sent(at=1, eta=eta)
    cluster.received(at=2)
    cluster.task("started", at=15)
    assert seen(cluster, QUEUE_WAIT) == (1, wait)


@pytest.fixture
def _far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "FAR-09")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_far_from_greenwich")
def test_an_eta_without_offset_is_not_in_the_exporters_own_zone(cluster: Cluster) -> None:
    cluster.sent(at=1, eta="2023-11-14T22:13:30")
    cluster.task("started", at=15)
    assert seen(cluster, QUEUE_WAIT) == (1, 5.0)


def test_53_an_eta_that_is_garbage_on_started_counts_without_a_wait(cluster: Cluster) -> None:
    cluster.received(at=1)
    cluster.task("started", at=2, eta="garbage")
    assert cluster.count("started") == 1
    assert seen(cluster, QUEUE_WAIT) == (0, 0.0)


def test_the_clocks_of_two_hosts_make_no_negative_wait(cluster: Cluster) -> None:
    cluster.sent(at=100)
    cluster.received(at=50)
    cluster.task("started", at=40)
    assert seen(cluster, QUEUE_WAIT) == (1, 0.0)
    assert seen(cluster, PREFETCH_WAIT) == (1, 0.0)


def test_a_retry_waits_from_its_own_publication(cluster: Cluster) -> None:
    cluster.sent(at=0)
    cluster.task("started", at=1)
    cluster.sent(at=2, eta="2023-11-14T22:13:30+00:00")
    cluster.task("retried", at=2)
    cluster.task("started", at=13)
    assert seen(cluster, QUEUE_WAIT) == (2, 1.0 + 3.0)


@pytest.mark.parametrize("late", [0, 0.5, 1])
def test_a_worker_quicker_than_the_stamp_of_its_client_waited_0(
    cluster: Cluster, late: float
) -> None:
    cluster.received(at=10)
    cluster.task("started", at=10)
    cluster.sent(at=10 + late)
    cluster.task("started", at=60)
    assert seen(cluster, QUEUE_WAIT) == (1, 0.0)


def test_a_publication_after_the_start_is_that_of_the_next_run(cluster: Cluster) -> None:
    cluster.received(at=10)
    cluster.task("started", at=10)
    cluster.sent(at=12)
    cluster.task("started", at=15)
    assert seen(cluster, QUEUE_WAIT) == (1, 3.0)


def test_a_publication_after_a_retry_is_that_of_the_next_run(cluster: Cluster) -> None:
    cluster.received(at=10)
    cluster.task("started", at=10)
    cluster.task("retried", at=10.1)
    cluster.sent(at=10.2)
    cluster.task("started", at=15)
    assert seen(cluster, QUEUE_WAIT) == (1, pytest.approx(4.8))


def test_each_start_waits_once(cluster: Cluster) -> None:
    cluster.sent(at=0)
    cluster.received(at=1)
    cluster.task("started", at=2)
    cluster.task("started", at=9)
    assert seen(cluster, QUEUE_WAIT) == (1, 2.0)
    assert seen(cluster, PREFETCH_WAIT) == (1, 1.0)


def test_a_value_on_a_bound_falls_into_its_bucket(cluster: Cluster) -> None:
    cluster.received()
    for runtime in (0.1, 0.100001, 1.0, 1.000001):
        cluster.task("succeeded", runtime=runtime)
    view = cluster.show(RUNTIME)[TASK, QUEUE]
    assert isinstance(view, HistogramView)
    assert list(view.counts) == [1, 2, 1]


def test_the_last_success_is_the_senders_instant(cluster: Cluster) -> None:
    cluster.received()
    cluster.task("succeeded", at=7)
    samples = cluster.show("celery_task_last_succeeded_timestamp_seconds")
    assert samples == {(TASK,): EPOCH + 7}
    assert cluster.show("celery_task_last_failed_timestamp_seconds") == {}


def test_the_last_failure_is_the_latest_over_all_queues(cluster: Cluster) -> None:
    for uuid, queue, at in (("a", "one", 5), ("b", "two", 9), ("c", "three", 7)):
        cluster.sent(uuid, queue=queue)
        cluster.task("failed", uuid, at=at, exception="E()")
    samples = cluster.show("celery_task_last_failed_timestamp_seconds")
    assert samples == {(TASK,): EPOCH + 9}


def test_a_late_event_does_not_turn_the_last_success_back(cluster: Cluster) -> None:
    cluster.received()
    cluster.task("succeeded", at=9)
    cluster.received("other")
    cluster.task("succeeded", "other", at=5)
    samples = cluster.show("celery_task_last_succeeded_timestamp_seconds")
    assert samples == {(TASK,): EPOCH + 9}


# -- exceptions -------------------------------------------------------------------------------


def test_a_failure_counts_under_its_exception(cluster: Cluster) -> None:
    cluster.received()
    cluster.task("failed", exception="ValueError('secret')")
    samples = cluster.show("celery_task_exceptions_total")
    assert samples == {(TASK, QUEUE, "ValueError"): 1}


def test_50_a_failure_without_exception_counts_as_other(cluster: Cluster) -> None:
    cluster.received()
    cluster.task("failed")
    assert cluster.show("celery_task_exceptions_total") == {(TASK, QUEUE, "other"): 1}


# -- what is remembered -----------------------------------------------------------------------


def test_a_task_id_is_remembered_once_however_often_it_runs(cluster: Cluster) -> None:
    def run(uuid: str) -> None:
        cluster.received(uuid)
        cluster.task("succeeded", uuid)

    run("again")
    for number in range(5_000):
        run(str(number))
    run("again")
    assert total(cluster.show("celery_exporter_tracked_tasks")) == 5_001


def test_the_lag_is_the_age_of_the_last_event(cluster: Cluster) -> None:
    cluster.sent(at=-3)
    assert cluster.show("celery_exporter_event_lag_seconds") == {(): 3.0}


def test_an_event_from_the_future_has_no_lag(cluster: Cluster) -> None:
    cluster.sent(at=86_400)
    assert cluster.show("celery_exporter_event_lag_seconds") == {(): 0.0}
