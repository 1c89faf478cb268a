"""The ledger: task events in, tallies out. One task id keeps one task and one queue for life."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import NamedTuple

from celeriac.model.admission import Limits
from celeriac.model.attribution import SENT, Attribution
from celeriac.model.exceptions import exception_class
from celeriac.model.facts import Request, TaskEventLike
from celeriac.model.generations import GenerationMap
from celeriac.model.held import HeldEvent, lightened
from celeriac.model.tallies import Outcome, TaskTally
from celeriac.model.tally_table import TallyTable
from celeriac.model.workers import WorkerBook

# The client's task-sent and the worker's task-received race each other to the exporter.
HOLD_SECONDS = 1.0
# How much later than a start its own task-sent may be stamped.
RACE_SECONDS = 1.0
# A worker that has just appeared has not told yet which queues it consumes.
HOLD_FOR_WORKER_SECONDS = 5.0
ENDED_TASKS_REMEMBERED = 10_000
# No task has run for thirty years.
MAX_DURATION_SECONDS = 1e9

ENDS = {
    "task-succeeded": "succeeded",
    "task-failed": "failed",
    "task-rejected": "rejected",
    "task-revoked": "revoked",
}


class Track:
    """What is remembered of one task id. Instants are the senders' clocks, since the epoch."""

    __slots__ = (
        "due_at",
        "is_ended",
        "pending",
        "queue",
        "received_at",
        "started_at",
        "tally",
        "task",
    )

    def __init__(self) -> None:
        self.task: str | None = None
        self.queue: str | None = None
        self.tally: TaskTally | None = None
        self.pending: list[HeldEvent] | None = None
        self.due_at: float | None = None
        self.received_at: float | None = None
        self.started_at: float | None = None
        self.is_ended = False


class _Held(NamedTuple):
    since_mono: float
    track: Track


class TaskLedger:
    """Counts events. An event whose queue is not known yet is held for about a second."""

    def __init__(self, table: TallyTable, limits: Limits, workers: WorkerBook) -> None:
        self._table = table
        self._tracked_tasks = limits.tracked_tasks
        self._workers = workers
        self._live: GenerationMap[Track] = GenerationMap(limits.tracked_tasks)
        self._ended: GenerationMap[Track] = GenerationMap(ENDED_TASKS_REMEMBERED)
        self._held: deque[_Held] = deque()
        self._apply = {
            SENT: self._sent,
            "task-received": self._received,
            "task-started": self._started,
            "task-succeeded": self._succeeded,
            "task-failed": self._failed,
            "task-retried": self._retried,
            "task-rejected": self._rejected,
            "task-revoked": self._revoked,
        }
        self.attribution = Attribution(2 * limits.tasks)
        self.unmatched = 0

    @property
    def tracked(self) -> int:
        return len(self._live) + len(self._ended)

    def record(self, event: TaskEventLike, now_mono: float) -> None:
        """Count *event*, now or as soon as its queue is known."""
        track = self._live.get(event.uuid) or self._ended.get(event.uuid)
        if track is None:
            track = Track()
            self._live.put(event.uuid, track)
        tally = track.tally
        if tally is None or tally.is_gone:
            tally = self._attribute(track, event, now_mono)
        if tally is not None:
            self._count(track, tally, event, now_mono)

    def learn(self, request: Request, now_mono: float) -> None:
        """Take task and queue of an id from a worker's own list, unless they are known."""
        track = self._live.get(request.task_id) or self._ended.get(request.task_id)
        if track is None:
            track = Track()
            self._live.put(request.task_id, track)
        if track.tally is None:
            track.task = track.task or request.task
            track.queue = track.queue or self.attribution.queue_of(request)
            if track.queue is not None:
                self._settle_on(track, track.task, track.queue, now_mono)

    def settle(self, now_mono: float) -> None:
        """Decide about held events whose time is up."""
        still_waiting: list[_Held] = []
        while self._held and self._is_due(self._held[0], now_mono):
            held = self._held.popleft()
            if held.track.pending and not self._conclude(held, now_mono):
                still_waiting.append(held)
        self._held.extendleft(reversed(still_waiting))

    def _is_due(self, held: _Held, now_mono: float) -> bool:
        return now_mono - held.since_mono >= HOLD_SECONDS or len(self._held) > self._tracked_tasks

    def _count(self, track: Track, tally: TaskTally, event: TaskEventLike, now_mono: float) -> None:
        tally.last_event_mono = now_mono
        self._apply[event.type](track, tally, event)
        if event.type in ENDS:
            self._end(track, event, now_mono)

    def _end(self, track: Track, event: TaskEventLike, now_mono: float) -> None:
        """Close *event*'s id, once: a rejected task may send two ends (celery 5.7)."""
        if track.is_ended:
            return
        track.is_ended = True
        self._live.discard(event.uuid)
        if self._ended.get(event.uuid) is None:
            self._ended.put(event.uuid, track)
        self._workers.count_finished(event.hostname, ENDS[event.type], now_mono)

    # -- which task, which queue ----------------------------------------------------------

    def _attribute(self, track: Track, event: TaskEventLike, now_mono: float) -> TaskTally | None:
        """Return the tally *event* belongs to, None if it has to be held."""
        gone = track.tally
        if gone is not None:
            # Its series gave way to living ones; the event is as good as any other.
            return self._settle_on(track, gone.task, gone.queue, now_mono)
        track.task = track.task or event.name
        track.queue = track.queue or self.attribution.queue_named_by(event)
        if track.task is not None:
            queue = self.attribution.queue(track.task, track.queue, event)
            if queue is not None:
                return self._settle_on(track, track.task, queue, now_mono)
        self._hold(track, event, now_mono)
        return None

    def _settle_on(self, track: Track, task: str, queue: str, now_mono: float) -> TaskTally:
        tally = track.tally = self._table.tally(task, queue, now_mono)
        # From now on the tally knows; two strings less for each remembered id.
        track.task = track.queue = None
        held, track.pending = track.pending, None
        for event in held or ():
            self._count(track, tally, event, now_mono)
        return tally

    def _hold(self, track: Track, event: TaskEventLike, now_mono: float) -> None:
        if track.pending is None:
            track.pending = []
            self._held.append(_Held(now_mono, track))
        track.pending.append(lightened(event))

    def _conclude(self, held: _Held, now_mono: float) -> bool:
        """Decide without the missing piece; return False to go on waiting for a new worker."""
        track, pending = held.track, held.track.pending or []
        if track.task is None:
            self._give_up(track, pending, now_mono)
            return True
        queue, is_final = self.attribution.best_queue(track.task, pending)
        if not is_final and now_mono - held.since_mono < HOLD_FOR_WORKER_SECONDS:
            return False
        self._settle_on(track, track.task, queue, now_mono)
        return True

    def _give_up(self, track: Track, pending: list[HeldEvent], now_mono: float) -> None:
        track.pending = None
        self.unmatched += len(pending)
        for event in pending:
            if event.type in ENDS:
                self._end(track, event, now_mono)

    # -- counting ------------------------------------------------------------------------

    def _sent(self, track: Track, tally: TaskTally, event: TaskEventLike) -> None:
        tally.counts[Outcome.SENT] += 1
        due_at = max(event.timestamp, _epoch_seconds(event.eta) or 0.0)
        if track.started_at is not None and event.timestamp <= track.started_at + RACE_SECONDS:
            # Clients stamp the event after they published: a quick worker can be first.
            self._observe_queue_wait(tally, track.started_at - due_at)
            track.started_at = None
        else:
            track.due_at = due_at

    def _received(self, track: Track, tally: TaskTally, event: TaskEventLike) -> None:
        tally.counts[Outcome.RECEIVED] += 1
        track.received_at = event.timestamp
        # Redelivered or sent again under the same id: it lives once more.
        track.is_ended = False

    def _started(self, track: Track, tally: TaskTally, event: TaskEventLike) -> None:
        tally.counts[Outcome.STARTED] += 1
        self._workers.count_started(event.hostname)
        if track.due_at is None:
            track.started_at = event.timestamp
        else:
            self._observe_queue_wait(tally, event.timestamp - track.due_at)
            track.due_at = None
        if track.received_at is not None:
            histogram = tally.prefetch_wait or self._table.histogram(tally, "prefetch_wait")
            if histogram is not None:
                histogram.observe(max(0.0, event.timestamp - track.received_at))
            track.received_at = None

    def _observe_queue_wait(self, tally: TaskTally, seconds: float) -> None:
        histogram = tally.queue_wait or self._table.histogram(tally, "queue_wait")
        if histogram is not None:
            # Two clocks are compared here: the client's and the worker's.
            histogram.observe(max(0.0, seconds))

    def _succeeded(self, track: Track, tally: TaskTally, event: TaskEventLike) -> None:
        tally.counts[Outcome.SUCCEEDED] += 1
        tally.last_succeeded_at = max(event.timestamp, tally.last_succeeded_at or 0.0)
        runtime = _duration(event.runtime)
        if runtime is not None:
            histogram = tally.runtime or self._table.histogram(tally, "runtime")
            if histogram is not None:
                histogram.observe(runtime)

    def _failed(self, track: Track, tally: TaskTally, event: TaskEventLike) -> None:
        tally.counts[Outcome.FAILED] += 1
        tally.last_failed_at = max(event.timestamp, tally.last_failed_at or 0.0)
        self._table.count_exception(tally, exception_class(event.exception, event.traceback))

    def _retried(self, track: Track, tally: TaskTally, event: TaskEventLike) -> None:
        tally.counts[Outcome.RETRIED] += 1
        track.started_at = None

    def _rejected(self, track: Track, tally: TaskTally, event: TaskEventLike) -> None:
        tally.counts[Outcome.REJECTED] += 1

    def _revoked(self, track: Track, tally: TaskTally, event: TaskEventLike) -> None:
        if event.terminated:
            reason = Outcome.TERMINATED
        elif event.expired:
            reason = Outcome.EXPIRED
        else:
            reason = Outcome.REVOKED
        tally.counts[reason] += 1


def _duration(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < MAX_DURATION_SECONDS else None


def _epoch_seconds(eta: object) -> float | None:
    """Return the instant of an ISO 8601 text, read as UTC when it has no offset."""
    if not isinstance(eta, str):
        return None
    try:
        parsed = datetime.fromisoformat(eta)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
