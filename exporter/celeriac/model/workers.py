"""The workers: who is there, who has gone, what each has counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from celeriac.model.admission import OVERFLOW, SeriesBudget
from celeriac.model.cumulative import Cumulative
from celeriac.model.facts import Moment, Stats, WorkerConf, WorkerEventLike, WorkerReport
from celeriac.model.lines import Unheard
from celeriac.model.queues import Consumption
from celeriac.model.stalls import Backlog
from celeriac.model.worker import Worker, WorkerView

# Two heartbeats may be missed before a worker is called down.
MISSED_HEARTBEATS = 2.5
# How long a solo worker may run one task before it is called down.
SOLO_PATIENCE_SECONDS = 300.0
# Workers reconnect after 2, 4, 6 … seconds (kombu), so they are back later than the exporter.
GRACE_AFTER_OUTAGE_SECONDS = 30.0
# The most that one worker takes beside its tasks: gauges, outcomes, CPU modes.
SERIES_PER_WORKER = 22
MAX_EARLY_STARTS = 1000
# ``uptime`` is in whole seconds, and its answer has travelled.
UPTIME_TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a silent worker counts as up, and a dead one stays on the page; in seconds."""

    worker_timeout_seconds: float | None = None
    """None: two and a half of the worker's own heartbeats, but minutes for a solo worker."""
    reply_timeout_seconds: float = 30.0
    """For a worker without heartbeats: how long an answer to ``inspect`` is good for."""
    retention_seconds: float = 3600.0
    switches_events_on: bool = False
    """Whether the exporter itself switches task events on at workers that have them off."""


class WorkerBook:
    """All workers within the limits; the dead give way to the living."""

    def __init__(
        self, patience: Patience, limit: int, budget: SeriesBudget, overflows: Counter[str]
    ) -> None:
        self._patience = patience
        self._limit = limit
        self._budget = budget
        self._overflows = overflows
        overflows["worker"] += 0
        self.by_name: dict[str, Worker] = {}
        self._overflow = Worker(OVERFLOW)
        self._listening_since_mono: float | None = None
        self._outage_ended_mono = float("-inf")
        self._first_listening_mono = float("inf")
        # Starts of a process of which no heartbeat has come yet, by name and process id.
        self._early_starts: Counter[tuple[str, int | None]] = Counter()
        self.lost = 0
        self.restarts = 0
        self.missed = 0
        budget.reclaims.append(self._give_way)

    def listen(self, now: Moment) -> None:
        """Heartbeats can arrive from now on."""
        self._outage_ended_mono = self._listening_since_mono = now.mono
        self._first_listening_mono = min(self._first_listening_mono, now.mono)
        for worker in self.by_name.values():
            worker.starts.forget_baseline()
            worker.idleness.forget()

    def listen_no_more(self) -> None:
        """Heartbeats cannot arrive: from now on silence says nothing about a worker."""
        self._listening_since_mono = None

    def hear(self, event: WorkerEventLike, now: Moment) -> bool:
        """Take a greeting, heartbeat or goodbye; return whether its worker is new or back."""
        if event.type == "worker-offline":
            self._say_goodbye(event, now)
            return False
        worker = self._known_or_new(event.hostname, now)
        if worker is None:
            return False
        self.restarts += worker.take_heartbeat(event, now)
        self._meter(worker, event)
        return worker.live(now)

    def note_start(self, name: str, pid: int | None, at: float) -> None:
        """Take a ``task-started`` of worker *name*, stamped *at*; this runs for each of them."""
        worker = self.by_name.get(name)
        meter = worker.starts.by_pid.get(pid) if worker is not None else None
        if meter is not None:
            meter.start(at)
        elif len(self._early_starts) < MAX_EARLY_STARTS:
            self._early_starts[name, pid] += 1

    def _meter(self, worker: Worker, event: WorkerEventLike) -> None:
        early = self._early_starts.pop((worker.name, event.pid), 0)
        self.missed += worker.starts.take_heartbeat(event, early)

    def take_reports(self, reports: Iterable[WorkerReport], now: Moment) -> None:
        """Take each worker's answers to ``inspect``; what one left out is unknown again."""
        for report in reports:
            worker = self._known_or_new(report.worker, now)
            if worker is not None:
                self.restarts += worker.take_report(report, now)
                self._take_origin(worker, report.stats, now)

    def _take_origin(self, worker: Worker, stats: Stats | None, now: Moment) -> None:
        if stats is not None:
            born_mono = now.mono - stats.uptime_seconds - UPTIME_TOLERANCE_SECONDS
            is_born_here = born_mono > self._first_listening_mono
            worker.starts.take_stats(stats.pid, stats.pool, is_born_here=is_born_here)

    def count_processed(
        self, name: str, pid: int, by_task: Mapping[str, int], now_mono: float
    ) -> None:
        """Take a worker's own count of finished tasks, by task (its ``stats``)."""
        worker = self.by_name.get(name)
        if worker is None:
            return
        for task, count in by_task.items():
            is_new = task not in worker.processed_by_task
            if not is_new or self._budget.take(1, now_mono):
                worker.processed_by_task.setdefault(task, Cumulative()).note(pid, count)

    def count_finished(self, name: str, outcome: str, now_mono: float) -> None:
        """A task ended on worker *name*."""
        worker = self.by_name.get(name) or self._add(name, now_mono) or self._overflow
        worker.finished[outcome] += 1

    def expire(self, now: Moment) -> None:
        """Call the silent down; forget those who have been down for the retention."""
        for worker in list(self.by_name.values()):
            if worker.is_up and self._is_silent(worker, now.mono):
                worker.down_since_mono = now.mono
                # Without heartbeats there is no goodbye either: not known to be lost.
                self.lost += worker.sends_heartbeats
            elif now.mono - self._gone_since(worker) > self._patience.retention_seconds:
                self._drop(worker)
            elif worker.has_left and self._is_over(worker, now.mono):
                self.missed += worker.starts.conclude()

    def up(self) -> list[str]:
        """Return the names of the workers that are up."""
        return [worker.name for worker in self.by_name.values() if worker.is_up]

    def reports(self) -> list[WorkerReport]:
        """Return the last answers of every worker that is up."""
        return [w.report for w in self.by_name.values() if w.is_up and w.report is not None]

    def confs(self, since_mono: float) -> list[WorkerConf]:
        """Return each configuration once, of workers that have answered since then, up or down."""
        reports = [w.report for w in self.by_name.values() if w.report_mono >= since_mono]
        confs = (report.conf for report in reports if report is not None)
        return list(dict.fromkeys(conf for conf in confs if conf is not None))

    def consumption(self) -> Consumption:
        """Return which queues are consumed, by the last answers of every worker that is up."""
        consumption = Consumption(Counter(), Counter(), is_complete=True)
        for worker in self.by_name.values():
            if not worker.is_up:
                continue
            queues = worker.report.queues if worker.report else None
            if queues is None:
                consumption = consumption._replace(is_complete=False)
            slots = worker.pool_processes
            for queue in queues or ():
                consumption.workers[queue] += 1
                consumption.processes[queue] += slots
        return consumption

    def unheard(self, since_mono: float) -> Unheard:
        """Return what workers may take, or have taken since then, without an event of it."""
        queues: set[str] = set()
        may_be_any, is_complete = False, True
        for worker in self.by_name.values():
            was_up = self._gone_since(worker) >= since_mono
            if was_up and not worker.starts.are_announced:
                known = worker.report.queues if worker.report else None
                queues.update(known or ())
                may_be_any |= known is None and not worker.is_up
                is_complete &= known is not None or not worker.is_up
        return Unheard(queues, may_be_any, is_complete)

    def views(
        self, now: Moment, max_age_seconds: float, backlog: Backlog | None
    ) -> list[WorkerView]:
        """Return all workers; what is older than *max_age_seconds* is left out."""
        workers = list(self.by_name.values())
        if self._overflow.finished.total():
            workers.append(self._overflow)
        return [
            worker.view(
                is_current=self._is_current(worker, now.mono, max_age_seconds),
                with_report=now.mono - worker.report_mono <= max_age_seconds,
                is_stalled=worker.is_stalled(backlog, now.mono),
            )
            for worker in workers
        ]

    def _is_current(self, worker: Worker, now_mono: float, max_age_seconds: float) -> bool:
        """Return whether anybody can know if *worker* is up: not while the broker is away."""
        if not worker.is_up or self._listening_since_mono is not None:
            return True
        return now_mono - worker.heard_mono <= max_age_seconds

    def _say_goodbye(self, event: WorkerEventLike, now: Moment) -> None:
        worker = self.by_name.get(event.hostname)
        if worker is not None and worker.is_up:
            self._meter(worker, event)
            worker.leave(now)

    def _is_over(self, worker: Worker, now_mono: float) -> bool:
        """Return whether nothing can be on its way any more from a worker that has left."""
        return now_mono - self._gone_since(worker) > 2 * worker.freq_seconds

    def _is_silent(self, worker: Worker, now_mono: float) -> bool:
        if not worker.sends_heartbeats:
            return now_mono - worker.heard_mono > self._patience.reply_timeout_seconds
        if self._listening_since_mono is None:
            return False
        heard_mono = max(worker.heard_mono, self._listening_since_mono)
        return now_mono - heard_mono > self._timeout(worker)

    def _timeout(self, worker: Worker) -> float:
        own = MISSED_HEARTBEATS * worker.freq_seconds
        if worker.may_be_mute:
            own = max(own, SOLO_PATIENCE_SECONDS)
        timeout = self._patience.worker_timeout_seconds or own
        if worker.heard_mono < self._outage_ended_mono:
            return max(timeout, GRACE_AFTER_OUTAGE_SECONDS)
        return timeout

    def _gone_since(self, worker: Worker) -> float:
        if worker.is_up:
            return float("inf")
        return worker.first_seen_mono if worker.down_since_mono is None else worker.down_since_mono

    def _known_or_new(self, name: str, now: Moment) -> Worker | None:
        return self.by_name.get(name) or self._add(name, now.mono)

    def _add(self, name: str, now_mono: float) -> Worker | None:
        """Return a new worker, None (counted) if there is no room, not even by a dead one."""
        if name == OVERFLOW:
            return None
        if len(self.by_name) >= self._limit:
            self._drop_longest_gone()
        if len(self.by_name) >= self._limit:
            self._overflows["worker"] += 1
            return None
        if self._budget.room < SERIES_PER_WORKER:
            self._give_way(SERIES_PER_WORKER, now_mono)
        if not self._budget.take(SERIES_PER_WORKER, now_mono):
            return None
        worker = Worker(name, is_switched_on_here=self._patience.switches_events_on)
        self.by_name[name] = worker
        worker.first_seen_mono = now_mono
        return worker

    def _give_way(self, series: int, _: float) -> None:
        """Drop the dead, those first that have been dead for longest, until there is room."""
        while self._budget.room < series and self._drop_longest_gone():
            pass

    def _drop_longest_gone(self) -> bool:
        longest = min(self.by_name.values(), key=self._gone_since, default=None)
        if longest is None or longest.is_up:
            return False
        self._drop(longest)
        return True

    def _drop(self, worker: Worker) -> None:
        del self.by_name[worker.name]
        self._budget.give_back(SERIES_PER_WORKER + len(worker.processed_by_task))
