"""What POST /tasks/batch answers: nothing is claimed that no worker has confirmed."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from celeriac.sidecar.revoking import Reply, all_replies, chunks, replies
from celeriac.turns import Turns

MAX_NAMES = 5

Operation = Literal["revoke", "revoke_by_filter"]


class Asking(NamedTuple):
    """Which tasks, each once."""

    operation: Operation
    task_ids: Sequence[str]
    repeated: int = 0
    """Ids that were given once more."""
    silent: Sequence[str] = ()
    """Workers that did not tell which tasks they hold."""
    dry_run: bool = False


class TaskResult(msgspec.Struct):
    """What is known of one task: successful if every live worker has acknowledged."""

    task_id: str
    status: Literal["successful", "failed", "not_sent"]
    detail: str
    acknowledged_by: int


class BatchAnswer(msgspec.Struct):
    """``workers`` says what each live worker answered; ``results`` have the order of the ids."""

    operation_id: str
    operation: Operation
    total: int
    successful: int
    failed: int
    summary: str
    dry_run: bool
    workers: dict[str, Reply | Literal["not_asked"]]
    results: list[TaskResult]
    duplicates: int = 0


def describe(operation_id: str, asking: Asking, turns: Turns) -> BatchAnswer:
    """Return the answer after a chunk of ids was sent in each turn."""
    parts = list(chunks(asking.task_ids))
    results = [
        result
        for turn, chunk in enumerate(parts)
        for result in _results(chunk, replies(turns, turn))
    ]
    successful = sum(result.status == "successful" for result in results)
    workers = all_replies(turns, len(parts))
    return BatchAnswer(
        operation_id,
        asking.operation,
        total=len(results),
        successful=successful,
        failed=len(results) - successful,
        summary=_summary(len(results), successful, workers) + _remarks(asking),
        dry_run=False,
        workers=dict(workers),
        results=results,
        duplicates=asking.repeated,
    )


def describe_unsent(asking: Asking, workers: Collection[str]) -> BatchAnswer:
    """Return the answer where nothing is sent: it is a dry run, or no task matches."""
    detail = f"would be sent to {_count(len(workers), 'worker')}"
    total = len(asking.task_ids)
    said = f"{_count(total, 'task')} would be revoked" if total else "no task matches"
    return BatchAnswer(
        str(uuid.uuid4()),
        asking.operation,
        total=total,
        successful=0,
        failed=0,
        summary=f"{said}; nothing was sent{_remarks(asking)}",
        dry_run=asking.dry_run,
        workers=dict.fromkeys(workers, "not_asked"),
        results=[TaskResult(task_id, "not_sent", detail, 0) for task_id in asking.task_ids],
        duplicates=asking.repeated,
    )


def _results(task_ids: Sequence[str], said: Mapping[str, Reply]) -> Iterator[TaskResult]:
    lacking = [worker for worker, reply in said.items() if reply != "acknowledged"]
    confirming = len(said) - len(lacking)
    if not said:
        detail = "no live worker is known; one that joins is told"
    elif lacking:
        detail = f"not confirmed by {_names(lacking)}"
    else:
        detail = "acknowledged by every live worker"
    status: Literal["successful", "failed"] = "failed" if lacking or not said else "successful"
    for task_id in task_ids:
        yield TaskResult(task_id, status, detail, confirming)


def _summary(total: int, successful: int, workers: Mapping[str, Reply]) -> str:
    tasks = _count(total, "task")
    if not workers:
        return f"{tasks} not confirmed: no live worker is known; those that join are told"
    if successful == total:
        return f"{tasks} revoked, acknowledged by {_count(len(workers), 'live worker')}"
    lacking = [worker for worker, reply in workers.items() if reply != "acknowledged"]
    return f"{successful} of {tasks} revoked; the others are not confirmed by {_names(lacking)}"


def _remarks(asking: Asking) -> str:
    twice = f"; {_count(asking.repeated, 'duplicate')} counted once" if asking.repeated else ""
    silent = f"; {_names(asking.silent)} did not tell which tasks it has" if asking.silent else ""
    return twice + silent


def _names(workers: Sequence[str]) -> str:
    shown = ", ".join(workers[:MAX_NAMES])
    rest = len(workers) - MAX_NAMES
    return shown if rest <= 0 else f"{shown} and {rest} more"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
