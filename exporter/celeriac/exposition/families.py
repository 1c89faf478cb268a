"""THE metric table: every family by name, type, help, labels and where its samples come from.

``docs/metrics.md`` is made from it; dashboards and rules are checked against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from celeriac.exposition import readers
from celeriac.exposition.readers import Read
from celeriac.model.tallies import Outcome

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Family:
    """One row of the table. ``help`` is one sentence without a full stop."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    read: Read


TASK_QUEUE = ("task", "queue")

TASKS = (
    Family("celery_task_sent_total", "counter",
           "Tasks published, as told by clients with task_send_sent_event",
           TASK_QUEUE, readers.count(Outcome.SENT)),
    Family("celery_task_received_total", "counter",
           "Tasks a worker took from the broker",
           TASK_QUEUE, readers.count(Outcome.RECEIVED)),
    Family("celery_task_started_total", "counter",
           "Task executions that began",
           TASK_QUEUE, readers.count(Outcome.STARTED)),
    Family("celery_task_succeeded_total", "counter",
           "Tasks that succeeded",
           TASK_QUEUE, readers.count(Outcome.SUCCEEDED)),
    Family("celery_task_failed_total", "counter",
           "Tasks that failed",
           TASK_QUEUE, readers.count(Outcome.FAILED)),
    Family("celery_task_retried_total", "counter",
           "Task executions that ended in a retry",
           TASK_QUEUE, readers.count(Outcome.RETRIED)),
    Family("celery_task_rejected_total", "counter",
           "Tasks that were rejected",
           TASK_QUEUE, readers.count(Outcome.REJECTED)),
    Family("celery_task_revoked_total", "counter",
           "Tasks that were revoked before they ran, terminated while they ran, or had expired",
           (*TASK_QUEUE, "reason"), readers.revoked),
    Family("celery_task_exceptions_total", "counter",
           "Tasks that failed, by class of exception",
           (*TASK_QUEUE, "exception"), readers.exceptions),
    Family("celery_task_runtime_seconds", "histogram",
           "Run time of tasks that succeeded, as measured by the worker",
           TASK_QUEUE, readers.histogram(lambda tally: tally.runtime)),
    Family("celery_task_queue_wait_seconds", "histogram",
           "Time from the later of publication and ETA to the start of execution",
           TASK_QUEUE, readers.histogram(lambda tally: tally.queue_wait)),
    Family("celery_task_prefetch_wait_seconds", "histogram",
           "Time from a worker receiving a task to the start of execution",
           TASK_QUEUE, readers.histogram(lambda tally: tally.prefetch_wait)),
    Family("celery_task_last_succeeded_timestamp_seconds", "gauge",
           "When the task last succeeded",
           ("task",), readers.latest(lambda tally: tally.last_succeeded_at)),
    Family("celery_task_last_failed_timestamp_seconds", "gauge",
           "When the task last failed",
           ("task",), readers.latest(lambda tally: tally.last_failed_at)),
    Family("celery_task_oldest_active_start_timestamp_seconds", "gauge",
           "When the longest-running active execution of the task on the worker began",
           ("task", "worker"),
           lambda snapshot: (((o.task, o.worker), o.started_at) for o in snapshot.oldest_active)),
)  # fmt: skip

WORKERS = (
    Family("celery_active_workers", "gauge",
           "Workers that are up",
           (), readers.one(lambda snapshot: snapshot.active_workers)),
    Family("celery_expected_workers", "gauge",
           "Workers that should be up, as configured",
           (), readers.one(lambda snapshot: snapshot.expected_workers)),
    Family("celery_worker_up", "gauge",
           "1 while the worker gives signs of life, 0 after a goodbye or missed heartbeats",
           ("worker",), readers.worker(lambda worker: worker.is_up)),
    Family("celery_worker_info", "gauge",
           "1, with the worker's Celery version, pool and host",
           ("worker", "version", "pool", "hostname"), readers.worker_info),
    Family("celery_worker_last_heartbeat_timestamp_seconds", "gauge",
           "When the worker's last heartbeat arrived",
           ("worker",), readers.worker(lambda worker: worker.last_heartbeat_at)),
    Family("celery_worker_start_timestamp_seconds", "gauge",
           "When the worker was started",
           ("worker",), readers.worker(lambda worker: worker.started_at)),
    Family("celery_worker_active_tasks", "gauge",
           "Tasks the worker runs now",
           ("worker",), readers.worker(lambda worker: worker.active)),
    Family("celery_worker_reserved_tasks", "gauge",
           "Tasks the worker has prefetched and not started",
           ("worker",), readers.report(lambda report: readers.size(report.reserved))),
    Family("celery_worker_scheduled_tasks", "gauge",
           "Tasks with ETA or countdown that the worker holds",
           ("worker",), readers.report(lambda report: readers.size(report.scheduled))),
    Family("celery_worker_revoked_ids", "gauge",
           "Ids of revoked tasks that the worker remembers",
           ("worker",), readers.report(lambda report: report.revoked_ids)),
    Family("celery_worker_pool_processes", "gauge",
           "Slots of the worker's pool: processes, threads or greenlets",
           ("worker",), readers.stats(lambda stats: stats.pool_processes)),
    Family("celery_worker_prefetch_count", "gauge",
           "Messages the worker may hold unacknowledged",
           ("worker",), readers.stats(lambda stats: stats.prefetch_count)),
    Family("celery_worker_processed_total", "counter",
           "Task executions the worker has begun, by its own count; needs no task events",
           ("worker",), readers.worker(lambda worker: worker.processed)),
    Family("celery_worker_task_processed_total", "counter",
           "Task executions the worker has begun, by its own count and task; opt-in",
           ("worker", "task"), readers.by(lambda worker: worker.processed_by_task.items())),
    Family("celery_worker_tasks_finished_total", "counter",
           "Tasks that ended on the worker, by outcome",
           ("worker", "outcome"), readers.by(lambda worker: worker.finished.items())),
    Family("celery_worker_cpu_seconds_total", "counter",
           "CPU time of the worker's main process",
           ("worker", "mode"), readers.by(lambda worker: worker.cpu_seconds.items())),
    Family("celery_worker_max_resident_memory_bytes", "gauge",
           "Largest resident memory the worker's main process ever had",
           ("worker",), readers.stats(lambda stats: stats.max_resident_memory_bytes)),
    Family("celery_worker_load1", "gauge",
           "Load average of the worker's host over one minute",
           ("worker",), readers.worker(lambda worker: worker.load1)),
    Family("celery_worker_events_enabled", "gauge",
           "1 if the worker sends task events",
           ("worker",), readers.worker(lambda worker: worker.events_enabled)),
    Family("celery_worker_clock_skew_seconds", "gauge",
           "How far the worker's clock is ahead of the exporter's; negative: behind, or a slow "
           "network",
           ("worker",), readers.worker(lambda worker: worker.clock_skew_seconds)),
    Family("celery_worker_stalled", "gauge",
           "1 if the worker is alive and free, has work in a queue, and begins nothing",
           ("worker",), readers.worker(lambda worker: worker.is_stalled)),
    Family("celery_worker_lost_total", "counter",
           "Workers that vanished without a goodbye",
           (), readers.one(lambda snapshot: snapshot.workers_lost)),
    Family("celery_worker_restarts_total", "counter",
           "Workers that came back as another process under the same name",
           (), readers.one(lambda snapshot: snapshot.workers_restarted)),
)  # fmt: skip

QUEUES = (
    Family("celery_queue_length", "gauge",
           "Messages waiting in the broker, all priorities",
           ("queue",), readers.queue(lambda queue: queue.depth and queue.depth.ready)),
    Family("celery_queue_unacked", "gauge",
           "Messages delivered and not acknowledged",
           ("queue",), readers.queue(lambda queue: queue.depth and queue.depth.unacked)),
    Family("celery_queue_consumers", "gauge",
           "Consumers of the queue; 0 for one that nobody consumes",
           ("queue",), readers.queue(lambda queue: queue.consumers)),
    Family("celery_queue_processes", "gauge",
           "Pool slots of the workers that consume the queue",
           ("queue",), readers.queue(lambda queue: queue.processes)),
    Family("celery_queue_oldest_message_age_seconds", "gauge",
           "How long the oldest waiting message has been there, at least; 0 of an empty queue",
           ("queue",), readers.queue(lambda queue: queue.oldest_age_seconds)),
    Family("celery_queue_oldest_unacked_age_seconds", "gauge",
           "How long the oldest unacknowledged message is held by a worker and due; 0 if none",
           ("queue",),
           readers.queue(lambda queue: queue.depth and queue.depth.oldest_unacked_seconds)),
    Family("celery_queue_redelivery_risk", "gauge",
           "Messages held, or due, later than Redis' visibility timeout: delivered twice",
           ("queue",), readers.queue(lambda queue: queue.depth and queue.depth.redelivery_risk)),
    Family("celery_queue_delayed", "gauge",
           "Messages in RabbitMQ's native delayed delivery, all levels",
           (), readers.one(lambda snapshot: snapshot.delayed)),
    Family("celery_broker_up", "gauge",
           "1 while the broker answers",
           (), readers.one(lambda snapshot: snapshot.is_broker_up)),
    Family("celery_broker_info", "gauge",
           "1, with the broker's transport and version",
           ("transport", "version"), readers.broker_info),
)  # fmt: skip

BEAT = (
    Family("celery_beat_entry_interval_seconds", "gauge",
           "Longest time between two runs of the scheduled entry",
           ("entry", "task"), readers.beat(lambda entry: entry.interval_seconds)),
    Family("celery_beat_entry_last_seen_timestamp_seconds", "gauge",
           "When the entry's task was last sent or received, or the entry itself first seen",
           ("entry", "task"), readers.beat(lambda entry: entry.last_seen_at)),
)  # fmt: skip

EXPORTER = (
    Family("celery_exporter_build_info", "gauge",
           "1, with the versions of the exporter and of its Celery",
           ("version", "celery_version"), readers.build_info),
    Family("celery_exporter_sample_success", "gauge",
           "1 if the source's last sample succeeded",
           ("source",), readers.by_source(lambda source: source.is_successful)),
    Family("celery_exporter_sample_duration_seconds", "gauge",
           "How long the source's last sample took; of events, the subscription",
           ("source",), readers.by_source(lambda source: source.duration_seconds or 0)),
    Family("celery_exporter_source_last_success_timestamp_seconds", "gauge",
           "When the source last succeeded, 0 if it never did",
           ("source",), readers.by_source(lambda source: source.last_success_at or 0)),
    Family("celery_exporter_events_received_total", "counter",
           "Events that could be read, by type",
           ("type",), readers.labelled(lambda snapshot: snapshot.exporter.counts.events_received)),
    Family("celery_exporter_events_rejected_total", "counter",
           "Event messages, or members of one, that could not be read",
           ("reason",),
           readers.labelled(lambda snapshot: snapshot.exporter.counts.events_rejected)),
    Family("celery_exporter_events_unmatched_total", "counter",
           "Starts and outcomes of a task id that nothing was known of",
           (), readers.one(lambda snapshot: snapshot.exporter.events_unmatched)),
    Family("celery_exporter_events_missed_total", "counter",
           "Task executions that workers began and no task-started told of, while events were on",
           (), readers.one(lambda snapshot: snapshot.exporter.events_missed)),
    Family("celery_exporter_event_gap_seconds_total", "counter",
           "Time in which events were published and could not arrive; the counts lack them",
           (), readers.one(lambda snapshot: snapshot.exporter.counts.gap_seconds)),
    Family("celery_exporter_last_event_gap_timestamp_seconds", "gauge",
           "When the last such time ended, 0 if there was none",
           (), readers.one(lambda snapshot: snapshot.exporter.counts.last_gap_ended_at or 0)),
    Family("celery_exporter_event_lag_seconds", "gauge",
           "Age of the last task event when it arrived, by the sender's clock",
           (), readers.one(lambda snapshot: snapshot.exporter.counts.event_lag_seconds or 0)),
    Family("celery_exporter_replies_rejected_total", "counter",
           "Workers' answers that came too late, twice, too large or unreadable",
           ("reason",),
           readers.labelled(lambda snapshot: snapshot.exporter.counts.replies_rejected)),
    Family("celery_exporter_workers_unanswered", "gauge",
           "Workers that gave no answer in the last sample",
           (), readers.one(lambda snapshot: snapshot.exporter.counts.workers_unanswered or 0)),
    Family("celery_exporter_reconnects_total", "counter",
           "Times the source had to connect again",
           ("source",), readers.by_source(lambda source: source.reconnects)),
    Family("celery_exporter_tracked_tasks", "gauge",
           "Task ids remembered",
           (), readers.one(lambda snapshot: snapshot.exporter.tracked_tasks)),
    Family("celery_exporter_label_overflow_total", "counter",
           "Times a label value was over its limit and went to __overflow__",
           ("label",), readers.labelled(lambda snapshot: snapshot.exporter.label_overflows)),
)  # fmt: skip

# Counted while the page is rendered, so its number is not read from a snapshot.
SERIES = Family(
    "celery_exporter_series", "gauge",
    "Series on the whole page, without this one and the process_* families", (), lambda _: (),
)  # fmt: skip

FAMILIES: tuple[Family, ...] = (*TASKS, *WORKERS, *QUEUES, *BEAT, *EXPORTER, SERIES)
