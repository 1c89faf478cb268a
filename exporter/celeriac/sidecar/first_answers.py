"""``Idempotency-Key``: whoever repeats a request under its key gets the first answer again."""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from flask import Response

from celeriac.sidecar.chain import RECORDS
from celeriac.sidecar.contract import Call
from celeriac.sidecar.database import Database, DatabaseError, metadata
from celeriac.sidecar.problems import ProblemError

HEADER = "Idempotency-Key"
KEPT_SECONDS = 86_400.0

ANSWERS = sa.Table(
    "first_answers",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("request", sa.String(64), nullable=False),
    sa.Column("operation_id", sa.String(64), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False, index=True),
    sa.Column("answer", sa.LargeBinary),
)
_KEY = re.compile(r"[!-~]{1,255}")


class Key(NamedTuple):
    """One subject's key, and what was asked under it, as hashes."""

    name: str
    request: str

    def claim(self, operation_id: str) -> tuple[sa.Executable, ...]:
        """Return what fails with IntegrityError if the key was used in the last 24 hours."""
        now = time.time()
        return (
            sa.delete(ANSWERS).where(ANSWERS.c.created_at < now - KEPT_SECONDS),
            sa.insert(ANSWERS).values(
                key=self.name, request=self.request, operation_id=operation_id, created_at=now
            ),
        )

    def keep(self, answer: msgspec.Struct) -> sa.Executable:
        """Return what keeps the answer."""
        kept = sa.update(ANSWERS).values(answer=msgspec.json.encode(answer))
        return kept.where(ANSWERS.c.key == self.name)

    def give_up(self) -> sa.Executable:
        """Return what makes the key free again: nothing was done."""
        return sa.delete(ANSWERS).where(ANSWERS.c.key == self.name)


def key_of(call: Call, body: msgspec.Struct | None) -> Key | None:
    """Return the request's key, None if it has none. Errors: ProblemError 400."""
    text = call.request.headers.get(HEADER)
    if text is None:
        return None
    if not _KEY.fullmatch(text):
        raise ProblemError(400, f"{HEADER} must be 1 to 255 visible ASCII characters")
    asked = [call.request.method, call.request.full_path, msgspec.to_builtins(body)]
    return Key(_hash([call.caller.subject, text]), _hash(asked))


def first_answer(database: Database, key: Key) -> Response:
    """Return the answer to the first request under *key*. Errors: ProblemError 409, 503."""
    ended = sa.select(RECORDS.c.kind).where(
        RECORDS.c.operation_id == ANSWERS.c.operation_id, RECORDS.c.kind == "outcome"
    )
    query = sa.select(ANSWERS, ended.scalar_subquery().label("ended")).where(
        ANSWERS.c.key == key.name
    )
    try:
        with database.read() as connection:
            row = connection.execute(query).first()
    except DatabaseError as error:
        raise ProblemError(503, "the database cannot be read, so nothing was done") from error
    if row is None:
        raise ProblemError(409, "the first request under this key has just failed; try again")
    if row.request != key.request:
        raise ProblemError(409, f"this {HEADER} was used for another request")
    if row.answer is not None:
        return Response(row.answer, content_type="application/json")
    if row.ended is None:
        raise ProblemError(409, "the first request under this key still runs")
    raise ProblemError(409, f"how it ended is not known; see the audit of {row.operation_id}")


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
