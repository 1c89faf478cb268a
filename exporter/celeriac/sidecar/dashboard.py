"""The dashboard object: the live numbers, and who and what is behind them."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from celeriac.clients.exporter_page import Page, value_of
from celeriac.sidecar import numbers
from celeriac.sidecar.alerts import Alert
from celeriac.sidecar.numbers import LiveNumbers, Picture
from celeriac.sidecar.rates import COUNTERS, Growth, Lately

MAX_WORKERS = MAX_QUEUES = 100
MAX_TASKS = 20
MAX_ALERTS = 50

PROCESSED, SLOTS = "celery_worker_processed_total", "celery_worker_pool_processes"
WORKER_INFO, BROKER_INFO = "celery_worker_info", "celery_broker_info"
BUILD_INFO, MISSED = "celery_exporter_build_info", "celery_exporter_events_missed_total"
UNACKED, PROCESSES = "celery_queue_unacked", "celery_queue_processes"
NAMES = (PROCESSED, SLOTS, WORKER_INFO, BROKER_INFO, BUILD_INFO, MISSED, UNACKED, PROCESSES)
TOTALS = {name: kind for name, kind in COUNTERS.items() if not kind.startswith("run")}


class SystemSummary(msgspec.Struct, frozen=True):
    """The cluster in a line; null is unknown."""

    system_health: numbers.Health
    broker_up: bool | None
    broker_transport: str
    broker_version: str
    exporter_version: str
    celery_version: str
    active_workers: int | None
    total_workers: int | None
    pool_processes: int | None
    queues: int
    tasks: int
    missed_events: int | None
    firing_alerts: int


class WorkerRow(msgspec.Struct, frozen=True):
    """One worker; null is unknown."""

    worker: str
    up: bool
    pool: str
    version: str
    last_heartbeat_at: dt.datetime | None
    active_tasks: int | None
    reserved_tasks: int | None
    scheduled_tasks: int | None
    processed_tasks: int | None
    pool_processes: int | None


class QueueRow(msgspec.Struct, frozen=True):
    """One queue; null is unknown."""

    queue: str
    length: int | None
    unacked: int | None
    consumers: int | None
    processes: int | None


class TaskRow(msgspec.Struct, frozen=True):
    """One task: its counts since the exporter began, and how it does in the live window."""

    task: str
    succeeded: int
    failed: int
    retried: int
    throughput: float | None
    error_rate_percent: float | None
    avg_execution_time_ms: float | None


class Dashboard(msgspec.Struct, frozen=True):
    """Everything that an overview shows; the lists are cut, what matters most comes first."""

    real_time_metrics: LiveNumbers
    system_summary: SystemSummary
    workers: list[WorkerRow]
    queues: list[QueueRow]
    top_tasks: list[TaskRow]
    alerts: list[Alert]
    timestamp: dt.datetime


class Lists(NamedTuple):
    """What a page has to say however often it is asked."""

    workers: list[WorkerRow]
    queues: list[QueueRow]
    top_tasks: list[TaskRow]
    known_tasks: int


def dashboard(picture: Picture, live: LiveNumbers, alerts: Sequence[Alert]) -> Dashboard:
    """Return the overview of *picture*, of which *live* was made."""
    lists = _lists(picture)
    return Dashboard(
        real_time_metrics=live,
        system_summary=_summary(picture.page, live, lists.known_tasks, alerts),
        workers=lists.workers,
        queues=lists.queues,
        top_tasks=lists.top_tasks,
        alerts=list(alerts[:MAX_ALERTS]),
        timestamp=live.timestamp,
    )


@lru_cache(maxsize=1)
def _lists(picture: Picture) -> Lists:
    page, totals = picture.page, _totals(picture.page)
    return Lists(_workers(page), _queues(page), _tasks(totals, picture.lately), len(totals))


def _summary(page: Page, live: LiveNumbers, tasks: int, alerts: Sequence[Alert]) -> SystemSummary:
    broker_up = page.one(numbers.BROKER_UP)
    return SystemSummary(
        system_health=live.system_health,
        broker_up=None if broker_up is None else bool(broker_up),
        broker_transport=_told(page, BROKER_INFO, "transport"),
        broker_version=_told(page, BROKER_INFO, "version"),
        exporter_version=_told(page, BUILD_INFO, "version"),
        celery_version=_told(page, BUILD_INFO, "celery_version"),
        active_workers=live.active_workers,
        total_workers=live.total_workers,
        pool_processes=_whole(sum(page.of(SLOTS).values())) if page.of(SLOTS) else None,
        queues=len(live.queue_lengths),
        tasks=tasks,
        missed_events=_whole(page.one(MISSED)),
        firing_alerts=sum(alert.status == "firing" for alert in alerts),
    )


def _workers(page: Page) -> list[WorkerRow]:
    """Return the workers, those that are down first, then the busiest."""
    counts = [
        page.by(name, "worker")
        for name in (numbers.ACTIVE, numbers.RESERVED, numbers.SCHEDULED, PROCESSED, SLOTS)
    ]
    heartbeats = page.by(numbers.HEARTBEAT, "worker")
    infos = {value_of(labels, "worker"): labels for labels in page.of(WORKER_INFO)}
    rows = [
        WorkerRow(
            worker,
            bool(is_up),
            value_of(infos.get(worker, ()), "pool"),
            value_of(infos.get(worker, ()), "version"),
            _time(heartbeats.get(worker)),
            *(_whole(count.get(worker)) for count in counts),
        )
        for worker, is_up in page.by(numbers.WORKER_UP, "worker").items()
    ]
    rows.sort(key=lambda row: (row.up, -(row.active_tasks or 0), row.worker))
    return rows[:MAX_WORKERS]


def _queues(page: Page) -> list[QueueRow]:
    """Return the queues, the longest first."""
    counts = [
        page.by(name, "queue") for name in (numbers.LENGTH, UNACKED, numbers.CONSUMERS, PROCESSES)
    ]
    names = {queue for count in counts for queue in count}
    rows = [QueueRow(queue, *(_whole(count.get(queue)) for count in counts)) for queue in names]
    rows.sort(key=lambda row: (-(row.length or 0), row.queue))
    return rows[:MAX_QUEUES]


def _totals(page: Page) -> dict[str, Growth]:
    totals: defaultdict[str, Growth] = defaultdict(Growth)
    for name, kind in TOTALS.items():
        for labels, value in page.of(name).items():
            totals[value_of(labels, "task")].grow(kind, value)
    return totals


def _tasks(totals: dict[str, Growth], lately: Lately) -> list[TaskRow]:
    """Return the tasks that have ever ended, those of which most ended lately first."""
    nothing = Growth()
    by_task = {task: lately.tasks.get(task, nothing) for task in totals if totals[task].finished}
    order = sorted(by_task, key=lambda t: (-by_task[t].finished, -totals[t].finished, t))
    return [_task(task, totals[task], by_task[task], lately.seconds) for task in order[:MAX_TASKS]]


def _task(task: str, totals: Growth, lately: Growth, seconds: float) -> TaskRow:
    return TaskRow(
        task=task,
        succeeded=int(totals.succeeded),
        failed=int(totals.failed),
        retried=int(totals.retried),
        throughput=round(lately.finished / seconds, 3) if seconds else None,
        error_rate_percent=lately.error_rate_percent,
        avg_execution_time_ms=lately.mean_runtime_ms,
    )


def _told(page: Page, name: str, label: str) -> str:
    """Return a label of a family that has one sample, empty if it has none."""
    return next((value_of(labels, label) for labels in page.of(name)), "")


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _time(at: float | None) -> dt.datetime | None:
    return dt.datetime.fromtimestamp(at, dt.UTC) if at else None
