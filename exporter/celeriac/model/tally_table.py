"""All tallies, by task and queue, within the limits."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from celeriac.model.admission import OVERFLOW, Admission, SeriesBudget
from celeriac.model.histogram import Histogram
from celeriac.model.lines import Lines
from celeriac.model.tallies import (
    SERIES_PER_HISTOGRAM_BESIDE_BOUNDS,
    SERIES_PER_TALLY,
    Buckets,
    TallyView,
    TaskTally,
)
from celeriac.model.track import Track

# How long a task or queue that nobody knows any more has to be silent before it gives way.
GONE_AFTER_SECONDS = 600.0
# Of a task: when it last succeeded, when it last failed.
SERIES_PER_TASK = 2


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
        self.tallies: dict[tuple[str, str], TaskTally] = {}
        self.lines: Lines[Track] = Lines()
        """Who waits in each queue that a tally is kept for."""
        self._overflow = TaskTally(OVERFLOW, OVERFLOW)
        self.living_tasks: AbstractSet[str] | None = None
        self.living_queues: AbstractSet[str] | None = None
        budget.reclaims.append(self._drop_gone)

    def tally(self, task: str, queue: str, now_mono: float) -> TaskTally:
        """Return the tally of *task* on *queue*, made at 0 if it is new."""
        known = self.tallies.get((task, queue))
        return known or self._admit(task, queue, now_mono)

    def _admit(self, task: str, queue: str, now_mono: float) -> TaskTally:
        key = (self._tasks.admit(task, now_mono), self._queues.admit(queue, now_mono))
        known = self.tallies.get(key)
        if known is not None:
            return known
        if key == (OVERFLOW, OVERFLOW) or not self._budget.take(SERIES_PER_TALLY, now_mono):
            self.tallies[OVERFLOW, OVERFLOW] = self._overflow
            return self._overflow
        tally = self.tallies[key] = TaskTally(*key, self.lines.of(key[1]))
        tally.last_event_mono = now_mono
        return tally

    def histogram(self, tally: TaskTally, kind: str) -> Histogram | None:
        """Give *tally* its histogram *kind* (a field of Buckets); None if there is no room."""
        bounds = getattr(self._buckets, kind)
        series = len(bounds) + SERIES_PER_HISTOGRAM_BESIDE_BOUNDS
        if not self._budget.take(series, tally.last_event_mono):
            return None
        made = Histogram(bounds)
        setattr(tally, kind, made)
        tally.has_news = True
        return made

    def count_exception(self, tally: TaskTally, name: str) -> None:
        """Add one failure of *tally* by the exception class *name*."""
        now_mono = tally.last_event_mono
        shown = self._exceptions.admit(name, now_mono)
        is_new = shown not in tally.exceptions and shown != OVERFLOW
        if is_new and not self._budget.take(1, now_mono):
            shown = OVERFLOW
        tally.has_news = tally.has_news or shown not in tally.exceptions
        tally.exceptions[shown] = tally.exceptions.get(shown, 0) + 1

    def queue_names(self) -> set[str]:
        """Return every queue that a tally is kept for."""
        return {queue for _, queue in self.tallies}

    def announced(self, tasks: AbstractSet[str]) -> dict[str, float]:
        """Return when each of *tasks* was last sent or received, as its sender stamped it."""
        latest: dict[str, float] = {}
        for (task, _), tally in self.tallies.items():
            at = tally.last_announced_at
            if at is not None and task in tasks:
                latest[task] = max(at, latest.get(task, at))
        return latest

    def views(self, *, is_scrape: bool) -> list[TallyView]:
        """Return a copy of all tallies; in a scrape, what is new is 0 once."""
        if not is_scrape:
            return [tally.truth() for tally in self.tallies.values()]
        views = [tally.view() for tally in self.tallies.values()]
        for tally in self.tallies.values():
            if tally.has_news:
                tally.mark_shown()
        return views

    def _drop_gone(self, _: int, now_mono: float) -> None:
        gone = [key for key, tally in self.tallies.items() if self._is_gone(tally, now_mono)]
        for key in gone:
            tally = self.tallies.pop(key)
            tally.is_gone = True
            self._budget.give_back(tally.series)
        queues = self.queue_names()
        self.lines.keep_only(queues)
        self._tasks.keep_only({task for task, _ in self.tallies} | (self.living_tasks or set()))
        self._queues.keep_only(queues | (self.living_queues or set()))

    def _is_gone(self, tally: TaskTally, now_mono: float) -> bool:
        if OVERFLOW in (tally.task, tally.queue):
            # Its counters stand for many, some of which live.
            return False
        if now_mono - tally.last_event_mono < GONE_AFTER_SECONDS:
            return False
        return _is_missing(tally.task, self.living_tasks) or _is_missing(
            tally.queue, self.living_queues
        )


def _is_missing(name: str, living: AbstractSet[str] | None) -> bool:
    return living is not None and name not in living
