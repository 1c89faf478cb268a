"""From what was counted to the figures of a report; no I/O."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from celeriac.clients import celery_history as families
from celeriac.clients.celery_history import Measured, Readings
from celeriac.clients.distributions import by_label, distributions, percent, ratio, rounded, whole
from celeriac.clients.prometheus_answers import Milliseconds, Span
from celeriac.sidecar.report_shapes import (
    Change,
    Comparison,
    DataQuality,
    ExceptionFigures,
    Gap,
    QueueFigures,
    TaskFigures,
    TimeRange,
    WorkerFigures,
)

MAX_EXCEPTIONS = 20
MAX_TASKS_OF_AN_EXCEPTION = 5
MAX_GAPS = 100
ENDS = {
    "successful": families.SUCCEEDED,
    "failed": families.FAILED,
    "revoked": families.REVOKED,
    "rejected": families.REJECTED,
}
# What got worse: a time by this share, a percentage by this many points.
WORSE_SHARE, WORSE_POINTS = 0.2, 1.0
MIN_TASKS_TO_COMPARE = 20
TIMES = (
    "avg_execution_time_ms",
    "p95_execution_time_ms",
    "p99_execution_time_ms",
    "avg_queue_wait_ms",
    "p95_queue_wait_ms",
)
Row = dict[str, Any]


def figures(measured: Measured) -> Row:
    """Return the fields of ``Figures``."""
    totals, minute = measured.totals, measured.best_minute
    ends = {end: whole(totals, family) for end, family in ENDS.items()}
    total = sum(ends.values())
    wait = distributions(totals, families.QUEUE_WAIT)[""]
    return {
        "total_tasks": total,
        **{f"{end}_tasks": count for end, count in ends.items()},
        "retried_tasks": whole(totals, families.RETRIED),
        "success_rate_percent": percent(ends["successful"], total),
        **distributions(totals, families.RUNTIME)[""].execution_times(),
        "avg_queue_wait_ms": wait.mean_ms(),
        "p95_queue_wait_ms": wait.quantile_ms(0.95),
        "avg_prefetch_wait_ms": distributions(totals, families.PREFETCH_WAIT)[""].mean_ms(),
        "peak_throughput": round(minute.per_second, 3) if minute else None,
        "peak_throughput_at": moment(minute.span.start) if minute else None,
    }


def tasks(measured: Measured) -> list[TaskFigures]:
    """Return every task that did anything, the one that ended most often first."""
    totals = measured.totals
    ends = {end: by_label(totals, family, "task") for end, family in ENDS.items()}
    retried = by_label(totals, families.RETRIED, "task")
    runtimes = distributions(totals, families.RUNTIME, "task")
    waits = distributions(totals, families.QUEUE_WAIT, "task")
    worked = sum(runtime.sum_seconds for runtime in runtimes.values())

    def row(task: str) -> TaskFigures:
        counts = {end: by_task[task] for end, by_task in ends.items()}
        total, seconds = sum(counts.values()), runtimes[task].sum_seconds
        return TaskFigures(
            task=task,
            total=total,
            **counts,
            retried=retried[task],
            error_rate_percent=percent(counts["failed"], total),
            **runtimes[task].execution_times(),
            avg_queue_wait_ms=waits[task].mean_ms(),
            worker_time_seconds=round(seconds, 3),
            worker_time_share_percent=percent(seconds, worked),
        )

    rows = [row(task) for task in {*retried, *(task for end in ends.values() for task in end)}]
    active = (row for row in rows if row.total or row.retried)
    return sorted(active, key=lambda row: (-row.total, row.task))


def queues(readings: Readings) -> list[QueueFigures]:
    """Return every queue that had messages or tasks, by name."""
    totals, levels = readings.now.totals, readings.queues
    ends = [by_label(totals, family, "queue") for family in ENDS.values()]
    runtimes = distributions(totals, families.RUNTIME, "queue")
    waits = distributions(totals, families.QUEUE_WAIT, "queue")
    return [
        QueueFigures(
            queue=queue,
            total=sum(counts[queue] for counts in ends),
            max_backlog=levels["max_backlog"].get(queue),
            mean_backlog=rounded(levels["mean_backlog"].get(queue)),
            backlog_at_end=levels["backlog_at_end"].get(queue),
            backlog_growth_per_minute=ratio(levels["growth_per_second"].get(queue), 1 / 60),
            avg_queue_wait_ms=waits[queue].mean_ms(),
            p95_queue_wait_ms=waits[queue].quantile_ms(0.95),
            avg_execution_time_ms=runtimes[queue].mean_ms(),
        )
        for queue in sorted({*levels["max_backlog"], *(q for counts in ends for q in counts)})
    ]


def workers(readings: Readings) -> list[WorkerFigures]:
    """Return every worker that was there, by name."""
    totals, levels = readings.now.totals, readings.workers
    finished = by_label(totals, families.WORKER_FINISHED, "worker")
    failed = by_label(totals, families.WORKER_FINISHED, "worker", outcome="failed")
    slots = levels["pool_processes"]
    return [
        WorkerFigures(
            worker=worker,
            finished=finished[worker],
            failed=failed[worker],
            up_percent=percent(levels["up"].get(worker), 1),
            busy_percent=percent(levels["active"].get(worker), slots.get(worker)),
            pool_processes=rounded(slots.get(worker)),
            mean_prefetched=rounded(levels["prefetched"].get(worker)),
        )
        for worker in sorted({*levels["up"], *finished})
    ]


def top_exceptions(measured: Measured) -> list[ExceptionFigures]:
    """Return the classes of exception that were raised most."""
    totals = measured.totals
    found = by_label(totals, families.EXCEPTIONS, "exception")

    def raised_by(exception: str) -> dict[str, int]:
        raised = by_label(totals, families.EXCEPTIONS, "task", exception=exception)
        return _most(raised, MAX_TASKS_OF_AN_EXCEPTION)

    every = sum(found.values())
    return [
        ExceptionFigures(
            exception=exception,
            count=count,
            share_percent=percent(count, every),
            tasks=raised_by(exception),
        )
        for exception, count in _most(found, MAX_EXCEPTIONS).items()
    ]


def comparison(readings: Readings) -> Comparison:
    """Return the window before, and what got worse since."""
    before, now = figures(readings.before), figures(readings.now)
    worse = _worse(None, before, now, "success_rate_percent")
    earlier = {row.task: row for row in tasks(readings.before)}
    for row in tasks(readings.now):
        old = earlier.get(row.task, row)
        if min(old.total, row.total) >= MIN_TASKS_TO_COMPARE:
            worse += _worse(
                row.task, structs.asdict(old), structs.asdict(row), "error_rate_percent"
            )
    return Comparison(**before, time_range=time_range(readings.before.window), worse=worse)


def _worse(task: str | None, before: Row, now: Row, share: str) -> list[Change]:
    """Return the times that are longer, and *share* if it is worse."""
    pairs = [(figure, before.get(figure), now.get(figure)) for figure in (share, *TIMES)]
    return [
        Change(figure=figure, task=task, before=old, now=new)
        for figure, old, new in pairs
        if old is not None and new is not None and _is_worse(figure, old, new)
    ]


def _is_worse(figure: str, before: float, now: float) -> bool:
    if figure == "success_rate_percent":
        return now <= before - WORSE_POINTS
    if figure == "error_rate_percent":
        return now >= before + WORSE_POINTS
    return now > before * (1 + WORSE_SHARE)


def data_quality(readings: Readings) -> DataQuality:
    """Return how far the numbers can be trusted."""
    totals, scrapes = readings.now.totals, readings.scrapes
    gaps = scrapes.gaps(readings.now.window)
    return DataQuality(
        missed_events=whole(totals, families.MISSED),
        event_gap_seconds=round(sum(totals.get(families.EVENT_GAP, {}).values(), 0.0), 3),
        gaps=[Gap(moment(gap.start), moment(gap.end)) for gap in gaps[:MAX_GAPS]],
        resolution_seconds=ratio(scrapes.resolution_ms(), 1000),
    )


def moment(when: Milliseconds) -> dt.datetime:
    """Return a time with its offset."""
    return dt.datetime.fromtimestamp(when / 1000, dt.UTC)


def time_range(window: Span) -> TimeRange:
    """Return a window as the report shows it."""
    return TimeRange(moment(window.start), moment(window.end))


def _most(counts: Mapping[str, int], limit: int) -> dict[str, int]:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return {name: count for name, count in ordered[:limit] if count}
