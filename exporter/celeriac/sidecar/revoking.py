"""Revoke by the chunk: the commands, and who has acknowledged which of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import msgspec

from celeriac.control import Command
from celeriac.turns import Turns

# A worker looks up each id in the result backend, in the loop that sends its heartbeats.
IDS_AT_ONCE = 200

Reply = Literal["acknowledged", "no_reply", "refused"]


class How(NamedTuple):
    """Whether a task that runs already is ended as well, and by which signal."""

    terminate: bool = False
    signal: str = "SIGTERM"


class Answer(msgspec.Struct, gc=False):
    """What a worker says to a control command: one of the two."""

    ok: Any = None
    error: Any = None


_decode_answer = msgspec.json.Decoder(Answer).decode


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


def is_ok(answer: msgspec.Raw) -> bool:
    """Return whether a worker says that it did what it was told."""
    said = read_answer(answer)
    return said is not None and said.error is None


def read_answer(answer: msgspec.Raw) -> Answer | None:
    """Return a worker's answer, None if it is no such thing."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _decode_answer(answer)
    return None


def _reply(turns: Turns, worker: str, turn: int) -> Reply:
    said = turns.answers[worker]
    # One of two that share a name has answered: which one, nobody can tell.
    if turn >= len(said) or worker in turns.namesakes:
        return "no_reply"
    return "acknowledged" if is_ok(said[turn]) else "refused"
