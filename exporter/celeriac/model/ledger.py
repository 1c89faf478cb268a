"""The ledger: task events in, tallies out. One task id keeps one task and one queue for life."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from celeriac.model.admission import Limits
from celeriac.model.attribution import SENT, Attribution
from celeriac.model.counting import Counting
from celeriac.model.facts import Request, TaskEventLike
from celeriac.model.held import HeldEvent, lightened
from celeriac.model.tallies import TaskTally
from celeriac.model.tally_table import TallyTable
from celeriac.model.track import Track, Waiting
from celeriac.model.tracks import Tracks
from celeriac.model.workers import WorkerBook

# The client's task-sent and the worker's task-received race each other to the exporter.
HOLD_SECONDS = 1.0
# A worker that has just appeared has not told yet which queues it consumes.
HOLD_FOR_WORKER_SECONDS = 5.0

STARTED = "task-started"
ENDS = {
    "task-succeeded": "succeeded",
    "task-failed": "failed",
    "task-rejected": "rejected",
    "task-revoked": "revoked",
}


class _Held(NamedTuple):
    since_mono: float
    track: Track
    waiting: Waiting


class TaskLedger:
    """Counts events. An event whose queue is not known yet is held for about a second."""

    def __init__(self, table: TallyTable, limits: Limits, workers: WorkerBook) -> None:
        self._table = table
        self._tracked_tasks = limits.tracked_tasks
        self._workers = workers
        self._tracks = Tracks(limits.tracked_tasks, pinned=table.lines.pinned)
        self._held: deque[_Held] = deque()
        counting = Counting(table, workers)
        self._count, self._count_held = counting.by_type, counting.held_by_type
        self.attribution = Attribution(2 * limits.tasks)
        self.unmatched = 0

    @property
    def tracked(self) -> int:
        return len(self._tracks)

    def record(self, events: Iterable[TaskEventLike], now_mono: float) -> None:
        """Count *events*, each now or as soon as its queue is known.

        This runs for every event of the cluster: whatever is usual is done without a call.
        """
        tracks, count = self._tracks, self._count
        for event in events:
            track = tracks.young.get(event.uuid) or tracks.find(event.uuid)
            tally = track.tally
            if tally is None or tally.is_gone:
                tally = self._attribute(track, event, now_mono)
                if tally is None:
                    continue
            kind = event.type
            tally.last_event_mono, tally.last_view = now_mono, None
            count[kind](track, tally, event)
            if kind in ENDS:
                self._end(track, event, now_mono)

    def peek(self, task_id: str) -> Track | None:
        """Return what is remembered of a task that has not ended."""
        return self._tracks.peek(task_id)

    def learn(self, request: Request, now_mono: float) -> None:
        """Take task and queue of an id from a worker's own list, unless they are known."""
        track = self._tracks.find(request.task_id)
        if track.tally is not None:
            return
        waiting = track.waiting = track.waiting or Waiting(None, None)
        waiting.task = waiting.task or request.task
        waiting.queue = waiting.queue or self.attribution.queue_of(request)
        if waiting.queue is not None:
            self._settle_on(track, waiting.task, waiting.queue, now_mono)

    def settle(self, now_mono: float) -> None:
        """Decide about held events whose time is up."""
        still_waiting: list[_Held] = []
        while self._held and self._is_due(self._held[0], now_mono):
            held = self._held.popleft()
            if held.waiting.events and not self._conclude(held, now_mono):
                still_waiting.append(held)
        self._held.extendleft(reversed(still_waiting))

    def _is_due(self, held: _Held, now_mono: float) -> bool:
        return now_mono - held.since_mono >= HOLD_SECONDS or len(self._held) > self._tracked_tasks

    def _add(self, track: Track, tally: TaskTally, event: TaskEventLike, now_mono: float) -> None:
        tally.last_event_mono, tally.last_view = now_mono, None
        self._count_held[event.type](track, tally, event)
        if event.type in ENDS:
            self._end(track, event, now_mono)

    def _end(self, track: Track, event: TaskEventLike, now_mono: float) -> None:
        """Close *event*'s id, once: a rejected task may send two ends (celery 5.7)."""
        if track.is_ended:
            return
        track.is_ended = True
        self._tracks.end(event.uuid, track)
        self._workers.count_finished(event.hostname, ENDS[event.type], now_mono)

    # -- which task, which queue ----------------------------------------------------------

    def _attribute(self, track: Track, event: TaskEventLike, now_mono: float) -> TaskTally | None:
        """Return the tally *event* belongs to, None if it has to be held."""
        gone, waiting = track.tally, track.waiting
        task, queue = event.name, event.queue
        if gone is None and waiting is None and task is not None and queue is not None:
            # A new id, as nearly all that come here, whose task and queue others had before.
            tally = self._table.tallies.get((task, queue))
            if tally is not None and self.attribution.announced.get(task) and event.type == SENT:
                track.tally = tally
                return tally
        if gone is not None:
            # Its series gave way to living ones; the event is as good as any other.
            return self._settle_on(track, gone.task, gone.queue, now_mono)
        if waiting is not None:
            task, queue = waiting.task or task, waiting.queue or queue
        queue = queue or self.attribution.queue_named_by(event)
        if task is not None:
            certain = self.attribution.queue(task, queue, event)
            if certain is not None:
                return self._settle_on(track, task, certain, now_mono)
        self._hold(track, Waiting(task, queue), event, now_mono)
        return None

    def _settle_on(self, track: Track, task: str, queue: str, now_mono: float) -> TaskTally:
        tally = track.tally = self._table.tally(task, queue, now_mono)
        waiting, track.waiting = track.waiting, None
        if waiting is not None:
            held, waiting.events = waiting.events, None
            for event in held or ():
                self._add(track, tally, event, now_mono)
        return tally

    def _hold(self, track: Track, known: Waiting, event: TaskEventLike, now_mono: float) -> None:
        if event.type == STARTED:
            self._workers.note_start(event.hostname, event.pid, event.timestamp)
        waiting = track.waiting = track.waiting or known
        waiting.task, waiting.queue = known.task, known.queue
        if waiting.events is None:
            waiting.events = []
            self._held.append(_Held(now_mono, track, waiting))
        waiting.events.append(lightened(event))

    def _conclude(self, held: _Held, now_mono: float) -> bool:
        """Decide without the missing piece; return False to go on waiting for a new worker."""
        waiting, events = held.waiting, held.waiting.events or []
        if waiting.task is None:
            self._give_up(held, events, now_mono)
            return True
        queue, is_final = self.attribution.best_queue(waiting.task, events)
        if not is_final and now_mono - held.since_mono < HOLD_FOR_WORKER_SECONDS:
            return False
        self._settle_on(held.track, waiting.task, queue, now_mono)
        return True

    def _give_up(self, held: _Held, events: list[HeldEvent], now_mono: float) -> None:
        held.waiting.events = None
        self.unmatched += len(events)
        for event in events:
            if event.type in ENDS:
                self._end(held.track, event, now_mono)
