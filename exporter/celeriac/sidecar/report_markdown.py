"""A performance report as a document to read."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from celeriac.sidecar.report_shapes import Change, Figures, PerformanceReport

MAX_ROWS = 25
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&])")
FIGURES = {
    "Tasks": "total_tasks",
    "Successful": "successful_tasks",
    "Failed": "failed_tasks",
    "Retried": "retried_tasks",
    "Revoked": "revoked_tasks",
    "Rejected": "rejected_tasks",
    "Success rate, %": "success_rate_percent",
    "Run time, mean, ms": "avg_execution_time_ms",
    "Run time, p50, ms": "p50_execution_time_ms",
    "Run time, p95, ms": "p95_execution_time_ms",
    "Run time, p99, ms": "p99_execution_time_ms",
    "Queue wait, mean, ms": "avg_queue_wait_ms",
    "Queue wait, p95, ms": "p95_queue_wait_ms",
    "Best minute, tasks a second": "peak_throughput",
    "Best minute, at": "peak_throughput_at",
}
TABLES = {
    "tasks": {
        "Task": "task", "Ended": "total", "Failed": "failed", "Retried": "retried",
        "Errors, %": "error_rate_percent", "Mean, ms": "avg_execution_time_ms",
        "p95, ms": "p95_execution_time_ms", "p99, ms": "p99_execution_time_ms",
        "Worker time, %": "worker_time_share_percent",
    },
    "queues": {
        "Queue": "queue", "Ended": "total", "Backlog, most": "max_backlog",
        "Mean": "mean_backlog", "At the end": "backlog_at_end",
        "Wait, mean, ms": "avg_queue_wait_ms", "p95, ms": "p95_queue_wait_ms",
    },
    "workers": {
        "Worker": "worker", "Ended": "finished", "Failed": "failed", "Up, %": "up_percent",
        "Busy, %": "busy_percent", "Processes": "pool_processes", "Prefetched": "mean_prefetched",
    },
    "top_exceptions": {"Exception": "exception", "Count": "count", "Share, %": "share_percent"},
}  # fmt: skip


def markdown(report: PerformanceReport) -> str:
    """Return the report as Markdown; whatever comes from the cluster is shown literally."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: PerformanceReport) -> Iterator[str]:
    span = report.time_range
    yield f"# Performance report, {_cell(span.start)} to {_cell(span.end)}"
    yield ""
    scope = {"task": report.task, "queue": report.queue}
    only = [f"only {kind} {_cell(name)}" for kind, name in scope.items() if name is not None]
    yield f"Report {', '.join([report.report_id, f'made {_cell(report.generated_at)}', *only])}."
    yield from _section("Recommendations", [f"- {_cell(r.text)}" for r in report.recommendations])
    yield from _section("Figures", _compared(report, report.comparison))
    yield from _section("What got worse", [_change(c) for c in report.comparison.worse])
    for field, columns in TABLES.items():
        title = field.replace("_", " ").capitalize()
        yield from _section(title, _table(getattr(report, field), columns))
    yield from _section("How good the data is", _quality(report))


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    yield from lines or ["None."]


def _compared(now: Figures, before: Figures) -> list[str]:
    rows = (
        f"| {name} | {_cell(getattr(now, field))} | {_cell(getattr(before, field))} |"
        for name, field in FIGURES.items()
    )
    return ["| | Now | Before |", "|---|---:|---:|", *rows]


def _table(rows: Sequence[Struct], columns: Mapping[str, str]) -> list[str]:
    if not rows:
        return []
    lines = [_row(columns), "|---" + "|---:" * (len(columns) - 1) + "|"]
    lines += [
        _row(_cell(getattr(row, field)) for field in columns.values()) for row in rows[:MAX_ROWS]
    ]
    left = len(rows) - MAX_ROWS
    return [*lines, "", f"And {left} more."] if left > 0 else lines


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _change(change: Change) -> str:
    what = f"task {_cell(change.task)}: " if change.task else ""
    return f"- {what}{_cell(change.figure)}: {_cell(change.before)} → {_cell(change.now)}"


def _quality(report: PerformanceReport) -> list[str]:
    quality = report.data_quality
    return [
        f"- Samples every {_cell(quality.resolution_seconds)} s.",
        f"- Executions the exporter missed: {quality.missed_events}.",
        f"- Seconds in which no event could arrive: {_cell(quality.event_gap_seconds)}.",
        f"- Times without a scrape: {len(quality.gaps)}.",
        *(f"  - {_cell(gap.start)} to {_cell(gap.end)}" for gap in quality.gaps),
    ]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, (int, float)):
        return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
    return _SPECIAL.sub(r"\\\1", " ".join(str(value).split()))
