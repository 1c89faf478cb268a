"""Nothing happens unrecorded: an intent before every operation, an outcome after it."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Executable, func, select
from sqlalchemy.exc import IntegrityError

from celeriac.sidecar.chain import RECORDS, Record, VerifyResult, append, head, verify
from celeriac.sidecar.contract import Caller
from celeriac.sidecar.database import Database, DatabaseError
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.problems import ProblemError

__all__ = ["Audit", "Deed", "VerifyResult", "verify"]

# An intent that is older has lost whoever wanted it, on another replica too.
LONGEST_OPERATION = dt.timedelta(minutes=2)
MAX_TARGET_CHARACTERS = 1_000
MAX_UNWRITTEN = 1_000

DONE, INCOMPLETE, FAILED, UNKNOWN = "done", "incomplete", "failed", "unknown"

logger = logging.getLogger(__name__)


class Deed(NamedTuple):
    """What somebody wants to do, to what, and why."""

    action: str
    target: str
    reason: str


class _Outcome(NamedTuple):
    operation_id: str
    result: str
    detail: str
    along: tuple[Executable, ...] = ()


class Audit:
    """Takes any number of threads."""

    def __init__(
        self,
        database: Database,
        metrics: SidecarMetrics,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._clock = clock
        self._began = clock()
        self._outcomes: list[_Outcome] = []
        self._writing_outcomes = threading.Lock()
        # Every intent up to this one has its outcome.
        self._closed_until = 0

    def intent(self, operation_id: str, caller: Caller, deed: Deed, *along: Executable) -> None:
        """Record what is about to be done, for good; *along* becomes true with it or not at all.

        Errors: ProblemError 503, then it must not be done; IntegrityError of *along*.
        """
        record = Record(
            0, operation_id, "intent", deed.action, storable(caller.subject),
            caller.role.name.lower(), caller.address, storable(deed.target),
            storable(deed.reason), "", "", timestamp(self._clock()), "",
        )  # fmt: skip
        try:
            with self._database.write() as connection:
                for statement in along:
                    connection.execute(statement)
                self._append(connection, record)
        except DatabaseError as error:
            self._tell(error)
            problem = "the audit cannot be written, so nothing was done"
            raise ProblemError(503, problem) from error

    def outcome(self, operation_id: str, result: str, detail: str, *along: Executable) -> None:
        """Record what became of it. What cannot be written now is written as soon as it can be."""
        with self._writing_outcomes:
            if len(self._outcomes) < MAX_UNWRITTEN:
                self._outcomes.append(_Outcome(operation_id, result, storable(detail), along))
            self._write_outcomes()

    def tend(self) -> None:
        """Write what could not be written, and close what a process that is gone left open."""
        with self._writing_outcomes:
            self._write_outcomes()
        try:
            lost_before = self._clock() - LONGEST_OPERATION
            if self._database.was_ours_alone:
                lost_before = max(lost_before, self._began)
            with self._database.write() as connection:
                self._close_lost(connection, lost_before)
        except DatabaseError as error:
            self._tell(error)

    def _write_outcomes(self) -> None:
        while self._outcomes:
            try:
                self._write(self._outcomes[0])
            except IntegrityError:
                logger.warning("an operation was closed as unknown before its outcome was written")
            except DatabaseError as error:
                self._tell(error)
                return
            del self._outcomes[0]

    def _write(self, outcome: _Outcome) -> None:
        with self._database.write() as connection:
            for statement in outcome.along:
                connection.execute(statement)
            self._close(connection, outcome)

    def _close(self, connection: Connection, outcome: _Outcome) -> None:
        """Repeat who wanted what, and add what became of it."""
        intent = connection.execute(
            select(*COLUMNS).where(
                RECORDS.c.operation_id == outcome.operation_id, RECORDS.c.kind == "intent"
            )
        ).one()
        record = msgspec.structs.replace(
            Record(**intent._asdict()),
            kind="outcome",
            result=outcome.result,
            detail=outcome.detail,
            time=timestamp(self._clock()),
        )
        self._append(connection, record)
        self._metrics.operation(record.action, record.result)

    def _close_lost(self, connection: Connection, lost_before: dt.datetime) -> None:
        is_lost = RECORDS.c.time < timestamp(lost_before)
        is_unchecked = (RECORDS.c.kind == "intent", RECORDS.c.sequence > self._closed_until)
        closed = select(RECORDS.c.operation_id).where(RECORDS.c.kind == "outcome")
        lost = select(RECORDS.c.operation_id).where(
            *is_unchecked, is_lost, RECORDS.c.operation_id.not_in(closed)
        )
        running = select(func.min(RECORDS.c.sequence)).where(*is_unchecked, ~is_lost)
        first_running = connection.execute(running).scalar()
        for operation_id in connection.execute(lost).scalars().all():
            self._close(connection, _Outcome(operation_id, UNKNOWN, "the sidecar ended before"))
        last = head(connection)
        self._closed_until = (first_running or (last.sequence if last else 0) + 1) - 1

    def _append(self, connection: Connection, record: Record) -> None:
        tied = append(connection, record)
        self._metrics.audit_head(tied.sequence)
        # A second place for the chain, out of reach of whoever can write to the database.
        logger.info("audit record %d, hash %s", tied.sequence, tied.hash)

    def _tell(self, error: DatabaseError) -> None:
        self._metrics.audit_failed()
        logger.error("audit: %s", error)


def storable(text: str) -> str:
    """Return *text* without what PostgreSQL or UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def timestamp(moment: dt.datetime) -> str:
    """Return a time in RFC 3339, UTC, so that texts sort as times do."""
    return moment.astimezone(dt.UTC).isoformat(timespec="microseconds")


def _shown(column: ColumnElement[str]) -> ColumnElement[str]:
    if column.name != "target":
        return column
    return func.substr(column, 1, MAX_TARGET_CHARACTERS).label("target")


COLUMNS = tuple(map(_shown, RECORDS.c))
"""A record's, the target shortened: that of a batch can be megabytes."""
