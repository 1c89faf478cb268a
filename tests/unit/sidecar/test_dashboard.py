"""The dashboard object: who and what is behind the numbers."""

from __future__ import annotations

from exporter_pages import NOW, gauge, page, series, task

from celeriac.clients.exporter_page import Page
from celeriac.sidecar.dashboard import MAX_QUEUES, MAX_TASKS, MAX_WORKERS, Dashboard, dashboard
from celeriac.sidecar.numbers import Now, Picture, live_numbers, nothing
from celeriac.sidecar.rates import Growth, Lately


def shown(of: Page | None, lately: Lately | None = None) -> Dashboard:
    now = Now(NOW, 0.0)
    picture = nothing(now) if of is None else Picture(of, lately or Lately(), now)
    return dashboard(picture, live_numbers(picture, now, 30.0), [])


def test_workers_that_are_down_come_first_then_the_busiest() -> None:
    found = shown(
        page(
            gauge("celery_worker_up", "worker", {"idle": 1, "busy": 1, "down": 0}),
            gauge("celery_worker_active_tasks", "worker", {"idle": 0, "busy": 4}),
        )
    )
    assert [(row.worker, row.up, row.active_tasks) for row in found.workers] == [
        ("down", False, None),
        ("busy", True, 4),
        ("idle", True, 0),
    ]


def test_a_worker_says_what_it_is() -> None:
    about = {"worker": "a", "version": "5.7.0", "pool": "prefork", "hostname": "one"}
    up = gauge("celery_worker_up", "worker", {"a": 1})
    row = shown(page(up, series("celery_worker_info", 1, **about))).workers[0]
    assert (row.pool, row.version, row.last_heartbeat_at) == ("prefork", "5.7.0", None)


def test_the_longest_queue_comes_first() -> None:
    lengths = gauge("celery_queue_length", "queue", {"short": 1, "long": 9})
    consumers = gauge("celery_queue_consumers", "queue", {"unsampled": 1})
    found = shown(page(lengths, consumers)).queues
    assert [(row.queue, row.length) for row in found] == [
        ("long", 9),
        ("short", 1),
        ("unsampled", None),
    ]


def test_the_task_of_which_most_ended_lately_comes_first() -> None:
    counts = page(
        task("succeeded_total", 900, name="formerly"),
        task("succeeded_total", 5, name="now"),
        task("failed_total", 1, name="now", queue="mail"),
        task("succeeded_total", 0, name="never"),
    )
    rows = shown(counts, Lately(2.0, Growth(), {"now": Growth(succeeded=3, failed=1)})).top_tasks
    assert [row.task for row in rows] == ["now", "formerly"]
    assert (rows[0].succeeded, rows[0].failed) == (5, 1)
    assert (rows[0].throughput, rows[0].error_rate_percent) == (2.0, 25.0)
    assert (rows[1].throughput, rows[1].error_rate_percent) == (0.0, None)


def test_the_lists_are_cut() -> None:
    many = [str(number) for number in range(300)]
    found = shown(
        page(
            gauge("celery_worker_up", "worker", dict.fromkeys(many, 1)),
            gauge("celery_queue_length", "queue", dict.fromkeys(many, 1)),
            *(task("succeeded_total", 1, name=name) for name in many),
        )
    )
    assert len(found.workers) == MAX_WORKERS
    assert len(found.queues) == MAX_QUEUES
    assert len(found.top_tasks) == MAX_TASKS
    assert (found.system_summary.queues, found.system_summary.tasks) == (300, 300)


def test_the_summary_says_which_broker_and_versions() -> None:
    summary = shown(
        page(
            series("celery_broker_info", 1, transport="redis", version="7"),
            series("celery_exporter_build_info", 1, version="1.0", celery_version="5.7.0"),
            series("celery_exporter_events_missed_total", 3),
            gauge("celery_worker_pool_processes", "worker", {"a": 4, "b": 2}),
        )
    ).system_summary
    assert (summary.broker_transport, summary.broker_version) == ("redis", "7")
    assert (summary.exporter_version, summary.celery_version) == ("1.0", "5.7.0")
    assert (summary.missed_events, summary.pool_processes) == (3, 6)


def test_without_a_page_there_is_a_dashboard_that_knows_nothing() -> None:
    found = shown(None)
    assert found.real_time_metrics.stale
    assert (found.workers, found.queues, found.top_tasks) == ([], [], [])
    assert found.system_summary.broker_up is None
