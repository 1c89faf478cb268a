"""GET /tasks/{task_id}: which worker has the task now, and what does it do with it?"""

from __future__ import annotations

from typing import Literal

import msgspec

from celeriac.control import Command, Question, RemoteControl
from celeriac.sidecar.contract import Call
from celeriac.sidecar.fleet import Fleet
from celeriac.sidecar.standing import Standing
from celeriac.sidecar.worker_answers import read

State = Literal["active", "reserved", "scheduled", "revoked", "unknown"]
# What a worker calls ready has left its timer or its rate limit and waits for the pool.
STATES: dict[str, State] = {
    "active": "active",
    "reserved": "reserved",
    "scheduled": "scheduled",
    "ready": "reserved",
}


class TaskAnswer(msgspec.Struct):
    """Where a task is. ``silent`` workers did not answer: it may be with one of them."""

    task_id: str
    state: State
    worker: str | None = None
    name: str | None = None
    silent: list[str] = []


class _Info(msgspec.Struct, gc=False):
    name: str


_Found = dict[str, tuple[str, _Info]]


class Tasks:
    """The handler."""

    def __init__(self, fleet: Fleet, standing: Standing, answer_seconds: float) -> None:
        self._fleet = fleet
        self._standing = standing
        self._answer_seconds = answer_seconds

    def show(self, call: Call) -> TaskAnswer:
        task_id = call.parameters["task_id"]
        with self._fleet.control() as control:
            return self._find(control, task_id)

    def _find(self, control: RemoteControl, task_id: str) -> TaskAnswer:
        workers = self._fleet.names(control)
        query = Command("query_task", {"ids": [task_id]})
        replies = control.ask([Question(query, workers)], self._answer_seconds)
        silent = sorted(set(workers) - replies.workers())
        for (worker, _), raw in replies.answers.items():
            if found := (read(raw, _Found) or {}).get(task_id):
                state, info = found
                return TaskAnswer(task_id, STATES.get(state, "unknown"), worker, info.name, silent)
        return self._revoked(control, task_id, sorted(replies.workers())) or TaskAnswer(
            task_id, "unknown", silent=silent
        )

    def _revoked(
        self, control: RemoteControl, task_id: str, workers: list[str]
    ) -> TaskAnswer | None:
        """Return where *task_id* is known as revoked, if it is: by us, or by a worker."""
        if self._standing.is_revoked(task_id):
            return TaskAnswer(task_id, "revoked")
        replies = control.ask([Question(Command("revoked"), workers)], self._answer_seconds)
        for (worker, _), raw in replies.answers.items():
            if task_id in (read(raw, list[str]) or ()):
                return TaskAnswer(task_id, "revoked", worker)
        return None
