"""What each kind of task event adds to its tally."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from celeriac.model.eta import epoch_seconds
from celeriac.model.exceptions import exception_class
from celeriac.model.facts import TaskEventLike
from celeriac.model.tallies import Outcome, TaskTally
from celeriac.model.tally_table import TallyTable
from celeriac.model.track import Track
from celeriac.model.workers import WorkerBook

# How much later than a start its own task-sent may be stamped.
RACE_SECONDS = 1.0
# No task has run for thirty years.
MAX_DURATION_SECONDS = 1e9
# As plain numbers: a member of an enumeration costs two look-ups, millions of times.
_SENT, _RECEIVED, _STARTED, _SUCCEEDED = map(
    int, (Outcome.SENT, Outcome.RECEIVED, Outcome.STARTED, Outcome.SUCCEEDED)
)

Count = Callable[[Track, TaskTally, TaskEventLike], None]


class Counting:
    """``by_type`` counts an event whose tally is known. These few lines run for every event.

    ``held_by_type`` is for those that had to wait, whose start has been metered already.
    """

    def __init__(self, table: TallyTable, workers: WorkerBook) -> None:
        self._table = table
        self._workers = workers
        self.by_type: Mapping[str, Count] = {
            "task-sent": self._sent,
            "task-received": self._received,
            "task-started": self._arrived_and_started,
            "task-succeeded": self._succeeded,
            "task-failed": self._failed,
            "task-retried": self._retried,
            "task-rejected": self._rejected,
            "task-revoked": self._revoked,
        }
        self.held_by_type = {**self.by_type, "task-started": self._started}

    def _sent(self, track: Track, tally: TaskTally, event: TaskEventLike) -> None:
        tally.counts[_SENT] += 1
        tally.last_announced_at = event.timestamp
        due_at = event.timestamp
        now_mono = track.sent_mono = tally.last_event_mono
        if event.eta is None:
            line = tally.line
            line.sent += 1
            line.last_id = event.uuid
            if now_mono >= line.next_mono:
                line.add(event.uuid, track, now_mono)
        else:
            due_at = max(due_at, epoch_seconds(event.eta) or 0.0)
        if track.started_at is None or event.timestamp > track.started_at + RACE_SECONDS:
            track.due_at = due_at
        else:
            # Clients stamp the event after they published: a quick worker can be first.
            self._observe_queue_wait(tally, track.started_at - due_at)
            track.started_at = None

    def _received(self, track: Track, tally: TaskTally, event: TaskEventLike) -> None:
        tally.counts[_RECEIVED] += 1
        tally.last_announced_at = track.received_at = event.timestamp
        # Redelivered or sent again under the same id: it lives once more.
        track.is_ended = False

    def _arrived_and_started(self, track: Track, tally: TaskTally, event: TaskEventLike) -> None:
        self._workers.note_start(event.hostname, event.pid, event.timestamp)
        self._started(track, tally, event)

    def _started(self, track: Track, tally: TaskTally, event: TaskEventLike) -> None:
        tally.counts[_STARTED] += 1
        at = event.timestamp
        if track.due_at is None:
            track.started_at = at
        else:
            self._observe_queue_wait(tally, at - track.due_at)
            track.due_at = None
        if track.received_at is not None:
            histogram = tally.prefetch_wait or self._table.histogram(tally, "prefetch_wait")
            if histogram is not None:
                histogram.observe(at - track.received_at)
            track.received_at = None

    def _observe_queue_wait(self, tally: TaskTally, seconds: float) -> None:
        histogram = tally.queue_wait or self._table.histogram(tally, "queue_wait")
        if histogram is not None:
            histogram.observe(seconds)

    def _succeeded(self, track: Track, tally: TaskTally, event: TaskEventLike) -> None:
        tally.counts[_SUCCEEDED] += 1
        last = tally.last_succeeded_at
        if last is None or event.timestamp > last:
            tally.last_succeeded_at = event.timestamp
        runtime = event.runtime
        if type(runtime) is not float or not 0.0 <= runtime < MAX_DURATION_SECONDS:
            runtime = _duration(runtime)
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
