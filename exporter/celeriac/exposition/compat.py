"""``--compat celery-exporter``: the families of danihodovic/celery-exporter 0.12, nothing else.

A second, short table over the same state, for dashboards and alerts written for that exporter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from celeriac.exposition import readers
from celeriac.exposition.families import Family
from celeriac.exposition.readers import Read, Sample
from celeriac.model.histogram import HistogramView
from celeriac.model.snapshot import Snapshot
from celeriac.model.tallies import Outcome, TallyView

NAME = "celery-exporter"
# Its ``--generic-hostname-task-sent-metric`` and ours for all: a task's series carry no worker.
HOSTNAME = "generic"

_TASK = ("name", "hostname", "queue_name")


def _labels(tally: TallyView) -> tuple[str, ...]:
    task, queue = tally.key
    return task, HOSTNAME, queue


def _count(*outcomes: Outcome) -> Read:
    return lambda snapshot: (
        (_labels(tally), sum(tally.counts[outcome] for outcome in outcomes))
        for tally in snapshot.tallies
    )


def _failed(snapshot: Snapshot) -> Iterator[Sample]:
    for tally in snapshot.tallies:
        for exception, count in tally.exceptions.items():
            yield (*_labels(tally), exception), count


def _histogram(read: Callable[[TallyView], HistogramView | None]) -> Read:
    return lambda snapshot: (
        (_labels(tally), histogram)
        for tally in snapshot.tallies
        if (histogram := read(tally)) is not None
    )


FAMILIES: tuple[Family, ...] = (
    Family("celery_task_sent_total", "counter",
           "Tasks published", _TASK, _count(Outcome.SENT)),
    Family("celery_task_received_total", "counter",
           "Tasks a worker took from the broker", _TASK, _count(Outcome.RECEIVED)),
    Family("celery_task_started_total", "counter",
           "Task executions that began", _TASK, _count(Outcome.STARTED)),
    Family("celery_task_succeeded_total", "counter",
           "Tasks that succeeded", _TASK, _count(Outcome.SUCCEEDED)),
    Family("celery_task_failed_total", "counter",
           "Tasks that failed, by class of exception", (*_TASK, "exception"), _failed),
    Family("celery_task_rejected_total", "counter",
           "Tasks that were rejected", _TASK, _count(Outcome.REJECTED)),
    Family("celery_task_revoked_total", "counter",
           "Tasks that were revoked, terminated or had expired", _TASK,
           _count(Outcome.REVOKED, Outcome.TERMINATED, Outcome.EXPIRED)),
    Family("celery_task_retried_total", "counter",
           "Task executions that ended in a retry", _TASK,
           _count(Outcome.RETRIED)),
    Family("celery_task_runtime", "histogram",
           "Run time in seconds of tasks that succeeded", _TASK,
           _histogram(lambda tally: tally.runtime)),
    Family("celery_task_queue_wait_time", "histogram",
           "Seconds from publication or ETA to the start", _TASK,
           _histogram(lambda tally: tally.queue_wait)),
    Family("celery_worker_up", "gauge",
           "1 while the worker gives signs of life", ("hostname",),
           readers.worker(lambda worker: worker.is_up)),
    Family("celery_worker_tasks_active", "gauge",
           "Tasks the worker runs now", ("hostname",),
           readers.worker(lambda worker: worker.active)),
    Family("celery_queue_length", "gauge",
           "Messages waiting in the broker", ("queue_name",),
           readers.queue(lambda queue: queue.depth and queue.depth.ready)),
    Family("celery_active_consumer_count", "gauge",
           "Consumers of the queue", ("queue_name",),
           readers.queue(lambda queue: queue.consumers)),
    Family("celery_active_worker_count", "gauge",
           "Workers that consume the queue", ("queue_name",),
           readers.queue(lambda queue: queue.workers)),
    Family("celery_active_process_count", "gauge",
           "Pool slots of the workers that consume the queue", ("queue_name",),
           readers.queue(lambda queue: queue.processes)),
)  # fmt: skip
