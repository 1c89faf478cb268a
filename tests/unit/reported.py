"""Reports that are made up: one of a healthy cluster, and changes to it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from msgspec import structs

from celeriac.sidecar.report_shapes import (
    Change,
    Comparison,
    DataQuality,
    ExceptionFigures,
    Gap,
    PerformanceReport,
    QueueFigures,
    TaskFigures,
    TimeRange,
    WorkerFigures,
)

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
FIGURES: dict[str, Any] = {
    "total_tasks": 2_000,
    "successful_tasks": 1_990,
    "failed_tasks": 10,
    "retried_tasks": 5,
    "revoked_tasks": 0,
    "rejected_tasks": 0,
    "success_rate_percent": 99.5,
    "avg_execution_time_ms": 310.2,
    "p50_execution_time_ms": 250.0,
    "p95_execution_time_ms": 800.0,
    "p99_execution_time_ms": 990.0,
    "avg_queue_wait_ms": 20.0,
    "p95_queue_wait_ms": 95.0,
    "avg_prefetch_wait_ms": 5.0,
    "peak_throughput": 3.5,
    "peak_throughput_at": NOON + HOUR / 4,
}


def task(name: str = "shop.pay", **changed: Any) -> TaskFigures:
    row = TaskFigures(
        task=name,
        total=1_000,
        successful=995,
        failed=5,
        retried=5,
        revoked=0,
        rejected=0,
        error_rate_percent=0.5,
        avg_execution_time_ms=310.2,
        p50_execution_time_ms=250.0,
        p95_execution_time_ms=800.0,
        p99_execution_time_ms=990.0,
        avg_queue_wait_ms=20.0,
        worker_time_seconds=310.2,
        worker_time_share_percent=50.0,
    )
    return structs.replace(row, **changed)


def queue(name: str = "default", **changed: Any) -> QueueFigures:
    row = QueueFigures(
        queue=name,
        total=2_000,
        max_backlog=30.0,
        mean_backlog=2.5,
        backlog_at_end=1.0,
        backlog_growth_per_minute=0.0,
        avg_queue_wait_ms=20.0,
        p95_queue_wait_ms=95.0,
        avg_execution_time_ms=310.2,
    )
    return structs.replace(row, **changed)


def worker(name: str = "one@host", **changed: Any) -> WorkerFigures:
    row = WorkerFigures(
        worker=name,
        finished=1_000,
        failed=5,
        up_percent=100.0,
        busy_percent=60.0,
        pool_processes=4.0,
        mean_prefetched=6.0,
    )
    return structs.replace(row, **changed)


def quality(**changed: Any) -> DataQuality:
    row = DataQuality(missed_events=0, event_gap_seconds=0.0, gaps=[], resolution_seconds=15.0)
    return structs.replace(row, **changed)


def report(**changed: Any) -> PerformanceReport:
    """Return a report in which nothing is wrong, but for what is changed."""
    row = PerformanceReport(
        **FIGURES,
        report_id="0123456789abcdef0123456789abcdef",
        generated_at=NOON + 2 * HOUR,
        time_range=TimeRange(NOON, NOON + HOUR),
        tasks=[task("shop.pay"), task("shop.mail")],
        queues=[queue()],
        workers=[worker("one@host"), worker("two@host")],
        top_exceptions=[],
        comparison=Comparison(**FIGURES, time_range=TimeRange(NOON - HOUR, NOON), worse=[]),
        optimization_recommendations=[],
        recommendations=[],
        data_quality=quality(),
    )
    return structs.replace(row, **changed)


def troubled() -> PerformanceReport:
    """Return a report that has something in every section."""
    worse = [
        Change(figure="success_rate_percent", task=None, before=99.5, now=90.0),
        Change(figure="p95_execution_time_ms", task="shop.pay", before=800.0, now=4_000.0),
    ]
    gap = Gap(NOON + HOUR / 3, NOON + HOUR / 2)
    return report(
        tasks=[
            task("shop.pay", failed=100, error_rate_percent=10.0),
            task("evil|`name`\n<script>", avg_execution_time_ms=None),
        ],
        top_exceptions=[
            ExceptionFigures(
                exception="ValueError", count=90, share_percent=90.0, tasks={"shop.pay": 90}
            )
        ],
        comparison=Comparison(**FIGURES, time_range=TimeRange(NOON - HOUR, NOON), worse=worse),
        data_quality=quality(missed_events=120, event_gap_seconds=30.0, gaps=[gap]),
        queue="default",
    )
