"""What happened lately: how much the exporter's counters grew from poll to poll."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields

from celeriac.clients.exporter_page import Labels, Page, Samples, value_of

WINDOW_SECONDS = 10.0
STARTED_AT = "process_start_time_seconds"
ENDED = "celery_worker_tasks_finished_total"
COUNTERS = {
    "celery_task_succeeded_total": "succeeded",
    "celery_task_failed_total": "failed",
    "celery_task_retried_total": "retried",
    "celery_task_rejected_total": "rejected",
    "celery_task_revoked_total": "revoked",
    "celery_task_runtime_seconds_sum": "runtime_seconds",
    "celery_task_runtime_seconds_count": "runs",
}
OUTCOMES = ("succeeded", "failed", "rejected", "revoked")
NAMES = (*COUNTERS, ENDED, STARTED_AT)


@dataclass(slots=True)
class Growth:
    """What was added in some time, of one task or of all."""

    succeeded: float = 0
    failed: float = 0
    retried: float = 0
    rejected: float = 0
    revoked: float = 0
    runs: float = 0
    runtime_seconds: float = 0

    @property
    def finished(self) -> float:
        """Return how many tasks ended; a retry is not an end."""
        return self.succeeded + self.failed + self.rejected + self.revoked

    @property
    def error_rate_percent(self) -> float | None:
        return round(100 * self.failed / self.finished, 2) if self.finished else None

    @property
    def mean_runtime_ms(self) -> float | None:
        return round(1000 * self.runtime_seconds / self.runs, 3) if self.runs else None

    def grow(self, name: str, by: float) -> None:
        setattr(self, name, getattr(self, name) + by)

    def add(self, other: Growth) -> None:
        for one in fields(self):
            self.grow(one.name, getattr(other, one.name))


@dataclass(frozen=True, slots=True)
class Step:
    """The time between two polls; of tasks, those that did anything in it."""

    ended_mono: float
    seconds: float
    total: Growth
    tasks: dict[str, Growth]


@dataclass(frozen=True, slots=True)
class Lately:
    """The sum of the last steps; ``seconds`` is 0 as long as there was only one poll."""

    seconds: float = 0.0
    total: Growth = field(default_factory=Growth)
    tasks: dict[str, Growth] = field(default_factory=dict)

    @property
    def throughput(self) -> float | None:
        """Return finished tasks per second."""
        return round(self.total.finished / self.seconds, 3) if self.seconds else None


class Rates:
    """The steps of the last ten seconds, or the last one if it was longer."""

    def __init__(self, window_seconds: float = WINDOW_SECONDS) -> None:
        self._window_seconds = window_seconds
        self._before: tuple[float, Page] | None = None
        self._steps: deque[Step] = deque()

    def take(self, page: Page, mono: float) -> Lately:
        """Take the next page and return what happened up to it."""
        if self._before is not None:
            self._steps.append(_step(*self._before, page, mono))
        self._before = mono, page
        while len(self._steps) > 1 and self._span(mono) > self._window_seconds:
            self._steps.popleft()
        return self._sum()

    def _span(self, mono: float) -> float:
        oldest = self._steps[0]
        return mono - oldest.ended_mono + oldest.seconds

    def _sum(self) -> Lately:
        total, tasks = Growth(), dict[str, Growth]()
        for step in self._steps:
            total.add(step.total)
            for task, growth in step.tasks.items():
                tasks.setdefault(task, Growth()).add(growth)
        return Lately(sum(step.seconds for step in self._steps), total, tasks)


def _step(then_mono: float, before: Page, after: Page, mono: float) -> Step:
    if before.one(STARTED_AT) != after.one(STARTED_AT):
        # Another exporter process, which counts from 0.
        before = Page({})
    tasks = _by_task(before, after)
    return Step(mono, mono - then_mono, _total(before, after, tasks.values()), tasks)


def _by_task(before: Page, after: Page) -> dict[str, Growth]:
    tasks: dict[str, Growth] = {}
    for name, kind in COUNTERS.items():
        for labels, growth in _increases(before.of(name), after.of(name)):
            tasks.setdefault(value_of(labels, "task"), Growth()).grow(kind, growth)
    for task in tasks.values():
        # Since Celery 5.7 a task that rejects itself fails first: that is one end, not two.
        task.rejected = max(0.0, task.rejected - task.failed)
    return tasks


def _total(before: Page, after: Page, tasks: Iterable[Growth]) -> Growth:
    """Return the growth of everything; the workers' outcomes count each task exactly once."""
    total = Growth()
    for task in tasks:
        total.add(task)
    if after.of(ENDED):
        total = Growth(runs=total.runs, runtime_seconds=total.runtime_seconds)
        for labels, growth in _increases(before.of(ENDED), after.of(ENDED)):
            outcome = value_of(labels, "outcome")
            if outcome in OUTCOMES:
                total.grow(outcome, growth)
    return total


def _increases(before: Samples, after: Samples) -> Iterator[tuple[Labels, float]]:
    """Yield by how much each counter grew; one that is new, or fell, began again at 0."""
    for labels, value in after.items():
        last = before.get(labels, 0.0)
        growth = value - last if value >= last else value
        if growth:
            yield labels, growth
