"""ClusterState: the only mutable thing that sources write and pages read."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from celeriac.model.active import oldest_active
from celeriac.model.admission import OVERFLOW, Admission, Limits, SeriesBudget
from celeriac.model.beat import BeatBook
from celeriac.model.facts import (
    UNKNOWN_QUEUE,
    BeatEntry,
    BrokerInfo,
    Moment,
    QueueSample,
    Stats,
    TaskEventLike,
    WorkerConf,
    WorkerEventLike,
    WorkerReport,
)
from celeriac.model.ledger import TaskLedger
from celeriac.model.own_counts import OwnCounts
from celeriac.model.queues import SERIES_PER_QUEUE, Consumption, QueueBook
from celeriac.model.routes import RouteMap, births
from celeriac.model.snapshot import ExporterView, Snapshot
from celeriac.model.sources import SourceView, source_logs
from celeriac.model.tallies import Buckets
from celeriac.model.tally_table import SERIES_PER_TASK, TallyTable
from celeriac.model.workers import Patience, WorkerBook

# A gauge keeps its last value for this many intervals of its source, then it disappears.
INTERVALS_UNTIL_STALE = 3.0


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often the samples are taken, in seconds."""

    workers: float = 10.0
    queues: float = 5.0


@dataclass(frozen=True, slots=True)
class StateOptions:
    """What a ClusterState is told at its birth."""

    buckets: Buckets
    limits: Limits = field(default_factory=Limits)
    patience: Patience = field(default_factory=Patience)
    intervals: Intervals = field(default_factory=Intervals)
    sources: tuple[str, ...] = ("events", "workers", "queues", "beat")
    expected_workers: int | None = None
    counts_processed_by_task: bool = False


class ClusterState:
    """Everything known. Writers replace or add under one lock; a reader takes a snapshot."""

    def __init__(self, options: StateOptions) -> None:
        limits = options.limits
        self._options = options
        self._lock = threading.Lock()
        self._overflows: Counter[str] = Counter()
        self._budget = SeriesBudget(limits.series, self._overflows)
        self._task_names = Admission(
            "task", limits.tasks, self._overflows, self._budget, SERIES_PER_TASK
        )
        self._queue_names = Admission(
            "queue", limits.queues, self._overflows, self._budget, SERIES_PER_QUEUE
        )
        exceptions = Admission("exception", limits.exceptions, self._overflows, self._budget)
        self._table = TallyTable(
            options.buckets, self._task_names, self._queue_names, exceptions, self._budget
        )
        self._workers = WorkerBook(options.patience, limits.workers, self._budget, self._overflows)
        self._ledger = TaskLedger(self._table, limits, self._workers)
        self._queues = QueueBook(self._queue_names, self._ledger.peek)
        self._beat = BeatBook(limits.beat_entries, self._budget, self._overflows)
        self._sources = source_logs(options.sources)
        self._own = OwnCounts()
        self._is_broker_up = False
        self._broker: BrokerInfo | None = None
        self._workers_sampled_mono: float | None = None

    # -- written by the sources ----------------------------------------------------------

    def apply_task_events(self, events: Sequence[TaskEventLike], now: Moment) -> None:
        """Count task events, in their order."""
        if not events:
            return
        with self._lock:
            self._own.take_task_events(events, now)
            self._ledger.record(events, now.mono)

    def apply_worker_event(self, event: WorkerEventLike, now: Moment) -> bool:
        """Take a worker's greeting, heartbeat or goodbye; return whether it is new or back."""
        with self._lock:
            self._own.take_worker_event(event.type, now)
            return self._workers.hear(event, now)

    def reject_events(self, reasons: Iterable[str]) -> None:
        with self._lock:
            self._own.reject_events(reasons)

    def reject_replies(self, reasons: Iterable[str]) -> None:
        with self._lock:
            self._own.reject_replies(reasons)

    def replace_workers(
        self, reports: Sequence[WorkerReport], unanswered: int, now: Moment
    ) -> None:
        """Take one sample of the workers; *unanswered* of those asked said nothing."""
        with self._lock:
            self._workers.take_reports(reports, now)
            self._own.workers_unanswered = unanswered
            self._workers_sampled_mono = now.mono
            current = self._workers.reports()
            self._ledger.attribution.routes = RouteMap(current)
            self._table.living_tasks = self._beat.tasks.union(*map(_tasks_in, current))
            for task, queue in births(reports):
                self._table.tally(task, queue, now.mono)
            for report in reports:
                self._learn(report, now)

    def _learn(self, report: WorkerReport, now: Moment) -> None:
        for queue in report.queues or ():
            self._queue_names.admit(queue, now.mono)
        for held in (report.active, report.reserved, report.scheduled):
            for request in held or ():
                self._ledger.learn(request, now.mono)
        for request in report.active or ():
            self._task_names.admit(request.task, now.mono)
        if self._options.counts_processed_by_task and report.stats is not None:
            self._count_processed(report.worker, report.stats, now)

    def _count_processed(self, worker: str, stats: Stats, now: Moment) -> None:
        by_task: Counter[str] = Counter()
        for task, count in stats.processed_by_task.items():
            by_task[self._task_names.admit(task, now.mono)] += count
        self._workers.count_processed(worker, stats.pid, by_task, now.mono)

    def replace_queues(self, sample: QueueSample, now: Moment) -> None:
        """Take one sample of the queues; what is not in it is gone."""
        with self._lock:
            living = frozenset(sample.depths).union(self._workers.consumption().workers)
            self._table.living_queues = living
            in_use = living | self._table.queue_names()
            unheard = self._workers.unheard(self._queues.sampled_mono or 0.0)
            self._table.lines.doubt(unheard, self._workers.missed)
            self._queues.replace(sample, in_use, self._table.lines, now)

    def replace_beat(self, entries: Iterable[BeatEntry], now: Moment) -> None:
        """Take one sample of the schedule; what is not in it is gone."""
        with self._lock:
            self._beat.note(self._table.announced(self._beat.tasks), now)
            self._beat.replace(entries, now)
            for task in self._beat.tasks:
                self._task_names.admit(task, now.mono)

    def set_broker(self, *, is_up: bool, info: BrokerInfo | None = None) -> None:
        """Say whether the broker answers, and which one it is when that is known."""
        with self._lock:
            self._is_broker_up = is_up
            self._broker = info or self._broker

    def listening(self, now: Moment, *, has_kept_events: bool = False) -> None:
        """Events can arrive from now on; with *has_kept_events*, also those published before."""
        with self._lock:
            self._own.subscribe(now, has_kept_events=has_kept_events)
            self._workers.listen(now)
            if not has_kept_events:
                self._table.lines.forget()

    def not_listening(self, now: Moment) -> None:
        """Events cannot arrive."""
        with self._lock:
            self._own.unsubscribe(now)
            self._workers.listen_no_more()

    def pass_time(self, now: Moment) -> None:
        """Decide what only time decides: held events, silent workers."""
        with self._lock:
            self._pass_time(now)

    def _pass_time(self, now: Moment) -> None:
        self._ledger.settle(now.mono)
        self._workers.expire(now)

    def succeed(self, source: str, now: Moment, duration_seconds: float | None = None) -> None:
        with self._lock:
            self._sources[source].succeed(now, duration_seconds)

    def fail(self, source: str, reason: str, duration_seconds: float | None = None) -> None:
        with self._lock:
            self._sources[source].fail(reason, duration_seconds)

    def reconnected(self, source: str) -> None:
        with self._lock:
            self._sources[source].reconnected()

    # -- read ----------------------------------------------------------------------------

    def workers_up(self) -> list[str]:
        """Return the names of the workers that are up."""
        with self._lock:
            return self._workers.up()

    def worker_reports(self) -> list[WorkerReport]:
        """Return the last answers of every worker that is up."""
        with self._lock:
            return self._workers.reports()

    def worker_confs(self, since_mono: float) -> list[WorkerConf]:
        """Return each configuration once, of workers that have answered since then, up or down."""
        with self._lock:
            return self._workers.confs(since_mono)

    def queues_with_tasks(self) -> set[str]:
        """Return every queue that tasks have been counted on."""
        with self._lock:
            return self._table.queue_names() - {UNKNOWN_QUEUE, OVERFLOW}

    def source_views(self, now: Moment) -> list[SourceView]:
        """Return what every source has reported about itself."""
        with self._lock:
            return [log.view(now) for log in self._sources.values()]

    def snapshot(self, now: Moment, *, is_scrape: bool = True) -> Snapshot:
        """Return a consistent copy. In a scrape, what is new is shown at 0 once."""
        workers_max_age = INTERVALS_UNTIL_STALE * self._options.intervals.workers
        queues_max_age = INTERVALS_UNTIL_STALE * self._options.intervals.queues
        with self._lock:
            self._pass_time(now)
            backlog = self._queues.backlog(now.mono, queues_max_age)
            workers = self._workers.views(now, workers_max_age, backlog)
            reports = [worker.report for worker in workers if worker.report is not None]
            return Snapshot(
                tallies=self._table.views(is_scrape=is_scrape),
                workers=workers,
                queues=self._queues.views(
                    self._consumption(now.mono, workers_max_age), now.mono, queues_max_age
                ),
                oldest_active=oldest_active(reports, self._task_names, self._budget.room),
                beat=self._beat.views(
                    self._table.announced(self._beat.tasks), self._task_names, now
                ),
                sources=[log.view(now) for log in self._sources.values()],
                exporter=self._exporter_view(),
                is_broker_up=self._is_broker_up,
                broker=self._broker,
                delayed=self._queues.delayed(now.mono, queues_max_age),
                active_workers=sum(worker.is_up is True for worker in workers),
                expected_workers=self._options.expected_workers,
                workers_lost=self._workers.lost,
                workers_restarted=self._workers.restarts,
            )

    def _consumption(self, now_mono: float, max_age_seconds: float) -> Consumption | None:
        sampled = self._workers_sampled_mono
        if sampled is None or now_mono - sampled > max_age_seconds:
            return None
        return self._workers.consumption()

    def _exporter_view(self) -> ExporterView:
        return ExporterView(
            counts=self._own.view(),
            events_unmatched=self._ledger.unmatched,
            events_missed=self._workers.missed,
            tracked_tasks=self._ledger.tracked,
            label_overflows=self._overflows.copy(),
        )


def _tasks_in(report: WorkerReport) -> set[str]:
    """Return every task that *report* names: registered, running, or run before."""
    named = set(report.registered or ()).union(request.task for request in report.active or ())
    return named.union(report.stats.processed_by_task if report.stats else ())
