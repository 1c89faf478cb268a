"""The one way to change anything: recorded before and after, done once for each key."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from flask import Response
from sqlalchemy import Executable
from sqlalchemy.exc import IntegrityError

from celeriac.errors import BrokerError
from celeriac.sidecar.audit import FAILED, UNKNOWN, Audit, Deed
from celeriac.sidecar.contract import Call
from celeriac.sidecar.database import Database
from celeriac.sidecar.first_answers import first_answer, key_of
from celeriac.sidecar.problems import ProblemError


class Done(NamedTuple):
    """The answer, what the audit says of it, and what becomes true together with its record."""

    answer: msgspec.Struct
    result: str
    detail: str
    along: tuple[Executable, ...] = ()


Act = Callable[[str], Done]
"""Does it, given the operation's id. ProblemError or BrokerError: nothing was done."""


class Operations:
    """Carries out what changes something."""

    def __init__(self, audit: Audit, database: Database) -> None:
        self._audit = audit
        self._database = database

    def carry_out(
        self, call: Call, deed: Deed, body: msgspec.Struct | None, act: Act
    ) -> msgspec.Struct | Response:
        """Do it, or return the first answer to a repeat of the same under one key.

        Errors: ProblemError 400, 409, 503, and whatever *act* raises.
        """
        operation_id, key = str(uuid.uuid4()), key_of(call, body)
        claim = key.claim(operation_id) if key else ()
        try:
            self._audit.intent(operation_id, call.caller, deed, *claim)
        except IntegrityError:
            if key is None:
                raise
            return first_answer(self._database, key)
        done = self._attempt(operation_id, act, (key.give_up(),) if key else ())
        keep = (key.keep(done.answer),) if key else ()
        self._audit.outcome(operation_id, done.result, done.detail, *done.along, *keep)
        return done.answer

    def _attempt(self, operation_id: str, act: Act, give_up: tuple[Executable, ...]) -> Done:
        try:
            return act(operation_id)
        except (ProblemError, BrokerError) as error:
            why = error.detail if isinstance(error, ProblemError) else "the broker is away"
            self._audit.outcome(operation_id, FAILED, why, *give_up)
            raise
        except BaseException:
            self._audit.outcome(operation_id, UNKNOWN, "the sidecar failed in the middle of it")
            raise
