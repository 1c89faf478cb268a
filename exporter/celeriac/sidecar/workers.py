"""POST /workers/{worker}/control: what may be told to a worker, and what it said to it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from flask import Response

from celeriac.control import Command, Question, RemoteControl
from celeriac.sidecar.audit import DONE, INCOMPLETE, Deed
from celeriac.sidecar.contract import (
    MAX_DETAIL_CHARACTERS,
    Call,
    read_body,
)
from celeriac.sidecar.fleet import Fleet
from celeriac.sidecar.operations import Done, Operations
from celeriac.sidecar.problems import ProblemError
from celeriac.sidecar.revoking import Reply
from celeriac.sidecar.worker_answers import Answer, is_ok, read

EVERY_WORKER = "*"
PING = Command("ping")
PING_SECONDS = 0.5
STOPPED = msgspec.Raw(b'{"ok":"it has stopped"}')
_PLAIN = re.compile(r"[\w .,:=/'-]{1,200}")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Processes = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400 * 365)]


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """No arguments."""


class Size(msgspec.Struct, forbid_unknown_fields=True):
    """By how many processes or threads."""

    n: Processes = 1


class Range(msgspec.Struct, forbid_unknown_fields=True):
    """Between how many processes, for a worker that was started with --autoscale."""

    max: Processes
    min: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0


class Consume(msgspec.Struct, forbid_unknown_fields=True):
    """A queue, which is made if it is not there."""

    queue: Name
    exchange: Name | None = None
    exchange_type: Literal["direct", "topic", "fanout", "headers"] | None = None
    routing_key: Name | None = None


class QueueName(msgspec.Struct, forbid_unknown_fields=True):
    """A queue by its name."""

    queue: Name


class Rate(msgspec.Struct, forbid_unknown_fields=True):
    """Such as 10/s, 100/m or 5/h; 0 is none."""

    task_name: Name
    rate_limit: Annotated[str, msgspec.Meta(pattern=r"^\d+(\.\d+)?(/[smh])?$")]


class TimeLimit(msgspec.Struct, forbid_unknown_fields=True):
    """In seconds; what is not given has no limit."""

    task_name: Name
    soft: Seconds | None = None
    hard: Seconds | None = None


class Row(NamedTuple):
    """A command: its arguments, and whether it makes sense to tell it to every worker."""

    arguments: type[msgspec.Struct]
    is_for_every_worker: bool = True


# THE table of commands, by their names in celery.worker.control.
COMMANDS: Mapping[str, Row] = {
    "pool_grow": Row(Size),
    "pool_shrink": Row(Size),
    "autoscale": Row(Range),
    "add_consumer": Row(Consume),
    "cancel_consumer": Row(QueueName),
    "rate_limit": Row(Rate),
    "time_limit": Row(TimeLimit),
    "enable_events": Row(Nothing),
    "disable_events": Row(Nothing),
    "pool_restart": Row(Nothing, is_for_every_worker=False),
    "shutdown": Row(Nothing, is_for_every_worker=False),
}
CommandName = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(COMMANDS)})]


class ControlRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A command of the table, and why."""

    command: CommandName
    arguments: dict[str, Any] = {}
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class ControlAnswer(msgspec.Struct):
    """What each worker has answered, and in which words."""

    operation_id: str
    command: CommandName
    total: int
    successful: int
    failed: int
    summary: str
    workers: dict[str, Reply]
    details: dict[str, str]


class Workers:
    """The handler."""

    def __init__(self, fleet: Fleet, operations: Operations, answer_seconds: float) -> None:
        self._fleet = fleet
        self._operations = operations
        self._answer_seconds = answer_seconds

    def post(self, call: Call) -> msgspec.Struct | Response:
        request, worker = read_body(call, ControlRequest), call.parameters["worker"]
        command = _command(request, worker)
        target = msgspec.json.encode({"worker": worker, "arguments": command.arguments}).decode()
        deed = Deed(f"workers.{command.method}", target, request.reason)
        with self._fleet.control() as control:
            act = partial(self._tell, control, command, worker)
            return self._operations.carry_out(call, deed, request, act)

    def _tell(self, control: RemoteControl, command: Command, worker: str, operation: str) -> Done:
        names = self._fleet.names(control)
        asked = names if worker == EVERY_WORKER else [worker]
        if command.method == "shutdown":
            said = self._shut_down(control, command, worker)
        else:
            replies = control.ask([Question(command, asked)], self._answer_seconds)
            said = {name: replies.answers.get((name, command.method)) for name in asked}
        if worker not in {EVERY_WORKER, *names} and said[worker] is None:
            raise ProblemError(404, "no live worker has this name")
        return _done(operation, command.method, said)

    def _shut_down(
        self, control: RemoteControl, command: Command, worker: str
    ) -> dict[str, msgspec.Raw | None]:
        """A worker that stops answers nothing any more, which is what there is to confirm."""
        asked = [Question(PING, [worker])]
        was_there = bool(control.ask(asked, self._answer_seconds).answers)
        control.tell(command, [worker])
        ends_mono = time.monotonic() + self._answer_seconds
        while was_there and control.ask(asked, PING_SECONDS).answers:
            if time.monotonic() > ends_mono:
                return {worker: None}
        self._fleet.forget(worker)
        return {worker: STOPPED if was_there else None}


def _command(request: ControlRequest, worker: str) -> Command:
    """Return what is to be sent. Errors: ProblemError 400."""
    row = COMMANDS.get(request.command)
    if row is None:
        raise ProblemError(400, f"command must be one of {', '.join(COMMANDS)}")
    if worker == EVERY_WORKER and not row.is_for_every_worker:
        raise ProblemError(400, f"{request.command} is for one worker at a time")
    try:
        arguments = msgspec.convert(request.arguments, row.arguments)
    except msgspec.ValidationError as error:
        raise ProblemError(400, f"arguments: {error}"[:MAX_DETAIL_CHARACTERS]) from None
    given = msgspec.structs.asdict(arguments)
    return Command(request.command, {n: value for n, value in given.items() if value is not None})


def _done(operation_id: str, command: str, said: Mapping[str, msgspec.Raw | None]) -> Done:
    workers = {name: _reply(raw) for name, raw in said.items()}
    successful = sum(reply == "acknowledged" for reply in workers.values())
    failed = len(said) - successful
    answer = ControlAnswer(
        operation_id,
        command,
        total=len(said),
        successful=successful,
        failed=failed,
        summary=f"{command} was acknowledged by {successful} of {len(said)} workers",
        workers=workers,
        details={name: _words(raw) for name, raw in said.items()},
    )
    return Done(answer, DONE if said and not failed else INCOMPLETE, answer.summary)


def _reply(raw: msgspec.Raw | None) -> Reply:
    if raw is None:
        return "no_reply"
    return "acknowledged" if is_ok(raw) else "refused"


def _words(raw: msgspec.Raw | None) -> str:
    """Return the worker's own words, unless they look like an exception."""
    said = None if raw is None else read(raw, Answer)
    if said is None:
        return "no answer"
    words = said.ok if said.error is None else said.error
    if isinstance(words, str) and _PLAIN.fullmatch(words):
        return words
    return "done" if said.error is None else "refused; the worker's log says why"
