"""The performance report as it is answered, saved and read again."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

Time: TypeAlias = Annotated[dt.datetime, Meta(extra_json_schema={"format": "date-time"})]


class ReportRequest(Struct, forbid_unknown_fields=True):
    """Of which time. A time without an offset is in the configured zone, UTC as a rule."""

    start: Time
    end: Time
    task: str | None = None
    """Only this one."""
    queue: str | None = None
    """Only this one."""


class TimeRange(Struct):
    """All that was counted after *start*, up to and with *end*."""

    start: Time
    end: Time


class Figures(Struct, kw_only=True):
    """One window in numbers. Null is a number that nothing was measured for."""

    total_tasks: int
    successful_tasks: int
    failed_tasks: int
    retried_tasks: int
    revoked_tasks: int
    rejected_tasks: int
    success_rate_percent: float | None
    avg_execution_time_ms: float | None
    p50_execution_time_ms: float | None
    p95_execution_time_ms: float | None
    p99_execution_time_ms: float | None
    avg_queue_wait_ms: float | None
    p95_queue_wait_ms: float | None
    avg_prefetch_wait_ms: float | None
    peak_throughput: float | None
    peak_throughput_at: Time | None


class TaskFigures(Struct, kw_only=True):
    """One task, on all queues."""

    task: str
    total: int
    successful: int
    failed: int
    retried: int
    revoked: int
    rejected: int
    error_rate_percent: float | None
    avg_execution_time_ms: float | None
    p50_execution_time_ms: float | None
    p95_execution_time_ms: float | None
    p99_execution_time_ms: float | None
    avg_queue_wait_ms: float | None
    worker_time_seconds: float
    worker_time_share_percent: float | None


class QueueFigures(Struct, kw_only=True):
    """One queue."""

    queue: str
    total: int
    max_backlog: float | None
    mean_backlog: float | None
    backlog_at_end: float | None
    backlog_growth_per_minute: float | None
    """Over the last quarter of the window."""
    avg_queue_wait_ms: float | None
    p95_queue_wait_ms: float | None
    avg_execution_time_ms: float | None


class WorkerFigures(Struct, kw_only=True):
    """One worker."""

    worker: str
    finished: int
    failed: int
    up_percent: float | None
    busy_percent: float | None
    pool_processes: float | None
    mean_prefetched: float | None


class ExceptionFigures(Struct, kw_only=True):
    """One class of exception, with the tasks that raised it most."""

    exception: str
    count: int
    share_percent: float | None
    tasks: dict[str, int]


class Change(Struct, kw_only=True):
    """A figure that is worse than in the window before; of one task, or of everything."""

    figure: str
    task: str | None
    before: float
    now: float


class Comparison(Figures):
    """The window before, as long as this one, and what got worse since."""

    time_range: TimeRange
    worse: list[Change]


class Gap(Struct):
    """A time in which the exporter was not scraped."""

    start: Time
    end: Time


class DataQuality(Struct, kw_only=True):
    """How far the numbers can be trusted."""

    missed_events: int
    """Executions that workers began and the exporter was told nothing of."""
    event_gap_seconds: float
    gaps: list[Gap]
    resolution_seconds: float | None


class Recommendation(Struct, kw_only=True):
    """What a rule found, about what, and the numbers that made it say so."""

    rule: str
    subject: str
    text: str
    evidence: dict[str, float]


class PerformanceReport(Figures):
    """A performance report."""

    report_id: str
    generated_at: Time
    time_range: TimeRange
    tasks: list[TaskFigures]
    queues: list[QueueFigures]
    workers: list[WorkerFigures]
    top_exceptions: list[ExceptionFigures]
    comparison: Comparison
    optimization_recommendations: list[str]
    recommendations: list[Recommendation]
    data_quality: DataQuality
    task: str | None = None
    queue: str | None = None
    is_saved: bool = True


class ReportSummary(Struct, kw_only=True):
    """What the list says of a saved report."""

    report_id: str
    generated_at: Time
    time_range: TimeRange
    total_tasks: int
    success_rate_percent: float | None


class ReportList(Struct):
    """Saved reports, the latest first."""

    reports: list[ReportSummary]
