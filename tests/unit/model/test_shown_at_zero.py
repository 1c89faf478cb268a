"""Whatever is new is in one scrape at 0, so that ``increase()`` sees the first of it."""

from __future__ import annotations

import pytest
from cluster import QUEUE, TASK, WORKER, Cluster, read, report

from celeriac.model.histogram import HistogramView

COUNTERS = ("sent", "received", "started", "succeeded", "failed", "retried", "rejected")


def failed_once() -> Cluster:
    cluster = Cluster()
    cluster.sent()
    cluster.received()
    cluster.task("started")
    cluster.task("failed", exception="ValueError()")
    return cluster


def test_all_outcomes_of_a_task_are_born_together() -> None:
    cluster = Cluster()
    cluster.sent()
    snapshot = cluster.snapshot()
    for kind in COUNTERS:
        assert read(snapshot, f"celery_task_{kind}_total") == {(TASK, QUEUE): 0}, kind
    assert read(snapshot, "celery_task_revoked_total") == {
        (TASK, QUEUE, reason): 0 for reason in ("revoked", "terminated", "expired")
    }


def test_a_registered_task_is_born_before_its_first_event() -> None:
    cluster = Cluster()
    cluster.answer(report(WORKER, "mail", registered=frozenset({"app.rare"})))
    assert cluster.first("celery_task_failed_total") == {("app.rare", "mail"): 0}


def test_a_task_born_ahead_shows_its_first_failure_on_the_next_page() -> None:
    cluster = Cluster()
    cluster.answer(report(registered=frozenset({TASK})))
    cluster.snapshot()
    cluster.received()
    cluster.task("failed")
    assert cluster.first("celery_task_failed_total") == {(TASK, QUEUE): 1}


def test_the_first_page_of_a_counter_is_0() -> None:
    assert failed_once().first("celery_task_failed_total") == {(TASK, QUEUE): 0}


def test_the_second_page_of_a_counter_is_true() -> None:
    cluster = failed_once()
    cluster.snapshot()
    assert cluster.first("celery_task_failed_total") == {(TASK, QUEUE): 1}


def test_what_is_no_scrape_shows_nobody_the_0() -> None:
    cluster = failed_once()
    cluster.state.snapshot(cluster.now, is_scrape=False)
    assert cluster.first("celery_task_failed_total") == {(TASK, QUEUE): 0}


def test_what_is_no_scrape_is_true_at_once() -> None:
    cluster = failed_once()
    snapshot = cluster.state.snapshot(cluster.now, is_scrape=False)
    assert read(snapshot, "celery_task_failed_total") == {(TASK, QUEUE): 1}
    assert read(snapshot, "celery_task_exceptions_total") == {(TASK, QUEUE, "ValueError"): 1}
    waits = read(snapshot, "celery_task_queue_wait_seconds")[TASK, QUEUE]
    assert isinstance(waits, HistogramView)
    assert sum(waits.counts) == 1


def test_what_is_no_scrape_is_true_in_between() -> None:
    cluster = failed_once()
    cluster.snapshot()
    cluster.task("failed", exception="KeyError()")
    snapshot = cluster.state.snapshot(cluster.now, is_scrape=False)
    assert read(snapshot, "celery_task_exceptions_total")[TASK, QUEUE, "KeyError"] == 1


def test_the_first_page_of_an_exception_is_0() -> None:
    cluster = failed_once()
    assert cluster.first("celery_task_exceptions_total") == {(TASK, QUEUE, "ValueError"): 0}
    assert cluster.first("celery_task_exceptions_total") == {(TASK, QUEUE, "ValueError"): 1}


def test_an_exception_seen_later_is_0_beside_one_that_is_true() -> None:
    cluster = failed_once()
    cluster.snapshot()
    cluster.task("failed", exception="KeyError()")
    first, second = (cluster.first("celery_task_exceptions_total") for _ in range(2))
    assert first == {(TASK, QUEUE, "ValueError"): 1, (TASK, QUEUE, "KeyError"): 0}
    assert second == {(TASK, QUEUE, "ValueError"): 1, (TASK, QUEUE, "KeyError"): 1}


HISTOGRAMS = (
    "celery_task_queue_wait_seconds",
    "celery_task_prefetch_wait_seconds",
    "celery_task_runtime_seconds",
)


@pytest.mark.parametrize("family", HISTOGRAMS)
def test_the_first_page_of_a_histogram_is_0(family: str) -> None:
    cluster = Cluster()
    cluster.sent(at=0)
    cluster.snapshot()
    cluster.received(at=1)
    cluster.task("started", at=2)
    cluster.task("succeeded", at=3, runtime=1.0)
    first, second = (cluster.first(family)[TASK, QUEUE] for _ in range(2))
    assert isinstance(first, HistogramView)
    assert isinstance(second, HistogramView)
    assert (sum(first.counts), first.sum) == (0, 0.0)
    assert sum(second.counts) == 1


def test_a_histogram_nobody_observed_is_absent() -> None:
    cluster = Cluster()
    cluster.sent()
    for family in HISTOGRAMS:
        assert cluster.show(family) == {}


WORKER_COUNTERS = ("celery_worker_lost_total", "celery_worker_restarts_total")


@pytest.mark.parametrize("family", WORKER_COUNTERS)
def test_the_cluster_wide_worker_counters_are_born_at_0(family: str) -> None:
    assert Cluster().first(family) == {(): 0}


def test_the_outcomes_of_a_worker_are_born_with_it() -> None:
    cluster = Cluster()
    cluster.heartbeat()
    assert cluster.first("celery_worker_tasks_finished_total") == {
        (WORKER, outcome): 0 for outcome in ("succeeded", "failed", "rejected", "revoked")
    }


def test_every_type_of_event_is_born_at_0() -> None:
    received = Cluster().first("celery_exporter_events_received_total")
    tasks = {f"task-{kind}" for kind in (*COUNTERS, "revoked")}
    workers = {f"worker-{kind}" for kind in ("online", "heartbeat", "offline")}
    assert received == {(kind,): 0 for kind in tasks | workers}


def test_every_reason_for_a_rejected_event_is_born_at_0() -> None:
    rejected = Cluster().first("celery_exporter_events_rejected_total")
    assert rejected == {
        (reason,): 0
        for reason in (
            "too_large",
            "envelope",
            "content_type",
            "content_encoding",
            "compression",
            "body",
            "too_many",
            "event",
            "unknown_type",
        )
    }


@pytest.mark.parametrize("label", ["task", "queue", "worker", "exception", "series"])
def test_every_overflow_is_born_at_0(label: str) -> None:
    assert Cluster().first("celery_exporter_label_overflow_total")[label,] == 0
