"""THE metric table: every family by name, type, help, labels and where its samples come from.

``docs/metrics.md`` is made from it; dashboards and rules are checked against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import celery

from celeriac import __version__
from celeriac.model.facts import Stats, WorkerReport
from celeriac.model.histogram import HistogramView
from celeriac.model.snapshot import QueueView, Snapshot
from celeriac.model.tallies import Outcome, TallyView
from celeriac.model.worker import WorkerView

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
Value: TypeAlias = float | HistogramView
Sample: TypeAlias = tuple[tuple[str, ...], Value]
"""Label values, in the order of the family's labels, and the number."""
Read: TypeAlias = Callable[[Snapshot], Iterable[Sample]]


@dataclass(frozen=True, slots=True)
class Family:
    """One row of the table. ``help`` is one sentence without a full stop."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    read: Read


def _count(outcome: Outcome) -> Read:
    return lambda snapshot: (
        ((tally.task, tally.queue), tally.counts[outcome]) for tally in snapshot.tallies
    )


def _revoked(snapshot: Snapshot) -> Iterator[Sample]:
    for tally in snapshot.tallies:
        for outcome in (Outcome.REVOKED, Outcome.TERMINATED, Outcome.EXPIRED):
            yield (tally.task, tally.queue, outcome.name.lower()), tally.counts[outcome]


def _exceptions(snapshot: Snapshot) -> Iterator[Sample]:
    for tally in snapshot.tallies:
        for exception, count in tally.exceptions.items():
            yield (tally.task, tally.queue, exception), count


def _histogram(read: Callable[[TallyView], HistogramView | None]) -> Read:
    return lambda snapshot: (
        ((tally.task, tally.queue), histogram)
        for tally in snapshot.tallies
        if (histogram := read(tally)) is not None
    )


def _latest(read: Callable[[TallyView], float | None]) -> Read:
    """Return the latest instant of each task over all its queues."""

    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        latest: dict[str, float] = {}
        for tally in snapshot.tallies:
            at = read(tally)
            if at is not None:
                latest[tally.task] = max(at, latest.get(tally.task, at))
        return (((task,), at) for task, at in latest.items())

    return samples


def _worker(read: Callable[[WorkerView], float | None]) -> Read:
    return lambda snapshot: (
        ((worker.worker,), value)
        for worker in snapshot.workers
        if (value := read(worker)) is not None
    )


def _report(read: Callable[[WorkerReport], float | None]) -> Read:
    return _worker(lambda worker: None if worker.report is None else read(worker.report))


def _stats(read: Callable[[Stats], float | None]) -> Read:
    return _worker(lambda worker: None if worker.stats is None else read(worker.stats))


def _worker_info(snapshot: Snapshot) -> Iterator[Sample]:
    for worker in snapshot.workers:
        if worker.is_up:
            pool = worker.stats.pool if worker.stats else ""
            hostname = worker.worker.rpartition("@")[2]
            yield (worker.worker, worker.version or "", pool, hostname), 1


def _size(requests: tuple[object, ...] | None) -> int | None:
    return None if requests is None else len(requests)


def _by(read: Callable[[WorkerView], Iterable[tuple[str, float]]]) -> Read:
    """Return a worker's counts by a second label."""
    return lambda snapshot: (
        ((worker.worker, label), count)
        for worker in snapshot.workers
        for label, count in read(worker)
    )


def _queue(read: Callable[[QueueView], int | None]) -> Read:
    return lambda snapshot: (
        ((queue.queue,), value) for queue in snapshot.queues if (value := read(queue)) is not None
    )


def _one(read: Callable[[Snapshot], float | None]) -> Read:
    """Return the only sample of a family without labels, none where it is unknown."""

    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        value = read(snapshot)
        if value is not None:
            yield (), value

    return samples


def _by_source(read: Callable[..., float | None]) -> Read:
    return lambda snapshot: (
        ((source.source,), value)
        for source in snapshot.sources
        if (value := read(source)) is not None
    )


def _labelled(read: Callable[[Snapshot], Iterable[tuple[str, float]]]) -> Read:
    return lambda snapshot: (((label,), value) for label, value in read(snapshot))


def _broker_info(snapshot: Snapshot) -> Iterator[Sample]:
    if snapshot.broker is not None:
        yield (snapshot.broker.transport, snapshot.broker.version), 1


def _build_info(_: Snapshot) -> Iterator[Sample]:
    yield (__version__, str(celery.__version__)), 1


TASK_QUEUE = ("task", "queue")

TASKS = (
    Family("celery_task_sent_total", "counter",
           "Tasks published, as told by clients with task_send_sent_event",
           TASK_QUEUE, _count(Outcome.SENT)),
    Family("celery_task_received_total", "counter",
           "Tasks a worker took from the broker",
           TASK_QUEUE, _count(Outcome.RECEIVED)),
    Family("celery_task_started_total", "counter",
           "Task executions that began",
           TASK_QUEUE, _count(Outcome.STARTED)),
    Family("celery_task_succeeded_total", "counter",
           "Tasks that succeeded",
           TASK_QUEUE, _count(Outcome.SUCCEEDED)),
    Family("celery_task_failed_total", "counter",
           "Tasks that failed",
           TASK_QUEUE, _count(Outcome.FAILED)),
    Family("celery_task_retried_total", "counter",
           "Task executions that ended in a retry",
           TASK_QUEUE, _count(Outcome.RETRIED)),
    Family("celery_task_rejected_total", "counter",
           "Tasks that were rejected",
           TASK_QUEUE, _count(Outcome.REJECTED)),
    Family("celery_task_revoked_total", "counter",
           "Tasks that were revoked before they ran, terminated while they ran, or had expired",
           (*TASK_QUEUE, "reason"), _revoked),
    Family("celery_task_exceptions_total", "counter",
           "Tasks that failed, by class of exception",
           (*TASK_QUEUE, "exception"), _exceptions),
    Family("celery_task_runtime_seconds", "histogram",
           "Run time of tasks that succeeded, as measured by the worker",
           TASK_QUEUE, _histogram(lambda tally: tally.runtime)),
    Family("celery_task_queue_wait_seconds", "histogram",
           "Time from the later of publication and ETA to the start of execution",
           TASK_QUEUE, _histogram(lambda tally: tally.queue_wait)),
    Family("celery_task_prefetch_wait_seconds", "histogram",
           "Time from a worker receiving a task to the start of execution",
           TASK_QUEUE, _histogram(lambda tally: tally.prefetch_wait)),
    Family("celery_task_last_succeeded_timestamp_seconds", "gauge",
           "When the task last succeeded",
           ("task",), _latest(lambda tally: tally.last_succeeded_at)),
    Family("celery_task_last_failed_timestamp_seconds", "gauge",
           "When the task last failed",
           ("task",), _latest(lambda tally: tally.last_failed_at)),
    Family("celery_task_oldest_active_start_timestamp_seconds", "gauge",
           "When the longest-running active execution of the task on the worker began",
           ("task", "worker"),
           lambda snapshot: (((o.task, o.worker), o.started_at) for o in snapshot.oldest_active)),
)  # fmt: skip

WORKERS = (
    Family("celery_active_workers", "gauge",
           "Workers that are up",
           (), _one(lambda snapshot: snapshot.active_workers)),
    Family("celery_expected_workers", "gauge",
           "Workers that should be up, as configured",
           (), _one(lambda snapshot: snapshot.expected_workers)),
    Family("celery_worker_up", "gauge",
           "1 while the worker gives signs of life, 0 after a goodbye or missed heartbeats",
           ("worker",), _worker(lambda worker: worker.is_up)),
    Family("celery_worker_info", "gauge",
           "1, with the worker's Celery version, pool and host",
           ("worker", "version", "pool", "hostname"), _worker_info),
    Family("celery_worker_last_heartbeat_timestamp_seconds", "gauge",
           "When the worker's last heartbeat arrived",
           ("worker",), _worker(lambda worker: worker.last_heartbeat_at)),
    Family("celery_worker_start_timestamp_seconds", "gauge",
           "When the worker was started",
           ("worker",), _worker(lambda worker: worker.started_at)),
    Family("celery_worker_active_tasks", "gauge",
           "Tasks the worker runs now",
           ("worker",), _worker(lambda worker: worker.active)),
    Family("celery_worker_reserved_tasks", "gauge",
           "Tasks the worker has prefetched and not started",
           ("worker",), _report(lambda report: _size(report.reserved))),
    Family("celery_worker_scheduled_tasks", "gauge",
           "Tasks with ETA or countdown that the worker holds",
           ("worker",), _report(lambda report: _size(report.scheduled))),
    Family("celery_worker_revoked_ids", "gauge",
           "Ids of revoked tasks that the worker remembers",
           ("worker",), _report(lambda report: report.revoked_ids)),
    Family("celery_worker_pool_processes", "gauge",
           "Slots of the worker's pool: processes, threads or greenlets",
           ("worker",), _stats(lambda stats: stats.pool_processes)),
    Family("celery_worker_prefetch_count", "gauge",
           "Messages the worker may hold unacknowledged",
           ("worker",), _stats(lambda stats: stats.prefetch_count)),
    Family("celery_worker_processed_total", "counter",
           "Task executions the worker has begun, by its own count; needs no task events",
           ("worker",), _worker(lambda worker: worker.processed)),
    Family("celery_worker_task_processed_total", "counter",
           "Task executions the worker has begun, by its own count and task; opt-in",
           ("worker", "task"), _by(lambda worker: worker.processed_by_task.items())),
    Family("celery_worker_tasks_finished_total", "counter",
           "Tasks that ended on the worker, by outcome",
           ("worker", "outcome"), _by(lambda worker: worker.finished.items())),
    Family("celery_worker_cpu_seconds_total", "counter",
           "CPU time of the worker's main process",
           ("worker", "mode"), _by(lambda worker: worker.cpu_seconds.items())),
    Family("celery_worker_max_resident_memory_bytes", "gauge",
           "Largest resident memory the worker's main process ever had",
           ("worker",), _stats(lambda stats: stats.max_resident_memory_bytes)),
    Family("celery_worker_load1", "gauge",
           "Load average of the worker's host over one minute",
           ("worker",), _worker(lambda worker: worker.load1)),
    Family("celery_worker_events_enabled", "gauge",
           "1 if the worker sends task events",
           ("worker",), _worker(lambda worker: worker.events_enabled)),
    Family("celery_worker_lost_total", "counter",
           "Workers that vanished without a goodbye",
           (), _one(lambda snapshot: snapshot.workers_lost)),
    Family("celery_worker_restarts_total", "counter",
           "Workers that came back as another process under the same name",
           (), _one(lambda snapshot: snapshot.workers_restarted)),
)  # fmt: skip

QUEUES = (
    Family("celery_queue_length", "gauge",
           "Messages waiting in the broker, all priorities",
           ("queue",), _queue(lambda queue: queue.depth and queue.depth.ready)),
    Family("celery_queue_unacked", "gauge",
           "Messages delivered and not acknowledged",
           ("queue",), _queue(lambda queue: queue.depth and queue.depth.unacked)),
    Family("celery_queue_consumers", "gauge",
           "Consumers of the queue; 0 for one that nobody consumes",
           ("queue",), _queue(lambda queue: queue.consumers)),
    Family("celery_queue_processes", "gauge",
           "Pool slots of the workers that consume the queue",
           ("queue",), _queue(lambda queue: queue.processes)),
    Family("celery_queue_delayed", "gauge",
           "Messages in RabbitMQ's native delayed delivery, all levels",
           (), _one(lambda snapshot: snapshot.delayed)),
    Family("celery_broker_up", "gauge",
           "1 while the broker answers",
           (), _one(lambda snapshot: snapshot.is_broker_up)),
    Family("celery_broker_info", "gauge",
           "1, with the broker's transport and version",
           ("transport", "version"), _broker_info),
)  # fmt: skip

EXPORTER = (
    Family("celery_exporter_build_info", "gauge",
           "1, with the versions of the exporter and of its Celery",
           ("version", "celery_version"), _build_info),
    Family("celery_exporter_sample_success", "gauge",
           "1 if the source's last sample succeeded",
           ("source",), _by_source(lambda source: source.is_successful)),
    Family("celery_exporter_sample_duration_seconds", "gauge",
           "How long the source's last sample took; of events, the subscription",
           ("source",), _by_source(lambda source: source.duration_seconds)),
    Family("celery_exporter_source_last_success_timestamp_seconds", "gauge",
           "When the source last succeeded",
           ("source",), _by_source(lambda source: source.last_success_at)),
    Family("celery_exporter_events_received_total", "counter",
           "Events that could be read, by type",
           ("type",), _labelled(lambda snapshot: snapshot.exporter.events_received.items())),
    Family("celery_exporter_events_rejected_total", "counter",
           "Event messages, or members of one, that could not be read",
           ("reason",), _labelled(lambda snapshot: snapshot.exporter.events_rejected.items())),
    Family("celery_exporter_events_unmatched_total", "counter",
           "Starts and outcomes of a task id that nothing was known of",
           (), _one(lambda snapshot: snapshot.exporter.events_unmatched)),
    Family("celery_exporter_event_lag_seconds", "gauge",
           "Age of the last task event when it arrived, by the sender's clock",
           (), _one(lambda snapshot: snapshot.exporter.event_lag_seconds)),
    Family("celery_exporter_replies_rejected_total", "counter",
           "Workers' answers that came too late, twice, too large or unreadable",
           ("reason",), _labelled(lambda snapshot: snapshot.exporter.replies_rejected.items())),
    Family("celery_exporter_workers_unanswered", "gauge",
           "Workers that gave no answer in the last sample",
           (), _one(lambda snapshot: snapshot.exporter.workers_unanswered)),
    Family("celery_exporter_reconnects_total", "counter",
           "Times the source had to connect again",
           ("source",), _by_source(lambda source: source.reconnects)),
    Family("celery_exporter_tracked_tasks", "gauge",
           "Task ids remembered",
           (), _one(lambda snapshot: snapshot.exporter.tracked_tasks)),
    Family("celery_exporter_label_overflow_total", "counter",
           "Times a label value was over its limit and went to __overflow__",
           ("label",), _labelled(lambda snapshot: snapshot.exporter.label_overflows.items())),
)  # fmt: skip

# Counted while the page is rendered, so its number is not read from a snapshot.
SERIES = Family(
    "celery_exporter_series", "gauge",
    "Series on the whole page, without this one and the process_* families", (), lambda _: (),
)  # fmt: skip

FAMILIES: tuple[Family, ...] = (*TASKS, *WORKERS, *QUEUES, *EXPORTER, SERIES)
