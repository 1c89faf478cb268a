"""POST /tasks/batch: revoke many tasks at once, and say what of it every live worker confirms."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal, NamedTuple

import msgspec
from flask import Response

from celeriac.control import RemoteControl
from celeriac.errors import BrokerError
from celeriac.sidecar import require
from celeriac.sidecar.audit import DONE, INCOMPLETE, Deed
from celeriac.sidecar.batch_answer import Asking, describe, describe_unsent
from celeriac.sidecar.contract import Call, Role, read_body
from celeriac.sidecar.fleet import Fleet
from celeriac.sidecar.matching import Filter, find
from celeriac.sidecar.operations import Done, Operations
from celeriac.sidecar.orders import Order, keep
from celeriac.sidecar.problems import ProblemError
from celeriac.sidecar.revoking import How, commands
from celeriac.sidecar.standing import Standing
from celeriac.turns import Patience, Turns

TOTAL_SECONDS = 30.0

TaskId = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Reason = Annotated[str, msgspec.Meta(max_length=1000)]
Signal = Literal["SIGTERM", "SIGKILL", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"]


class BatchParameters(msgspec.Struct, forbid_unknown_fields=True):
    """How; ``filter`` is for ``revoke_by_filter`` only."""

    terminate: bool = False
    signal: Signal = "SIGTERM"
    reason: Reason = ""
    dry_run: bool = False
    filter: Filter | None = None


class BatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which tasks, by id or by filter."""

    operation: Literal["revoke", "revoke_by_filter"]
    task_ids: list[TaskId] = []
    parameters: BatchParameters = msgspec.field(default_factory=BatchParameters)


class Limits(NamedTuple):
    """Ids in one call, and how long a worker may take to acknowledge a chunk of them."""

    revoke: int = 10_000
    terminate: int = 1_000
    answer_seconds: float = 3.0


class Batch:
    """The handler."""

    def __init__(
        self, fleet: Fleet, operations: Operations, standing: Standing, limits: Limits
    ) -> None:
        self._fleet = fleet
        self._operations = operations
        self._standing = standing
        self._limits = limits

    def post(self, call: Call) -> msgspec.Struct | Response:
        request = read_body(call, BatchRequest)
        _check(request)
        if request.parameters.terminate:
            require(call.caller, Role.ADMIN)
        with self._fleet.control() as control:
            return self._post(call, request, control)

    def _post(
        self, call: Call, request: BatchRequest, control: RemoteControl
    ) -> msgspec.Struct | Response:
        asked = request.parameters
        try:
            asking = self._asking(request, control)
        except BrokerError as error:
            if asked.dry_run:
                raise
            # Which tasks it would have been, nobody can say; that it was wanted is recorded.
            deed, act = _deed(asked, _json(asked.filter)), partial(_fail, error)
            return self._operations.carry_out(call, deed, request, act)
        self._check_count(len(asking.task_ids), asked)
        if asked.dry_run or not asking.task_ids:
            return describe_unsent(asking, self._fleet.names(control))
        act = partial(self._revoke, asking, How(asked.terminate, asked.signal), control)
        return self._operations.carry_out(call, _deed(asked, _json(asking.task_ids)), request, act)

    def _asking(self, request: BatchRequest, control: RemoteControl) -> Asking:
        given, asked = request.task_ids, request.parameters
        if asked.filter is None:
            ids = list(dict.fromkeys(given))
            return Asking(request.operation, ids, len(given) - len(ids), dry_run=asked.dry_run)
        names = self._fleet.names(control)
        match = find(control, names, asked.filter, self._limits.answer_seconds)
        return Asking(request.operation, match.task_ids, 0, match.silent, asked.dry_run)

    def _check_count(self, count: int, asked: BatchParameters) -> None:
        most = self._limits.terminate if asked.terminate else self._limits.revoke
        if count > most:
            verb = "terminate" if asked.terminate else "revoke"
            raise ProblemError(413, f"{count} tasks, of which one call may {verb} {most}")

    def _revoke(self, asking: Asking, how: How, control: RemoteControl, operation_id: str) -> Done:
        names = self._fleet.names(control)
        asked = [life for life in self._fleet.lives().items() if life[0] in names]
        order = Order(operation_id, asking.task_ids, how, self._standing.until())
        patience = Patience(self._limits.answer_seconds, TOTAL_SECONDS)
        turns = Turns(commands(asking.task_ids, how), names, patience)
        self._standing.add(order, asked)
        try:
            _converse(control, turns)
        except BaseException:
            self._standing.drop(order)
            raise
        answer = describe(operation_id, asking, turns)
        lacking = [life for life in asked if answer.workers[life[0]] == "no_reply"]
        self._standing.has_not_heard(order, lacking)
        result = INCOMPLETE if answer.failed else DONE
        return Done(answer, result, answer.summary, keep(order))


def _converse(control: RemoteControl, turns: Turns) -> None:
    try:
        control.converse(turns)
    except BrokerError:
        # What some workers have confirmed before is worth an answer.
        if not any(turns.answers.values()):
            raise


def _check(request: BatchRequest) -> None:
    """Check what belongs together. Errors: ProblemError 400."""
    wanted = request.parameters.filter
    if request.operation == "revoke":
        if wanted is not None:
            raise ProblemError(400, "parameters.filter is for revoke_by_filter")
        if not request.task_ids:
            raise ProblemError(400, "task_ids must name at least one task")
    elif request.task_ids:
        raise ProblemError(400, "revoke_by_filter takes parameters.filter instead of task_ids")
    elif wanted is None or wanted == Filter():
        raise ProblemError(400, "parameters.filter must name a task, a queue or a state")


def _deed(asked: BatchParameters, target: str) -> Deed:
    return Deed("tasks.terminate" if asked.terminate else "tasks.revoke", target, asked.reason)


def _json(target: object) -> str:
    return msgspec.json.encode(target).decode()


def _fail(error: BrokerError, _operation_id: str) -> Done:
    raise error
