"""What the workers answer to us beside what the sources ask: a ping, and when tasks are due."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec

from celeriac.control import Command, Question, RemoteControl
from celeriac.doctor.evidence import Due
from celeriac.errors import BrokerError

PING = Command("ping")
SCHEDULED = Command("scheduled")
PING_SECONDS = 1.5
SCHEDULED_SECONDS = 2.0


class Answers(NamedTuple):
    """Who has answered, who under another's name too, and what is due when."""

    answering: frozenset[str] = frozenset()
    namesakes: frozenset[str] = frozenset()
    due: tuple[Due, ...] = ()


class _Request(msgspec.Struct, gc=False):
    name: Annotated[str, msgspec.Meta(max_length=500)]


class _Scheduled(msgspec.Struct, gc=False):
    eta: float | str
    request: _Request


_decode_scheduled = msgspec.json.Decoder(list[_Scheduled]).decode


def ask(control: RemoteControl, now: float) -> Answers:
    """Ask everybody who listens. What cannot be asked is empty: the sources tell why."""
    try:
        replies = control.ask_everybody(PING, PING_SECONDS)
        answering = replies.workers()
        due = tuple(_due(control, answering, now)) if answering else ()
    except BrokerError:
        return Answers()
    finally:
        control.close()
    return Answers(frozenset(answering), frozenset(replies.namesakes), due)


def _due(control: RemoteControl, workers: Collection[str], now: float) -> Iterator[Due]:
    replies = control.ask([Question(SCHEDULED, workers)], SCHEDULED_SECONDS)
    for (worker, _), raw in replies.answers.items():
        try:
            tasks = _decode_scheduled(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        for task in tasks:
            at = _instant(task.eta)
            if at is not None:
                yield Due(worker, task.request.name, at - now)


def _instant(eta: float | str) -> float | None:
    """Return an ETA in seconds since the epoch; celery 5.7 sends an ISO time with its zone."""
    try:
        return eta if isinstance(eta, float) else datetime.fromisoformat(eta).timestamp()
    except ValueError:
        return None
