"""A state that also remembers who said what: what is examined, and never shown as a metric."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from celeriac.model.facts import Moment, TaskEventLike, WorkerEventLike
from celeriac.model.state import ClusterState, StateOptions

MAX_TASK_IDS = 50_000
MAX_WORKERS = 5_000
# What is received at first may have been published before anybody listened.
GRACE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Voice:
    """What one worker has said by itself."""

    heartbeats: int = 0
    task_events: int = 0
    pids: tuple[int, ...] = ()
    """In their order; one that comes back after another belongs to a second worker."""
    utcoffset_hours: float | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What has been heard, by worker and by task."""

    voices: Mapping[str, Voice] = field(default_factory=dict)
    sent: Mapping[str, int] = field(default_factory=dict)
    """How many ``task-sent`` there were, by task."""
    unannounced: Mapping[str, int] = field(default_factory=dict)
    """Tasks that workers received without a ``task-sent`` before, by name."""
    senders: frozenset[str] = frozenset()
    """The clients that announce what they publish."""


class _Notes:
    """What is heard of one worker, while it is being heard."""

    __slots__ = ("heartbeats", "pids", "task_events", "utcoffset_hours")

    def __init__(self) -> None:
        self.heartbeats = self.task_events = 0
        self.pids: list[int] = []
        self.utcoffset_hours: float | None = None

    def take(self, event: WorkerEventLike) -> None:
        self.heartbeats += 1
        self.utcoffset_hours = event.utcoffset
        if event.pid is not None and event.pid not in self.pids[-1:]:
            self.pids = [*self.pids[-5:], event.pid]

    def voice(self) -> Voice:
        return Voice(self.heartbeats, self.task_events, tuple(self.pids), self.utcoffset_hours)


class ListeningState(ClusterState):
    """A ClusterState that takes notes; within bounds, like everything it takes."""

    def __init__(self, options: StateOptions) -> None:
        super().__init__(options)
        self._notes_lock = threading.Lock()
        self._workers_heard: dict[str, _Notes] = {}
        self._sent: Counter[str] = Counter()
        self._sent_ids: set[str] = set()
        self._received: dict[str, str] = {}
        self._senders: set[str] = set()
        self._began_mono: float | None = None

    def listening(self, now: Moment, *, has_kept_events: bool = False) -> None:
        self._began_mono = self._began_mono or now.mono
        super().listening(now, has_kept_events=has_kept_events)

    def apply_task_events(self, events: Sequence[TaskEventLike], now: Moment) -> None:
        with self._notes_lock:
            for event in events:
                self._note(event, now)
        super().apply_task_events(events, now)

    def apply_worker_event(self, event: WorkerEventLike, now: Moment) -> bool:
        with self._notes_lock:
            notes = self._notes_of(event.hostname)
            if event.type == "worker-heartbeat" and notes is not None:
                notes.take(event)
        return super().apply_worker_event(event, now)

    def heard(self) -> Heard:
        """Return what has been noted so far."""
        with self._notes_lock:
            missing = self._received.keys() - self._sent_ids
            return Heard(
                voices={name: notes.voice() for name, notes in self._workers_heard.items()},
                sent=self._sent.copy(),
                unannounced=Counter(self._received[task_id] for task_id in missing),
                senders=frozenset(self._senders),
            )

    def _note(self, event: TaskEventLike, now: Moment) -> None:
        if event.type == "task-sent":
            self._note_sent(event)
            return
        if event.type == "task-received" and event.name and self._is_noted(now):
            self._received[event.uuid] = event.name
        notes = self._notes_of(event.hostname)
        if notes is not None:
            notes.task_events += 1

    def _note_sent(self, event: TaskEventLike) -> None:
        if len(self._sent_ids) < 2 * MAX_TASK_IDS:
            self._sent_ids.add(event.uuid)
        if event.name and (event.name in self._sent or len(self._sent) < MAX_WORKERS):
            self._sent[event.name] += 1
        if len(self._senders) < MAX_WORKERS:
            self._senders.add(event.hostname)

    def _is_noted(self, now: Moment) -> bool:
        if self._began_mono is None or len(self._received) >= MAX_TASK_IDS:
            return False
        return now.mono - self._began_mono > GRACE_SECONDS

    def _notes_of(self, worker: str) -> _Notes | None:
        if worker not in self._workers_heard and len(self._workers_heard) >= MAX_WORKERS:
            return None
        return self._workers_heard.setdefault(worker, _Notes())
