"""One worker: its heartbeats, its answers, its counts over all its incarnations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from celeriac.model.clock_skew import ClockSkew
from celeriac.model.cumulative import INCARNATIONS_REMEMBERED, Cumulative
from celeriac.model.facts import Moment, Stats, WorkerEventLike, WorkerReport
from celeriac.model.stalls import Backlog, Idleness, is_stalled
from celeriac.model.starts import Starts

OUTCOMES = ("succeeded", "failed", "rejected", "revoked")
DEFAULT_HEARTBEAT_SECONDS = 2.0
MIN_HEARTBEAT_SECONDS = 0.5
MAX_HEARTBEAT_SECONDS = 3600.0
# ``uptime`` is in whole seconds and travels; less than this is not a restart.
RESTART_TOLERANCE_SECONDS = 5.0
MAX_LOAD = 1e9
NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker at one moment; None is unknown. Instants are seconds since the epoch."""

    worker: str
    is_up: bool | None
    version: str | None
    last_heartbeat_at: float | None
    started_at: float | None
    active: int | None
    load1: float | None
    processed: float | None
    finished: Mapping[str, int]
    processed_by_task: Mapping[str, float]
    cpu_seconds: Mapping[str, float]
    events_enabled: bool | None
    is_stalled: bool | None
    clock_skew_seconds: float | None
    report: WorkerReport | None

    @property
    def stats(self) -> Stats | None:
        return self.report.stats if self.report else None


class Worker:
    """A node by name, over all its incarnations."""

    def __init__(self, name: str, *, is_switched_on_here: bool = False) -> None:
        self.name = name
        self.heard_mono = NEVER
        self.first_seen_mono = NEVER
        self.down_since_mono: float | None = None
        self.has_left = False
        self.sends_heartbeats = False
        self.freq_seconds = DEFAULT_HEARTBEAT_SECONDS
        self.report: WorkerReport | None = None
        self.report_mono = NEVER
        self.starts = Starts(is_switched_on_here=is_switched_on_here)
        self.finished = Counter(dict.fromkeys(OUTCOMES, 0))
        self.processed_by_task: dict[str, Cumulative] = {}
        self._pids: dict[int, None] = {}
        self._is_restart_counted = False
        self._started_mono: float | None = None
        self._started_at: float | None = None
        self._last_heartbeat_at: float | None = None
        self._clock_skew = ClockSkew()
        self._version: str | None = None
        self._active: int | None = None
        self.idleness = Idleness()
        self._load1: float | None = None
        self._processed = Cumulative()
        self._cpu = {"user": Cumulative(), "system": Cumulative()}

    @property
    def is_up(self) -> bool:
        return self.has_been_heard and self.down_since_mono is None

    @property
    def has_been_heard(self) -> bool:
        return self.heard_mono != NEVER

    @property
    def may_be_mute(self) -> bool:
        """A solo worker sends neither heartbeats nor its last events while it runs a task."""
        return self._stats is not None and self._stats.pool == "solo"

    @property
    def pool_processes(self) -> int:
        return self._stats.pool_processes if self._stats else 0

    @property
    def _stats(self) -> Stats | None:
        return self.report.stats if self.report else None

    def live(self, now: Moment) -> bool:
        """Take any sign of life; return whether the worker is new or back."""
        is_news = not self.is_up
        self.heard_mono, self.down_since_mono, self.has_left = now.mono, None, False
        return is_news

    def leave(self, now: Moment) -> None:
        """Take a goodbye."""
        self.down_since_mono, self.has_left = now.mono, True

    def take_heartbeat(self, event: WorkerEventLike, now: Moment) -> bool:
        """Take what a heartbeat carries; return whether it shows a restart."""
        self.sends_heartbeats = True
        self._last_heartbeat_at = now.wall
        self._clock_skew.note(event.timestamp, now.wall)
        if event.freq is not None and event.freq > 0:
            self.freq_seconds = min(max(event.freq, MIN_HEARTBEAT_SECONDS), MAX_HEARTBEAT_SECONDS)
        if event.active is not None:
            self._active = event.active
        self._load1 = _first_number(event.loadavg)
        self._version = event.sw_ver or self._version
        is_free = event.active is not None and event.active < self.pool_processes
        self.idleness.note(event, self.freq_seconds, now.mono, is_free=is_free)
        if event.pid is None:
            return False
        is_restart = self._note_pid(event.pid)
        if event.processed is not None and self._processed.note(event.pid, event.processed):
            # Unless its answer to ``stats`` has already shown this restart.
            is_restart = is_restart or not self._is_restart_counted
            self._is_restart_counted = False
        if is_restart:
            self._started_mono = None
        return is_restart

    def take_report(self, report: WorkerReport, now: Moment) -> bool:
        """Replace the answers to ``inspect``; return whether they show a restart."""
        if not self.has_left:
            # An answer that was on its way does not take back a goodbye.
            self.live(now)
        if report.bindings is None and self.report is not None:
            # What it consumes does not change because one answer is late.
            report = replace(report, bindings=self.report.bindings)
        self.report, self.report_mono = report, now.mono
        self.idleness.consume(report.queues or (), now.mono)
        if report.active is not None and not self.sends_heartbeats:
            self._active = len(report.active)
        return report.stats is not None and self._take_stats(report.stats, now)

    def _take_stats(self, stats: Stats, now: Moment) -> bool:
        is_restart = self._note_pid(stats.pid)
        started_mono = now.mono - stats.uptime_seconds
        last = self._started_mono
        # In containers every incarnation has the same process id.
        is_later = last is not None and started_mono > last + RESTART_TOLERANCE_SECONDS
        if last is None or is_restart or is_later:
            self._started_mono, self._started_at = started_mono, now.wall - stats.uptime_seconds
        self._is_restart_counted = self._is_restart_counted or (is_later and not is_restart)
        if not self.sends_heartbeats and stats.processed is not None:
            self._processed.note(stats.pid, stats.processed)
        if stats.user_cpu_seconds is not None:
            self._cpu["user"].note(stats.pid, stats.user_cpu_seconds)
        if stats.system_cpu_seconds is not None:
            self._cpu["system"].note(stats.pid, stats.system_cpu_seconds)
        return is_restart or is_later

    def _note_pid(self, pid: int) -> bool:
        is_new = pid not in self._pids
        is_restart = is_new and bool(self._pids)
        if is_new:
            self._pids[pid] = None
            if len(self._pids) > INCARNATIONS_REMEMBERED:
                del self._pids[next(iter(self._pids))]
        return is_restart

    def is_stalled(self, backlog: Backlog | None, now_mono: float) -> bool | None:
        """Return whether it does nothing although it could; see ``stalls``."""
        if backlog is None or self.report is None:
            return None
        return is_stalled(self.report, self.idleness, backlog, now_mono)

    def view(
        self, *, is_current: bool, with_report: bool, is_stalled: bool | None = None
    ) -> WorkerView:
        """Return a copy; without *is_current* nobody knows whether it is up."""
        is_up = self.is_up and is_current
        return WorkerView(
            worker=self.name,
            is_up=is_up if self.has_been_heard and is_current else None,
            version=self._version,
            last_heartbeat_at=self._last_heartbeat_at,
            started_at=self._started_at if is_up else None,
            active=self._active if is_up else None,
            load1=self._load1 if is_up else None,
            processed=self._processed.total,
            finished=self.finished.copy(),
            processed_by_task=_totals(self.processed_by_task),
            cpu_seconds=_totals(self._cpu),
            events_enabled=self.starts.are_announced if is_up else None,
            clock_skew_seconds=self._clock_skew.seconds if is_up else None,
            is_stalled=is_stalled if with_report and is_up else None,
            report=self.report if with_report and is_up else None,
        )


def _totals(counts: Mapping[str, Cumulative]) -> dict[str, float]:
    return {name: count.total for name, count in counts.items() if count.total is not None}


def _first_number(loadavg: object) -> float | None:
    first = loadavg[0] if isinstance(loadavg, (list, tuple)) and loadavg else None
    if isinstance(first, bool) or not isinstance(first, (int, float)):
        return None
    return float(first) if 0 <= first < MAX_LOAD else None
