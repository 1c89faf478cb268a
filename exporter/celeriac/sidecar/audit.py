"""Nothing happens unrecorded: an intent before every operation, an outcome after it."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Executable, exists, func, select
from sqlalchemy.exc import IntegrityError

from celeriac.sidecar.chain import RECORDS, Record, VerifyResult, append, head, verify
from celeriac.sidecar.contract import Caller
from celeriac.sidecar.database import Database, DatabaseError
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.problems import ProblemError

__all__ = ["Audit", "Deed", "VerifyResult", "verify"]

# An intent that is older has lost whoever wanted it, on another replica too.
LONGEST_OPERATION = dt.timedelta(minutes=5)
MAX_TARGET_CHARACTERS = 1_000
MAX_UNWRITTEN = 100

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
                written = append(connection, record)
        except DatabaseError as error:
            self._tell(error)
            problem = "the audit cannot be written, so nothing was done"
            raise ProblemError(503, problem) from error
        self._announce(written)

    def outcome(self, operation_id: str, result: str, detail: str, *along: Executable) -> None:
        """Record what became of it. What cannot be written now is written as soon as it can be."""
        with self._writing_outcomes:
            if len(self._outcomes) < MAX_UNWRITTEN:
                self._outcomes.append(_Outcome(operation_id, result, storable(detail), along))
            else:
                logger.error("too many outcomes cannot be written: one will be unknown")
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
                written = list(self._close_lost(connection, lost_before))
        except DatabaseError as error:
            self._tell(error)
            return
        for record in written:
            self._announce(record)

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
            written = self._close(connection, outcome)
        if written is None:
            logger.error("the intent of operation %s is gone", outcome.operation_id)
        else:
            self._announce(written)

    def _close(self, connection: Connection, outcome: _Outcome) -> Record | None:
        """Repeat who wanted what, and add what became of it."""
        intent = connection.execute(
            select(*COLUMNS).where(
                RECORDS.c.operation_id == outcome.operation_id, RECORDS.c.kind == "intent"
            )
        ).one_or_none()
        if intent is None:
            return None
        record = msgspec.structs.replace(
            Record(**intent._asdict()),
            kind="outcome",
            result=outcome.result,
            detail=outcome.detail,
            time=timestamp(self._clock()),
        )
        return append(connection, record)

    def _close_lost(self, connection: Connection, lost_before: dt.datetime) -> Iterator[Record]:
        intents = RECORDS.alias()
        is_lost = intents.c.time < timestamp(lost_before)
        is_unchecked = (intents.c.kind == "intent", intents.c.sequence > self._closed_until)
        outcome = exists().where(
            RECORDS.c.operation_id == intents.c.operation_id, RECORDS.c.kind == "outcome"
        )
        lost = select(intents.c.operation_id).where(*is_unchecked, is_lost, ~outcome)
        for operation_id in connection.execute(lost).scalars().all():
            closing = _Outcome(operation_id, UNKNOWN, "the sidecar ended before it knew")
            if written := self._close(connection, closing):
                yield written
        running = select(func.min(intents.c.sequence)).where(*is_unchecked, ~is_lost)
        last = head(connection)
        end = connection.execute(running).scalar() or (last.sequence if last else 0) + 1
        self._closed_until = end - 1

    def _announce(self, written: Record) -> None:
        self._metrics.audit_head(written.sequence)
        if written.kind == "outcome":
            self._metrics.operation(written.action, written.result)
        # A second place for the chain, out of reach of whoever can write to the database.
        logger.info("audit record %d, hash %s", written.sequence, written.hash)

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
