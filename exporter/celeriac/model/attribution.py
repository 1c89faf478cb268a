"""Which queue a task event belongs to, as far as anybody has told."""

from __future__ import annotations

from collections.abc import Iterable

from celeriac.model.facts import UNKNOWN_QUEUE, Request, TaskEventLike
from celeriac.model.routes import RouteMap

SENT = "task-sent"


class Attribution:
    """Knows the workers' routes, and of which tasks the clients announce every publication."""

    def __init__(self, tasks_remembered: int) -> None:
        self._tasks_remembered = tasks_remembered
        self.announced: dict[str, bool] = {}
        """By task: whether its clients send ``task-sent``; not there while that is unknown."""
        self.routes = RouteMap()

    def queue_named_by(self, event: TaskEventLike) -> str | None:
        """Return the queue that *event* itself tells; of all events only ``task-sent`` does."""
        return event.queue or self.routes.queue_of(event.exchange, event.routing_key)

    def queue_of(self, request: Request) -> str | None:
        return self.routes.queue_of(request.exchange, request.routing_key)

    def queue(self, task: str, named: str | None, event: TaskEventLike) -> str | None:
        """Return the queue if it is certain, None if something may still tell it."""
        if event.type == SENT:
            if not self.announced.get(task):
                self._remember(task, is_announced=True)
            return named
        only = named or self.routes.only_queue_of(event.hostname)
        if only is None and self.announced.get(task) is False:
            return UNKNOWN_QUEUE if self.routes.is_known(event.hostname) else None
        return only

    def best_queue(self, task: str, pending: Iterable[TaskEventLike]) -> tuple[str, bool]:
        """Return the best guess for held events, and whether waiting longer would not help."""
        workers = [event.hostname for event in pending if event.type != SENT]
        for worker in workers:
            only = self.routes.only_queue_of(worker)
            if only is not None:
                return only, True
        if workers and not self.announced.get(task):
            self._remember(task, is_announced=False)
        return UNKNOWN_QUEUE, all(self.routes.is_known(worker) for worker in workers)

    def _remember(self, task: str, *, is_announced: bool) -> None:
        if len(self.announced) >= self._tasks_remembered and task not in self.announced:
            # Learned again within a second each; better than to grow with every new name.
            self.announced.clear()
        self.announced[task] = is_announced
