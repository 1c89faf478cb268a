"""All tallies, by task and queue, within the limits."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from celeriac.model.admission import OVERFLOW, Admission, SeriesBudget
from celeriac.model.histogram import Histogram
from celeriac.model.tallies import (
    COUNTS_PER_TALLY,
    SERIES_PER_HISTOGRAM_BESIDE_BOUNDS,
    Buckets,
    TallyView,
    TaskTally,
)

# How long a task or queue that nobody knows any more has to be silent before it gives way.
GONE_AFTER_SECONDS = 600.0
LOOK_FOR_ROOM_EVERY_SECONDS = 10.0
# Of a task: when it last succeeded, when it last failed.
TIMESTAMPS_PER_TALLY = 2
HOLDER = "tasks"


class TallyTable:
    """Tallies are made here, once, and removed only when something living needs the room."""

    def __init__(
        self,
        buckets: Buckets,
        tasks: Admission,
        queues: Admission,
        exceptions: Admission,
        budget: SeriesBudget,
    ) -> None:
        self._buckets = buckets
        self._tasks = tasks
        self._queues = queues
        self._exceptions = exceptions
        self._budget = budget
        self._tallies: dict[tuple[str, str], TaskTally] = {}
        self._overflow = TaskTally(OVERFLOW, OVERFLOW)
        self._looked_for_room_mono = float("-inf")
        self.living_tasks: AbstractSet[str] | None = None
        self.living_queues: AbstractSet[str] | None = None

    def __len__(self) -> int:
        return len(self._tallies)

    def tally(self, task: str, queue: str, now_mono: float) -> TaskTally:
        """Return the tally of *task* on *queue*, made at 0 if it is new."""
        known = self._tallies.get((task, queue))
        return known or self._admit(task, queue, now_mono)

    def _admit(self, task: str, queue: str, now_mono: float) -> TaskTally:
        self._make_room_for(task, queue, now_mono)
        key = (self._tasks.admit(task), self._queues.admit(queue))
        known = self._tallies.get(key)
        if known is not None:
            return known
        if not self._budget.take(HOLDER, COUNTS_PER_TALLY + TIMESTAMPS_PER_TALLY):
            self._tallies[OVERFLOW, OVERFLOW] = self._overflow
            return self._overflow
        tally = TaskTally(*key)
        tally.last_event_mono = now_mono
        self._tallies[key] = tally
        return tally

    def histogram(self, tally: TaskTally, kind: str) -> Histogram | None:
        """Give *tally* its histogram *kind* (a field of Buckets); None if there is no room."""
        bounds = getattr(self._buckets, kind)
        if not self._budget.take(HOLDER, len(bounds) + SERIES_PER_HISTOGRAM_BESIDE_BOUNDS):
            return None
        made = Histogram(bounds)
        setattr(tally, kind, made)
        return made

    def count_exception(self, tally: TaskTally, name: str) -> None:
        """Add one failure of *tally* by the exception class *name*."""
        shown = self._exceptions.admit(name)
        if shown not in tally.exceptions:
            shown = shown if self._budget.take(HOLDER, 1) else OVERFLOW
        tally.exceptions[shown] = tally.exceptions.get(shown, 0) + 1

    def queue_names(self) -> set[str]:
        """Return every queue that a tally is kept for."""
        return {queue for _, queue in self._tallies}

    def views(self, *, mark_shown: bool) -> list[TallyView]:
        """Return a copy of all tallies; *mark_shown* when it goes onto a whole page."""
        views = [tally.view() for tally in self._tallies.values()]
        if mark_shown:
            for tally in self._tallies.values():
                tally.mark_shown()
        return views

    def _make_room_for(self, task: str, queue: str, now_mono: float) -> None:
        is_tight = (
            (self._tasks.is_full and task not in self._tasks)
            or (self._queues.is_full and queue not in self._queues)
            or not self._budget.has_room_for(COUNTS_PER_TALLY + TIMESTAMPS_PER_TALLY)
        )
        if is_tight and now_mono - self._looked_for_room_mono >= LOOK_FOR_ROOM_EVERY_SECONDS:
            self._looked_for_room_mono = now_mono
            self._drop_gone(now_mono)

    def _drop_gone(self, now_mono: float) -> None:
        gone = [key for key, tally in self._tallies.items() if self._is_gone(tally, now_mono)]
        for key in gone:
            self._budget.give_back(HOLDER, self._tallies.pop(key).series + TIMESTAMPS_PER_TALLY)
        if gone:
            self._release_unused()

    def _is_gone(self, tally: TaskTally, now_mono: float) -> bool:
        if tally is self._overflow or now_mono - tally.last_event_mono < GONE_AFTER_SECONDS:
            return False
        return _is_missing(tally.task, self.living_tasks) or _is_missing(
            tally.queue, self.living_queues
        )

    def _release_unused(self) -> None:
        self._tasks.keep_only({task for task, _ in self._tallies})
        self._queues.keep_only(self.queue_names() | (self.living_queues or set()))


def _is_missing(name: str, living: AbstractSet[str] | None) -> bool:
    return living is not None and name not in living
