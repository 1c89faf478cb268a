"""GET /audit: the records, filtered, the newest first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import msgspec
from sqlalchemy import ColumnElement, select

from celeriac.sidecar.audit import COLUMNS, storable, timestamp
from celeriac.sidecar.chain import RECORDS, Record
from celeriac.sidecar.contract import Call, read_whole
from celeriac.sidecar.database import Database, DatabaseError
from celeriac.sidecar.problems import ProblemError

DEFAULT_LIMIT, MAX_LIMIT = 100, 1_000
LAST_SEQUENCE = 2**63 - 1
FILTERS = {
    "actor": "the sub of who did it",
    "action": "what was done, for instance tasks.revoke",
    "operation_id": "one operation, its target whole",
    "since": "from this time on, RFC 3339",
    "until": "before this time, RFC 3339",
    "limit": f"records in one answer, {DEFAULT_LIMIT} unless told, {MAX_LIMIT} at most",
    "cursor": "the next_cursor of the answer before",
}


class AuditAnswer(msgspec.Struct):
    """Records, the newest first; *next_cursor* leads to those before them."""

    records: list[Record]
    next_cursor: str | None


class AuditView:
    """The handler."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def show(self, call: Call) -> AuditAnswer:
        given = call.request.args
        limit = read_whole(call, "limit", DEFAULT_LIMIT, MAX_LIMIT)
        columns = RECORDS.c if "operation_id" in given else COLUMNS
        query = select(*columns).where(*_conditions(call))
        newest = query.order_by(RECORDS.c.sequence.desc()).limit(limit + 1)
        try:
            with self._database.read() as connection:
                found = [Record(**row._asdict()) for row in connection.execute(newest)]
        except DatabaseError as error:
            raise ProblemError(503, "the audit cannot be read") from error
        shown = found[:limit]
        return AuditAnswer(shown, str(shown[-1].sequence) if len(found) > limit else None)


def _conditions(call: Call) -> Iterator[ColumnElement[bool]]:
    given = call.request.args
    for name in ("actor", "action", "operation_id"):
        if name in given:
            yield RECORDS.c[name] == storable(given[name])
    if "since" in given:
        yield RECORDS.c.time >= timestamp(_time("since", given["since"]))
    if "until" in given:
        yield RECORDS.c.time < timestamp(_time("until", given["until"]))
    if "cursor" in given:
        yield RECORDS.c.sequence < read_whole(call, "cursor", 1, LAST_SEQUENCE)


def _time(name: str, text: str) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise ProblemError(400, f"{name} must be a time in RFC 3339") from None
