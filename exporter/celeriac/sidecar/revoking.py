"""Revoke by the chunk: the commands, and who has acknowledged which of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from celeriac.control import Command
from celeriac.sidecar.worker_answers import is_ok
from celeriac.turns import Turns

# A worker looks up each id in the result backend, in the loop that sends its heartbeats.
IDS_AT_ONCE = 200

Reply = Literal["acknowledged", "no_reply", "refused"]


class How(NamedTuple):
    """Whether a task that runs already is ended as well, and by which signal."""

    terminate: bool = False
    signal: str = "SIGTERM"


def chunks(task_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield *task_ids* in as many as a worker takes at once."""
    for start in range(0, len(task_ids), IDS_AT_ONCE):
        yield task_ids[start : start + IDS_AT_ONCE]


def commands(task_ids: Sequence[str], how: How) -> list[Command]:
    """Return a command for each chunk."""
    flags = how._asdict() if how.terminate else {}
    return [Command("revoke", {"task_id": list(chunk)} | flags) for chunk in chunks(task_ids)]


def replies(turns: Turns, turn: int) -> dict[str, Reply]:
    """Return what every worker has said to the command of one turn."""
    return {worker: _reply(turns, worker, turn) for worker in turns.answers}


def all_replies(turns: Turns, count: int) -> dict[str, Reply]:
    """Return the worst that each worker has said to *count* commands."""
    severity = ("acknowledged", "refused", "no_reply").index
    by_turn = [replies(turns, turn) for turn in range(count)]
    return {
        worker: max((said[worker] for said in by_turn), key=severity) for worker in turns.answers
    }


def _reply(turns: Turns, worker: str, turn: int) -> Reply:
    said = turns.answers[worker]
    # One of two that share a name has answered: which one, nobody can tell.
    if turn >= len(said) or worker in turns.namesakes:
        return "no_reply"
    return "acknowledged" if is_ok(said[turn]) else "refused"
