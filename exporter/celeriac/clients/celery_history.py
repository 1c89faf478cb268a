"""What Prometheus knows of a Celery cluster in a window and in the one before it: one reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from celeriac.clients.counters import CounterHistory, Totals, totals
from celeriac.clients.prometheus_answers import Labels, Series, Span
from celeriac.clients.prometheus_api import Pending, Reading
from celeriac.clients.promql import selector
from celeriac.clients.resets import Families
from celeriac.clients.scrapes import Scrapes
from celeriac.clients.throughput import BestMinute, Minute

SUCCEEDED = "celery_task_succeeded_total"
FAILED = "celery_task_failed_total"
RETRIED = "celery_task_retried_total"
REVOKED = "celery_task_revoked_total"
REJECTED = "celery_task_rejected_total"
EXCEPTIONS = "celery_task_exceptions_total"
RUNTIME = "celery_task_runtime_seconds"
QUEUE_WAIT = "celery_task_queue_wait_seconds"
PREFETCH_WAIT = "celery_task_prefetch_wait_seconds"
WORKER_FINISHED = "celery_worker_tasks_finished_total"
MISSED = "celery_exporter_events_missed_total"
EVENT_GAP = "celery_exporter_event_gap_seconds_total"

# A retry is not an end.
FINISHED = frozenset({SUCCEEDED, FAILED, REVOKED, REJECTED})
FAMILIES = Families(
    counted=FINISHED | {RETRIED, WORKER_FINISHED, MISSED, EVENT_GAP},
    # Whatever is counted by class of exception is also counted as failed.
    companions=frozenset({EXCEPTIONS})
    | frozenset(
        f"{family}_{part}"
        for family, parts in (
            (RUNTIME, ("bucket", "sum", "count")),
            (QUEUE_WAIT, ("bucket", "sum", "count")),
            (PREFETCH_WAIT, ("sum", "count")),
        )
        for part in parts
    ),
)


class Gauge(NamedTuple):
    """A gauge over a share of the window that ends with it."""

    template: str
    family: str
    share: float = 1.0


# By the label that the values are told apart by.
GAUGES: Mapping[str, Mapping[str, Gauge]] = {
    "queue": {
        "max_backlog": Gauge("most", "celery_queue_length"),
        "mean_backlog": Gauge("mean", "celery_queue_length"),
        "backlog_at_end": Gauge("last", "celery_queue_length", 0.1),
        "growth_per_second": Gauge("slope", "celery_queue_length", 0.25),
    },
    "worker": {
        "up": Gauge("mean", "celery_worker_up"),
        "active": Gauge("mean", "celery_worker_active_tasks"),
        "pool_processes": Gauge("mean", "celery_worker_pool_processes"),
        "prefetched": Gauge("mean", "celery_worker_reserved_tasks"),
    },
}
Levels: TypeAlias = Mapping[str, Mapping[str, float]]
"""By the name in the table and the label's value."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a reading is about: one job of Prometheus', one task, one queue, or all of them."""

    job: str | None = None
    task: str | None = None
    queue: str | None = None

    def labels(self, *names: str) -> list[tuple[str, str]]:
        """Return those of these labels that must have a certain value."""
        return [(name, value) for name in names if (value := getattr(self, name)) is not None]

    def admits(self, labels: Labels) -> bool:
        """Return True unless the labels tell of another task or queue."""
        own = dict(labels)
        return all(own.get(name, value) == value for name, value in self.labels("task", "queue"))


@dataclass(frozen=True, slots=True)
class Measured:
    """What was counted in one window."""

    window: Span
    totals: Totals
    best_minute: Minute | None


@dataclass(frozen=True, slots=True)
class Readings:
    """What Prometheus knows of a window and the one before it."""

    now: Measured
    before: Measured
    queues: Levels
    workers: Levels
    scrapes: Scrapes


def read(reading: Reading, window: Span, scope: Scope) -> Readings:
    """Ask everything. Errors: PrometheusError."""
    job = scope.labels("job")
    earlier = Span(2 * window.start - window.end, window.start)
    windows = (earlier, window)
    history = CounterHistory(reading, FAMILIES, job, (earlier.start, *window))
    levels = {label: _begin(reading, gauges, job, window) for label, gauges in GAUGES.items()}
    busy = FINISHED & history.moved()
    scoped = scope.labels("job", "task", "queue")
    # Prometheus adds them up while resets are looked for.
    minutes = [BestMinute(reading, busy, scoped, span) for span in windows]
    gains, scrapes = history.read()
    counted = [
        _in_scope(totals(gained, scrapes.shifts(span)), scope)
        for span, gained in zip(windows, gains, strict=True)
    ]
    before, now = (
        Measured(span, every, minute.find())
        for span, every, minute in zip(windows, counted, minutes, strict=True)
    )
    queues, workers = (_levels(levels[label], label, scope) for label in ("queue", "worker"))
    return Readings(now, before, queues, workers, scrapes)


def _in_scope(every: Totals, scope: Scope) -> Totals:
    if not scope.labels("task", "queue"):
        return every
    return {
        name: {labels: gain for labels, gain in rows.items() if scope.admits(labels)}
        for name, rows in every.items()
    }


def _begin(
    reading: Reading, gauges: Mapping[str, Gauge], equal: Iterable[tuple[str, str]], window: Span
) -> Mapping[str, Pending]:
    def begin(gauge: Gauge) -> Pending:
        length = round((window.end - window.start) * gauge.share)
        span = Span(window.end - length, window.end)
        return reading.begin(gauge.template, selector({gauge.family}, equal), span)

    return {name: begin(gauge) for name, gauge in gauges.items()}


def _levels(pending: Mapping[str, Pending], label: str, scope: Scope) -> Levels:
    return {
        name: _greatest((s for s in wait() if scope.admits(s.labels)), label)
        for name, wait in pending.items()
    }


def _greatest(found: Iterable[Series], label: str) -> Mapping[str, float]:
    """Return the value by label; of several exporters' the greatest."""
    levels: dict[str, float] = {}
    for series in found:
        name, value = dict(series.labels).get(label, ""), series.points[-1][1]
        levels[name] = max(levels.get(name, value), value)
    return levels
