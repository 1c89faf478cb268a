"""The chain of audit records: what each one says, how it is tied to the one before, is it whole?

A record's hash covers all of its fields and the hash of the record before it. The last record is
named a second time, as the head, so that the chain cannot lose its end unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal, NamedTuple

import msgspec
import sqlalchemy as sa

from celeriac.sidecar.database import Database, metadata

NOTHING_BEFORE = "0" * 64
ROWS_AT_ONCE = 1000

Kind = Literal["intent", "outcome"]


class Record(msgspec.Struct, frozen=True):
    """One record, in the order of its columns."""

    sequence: int
    operation_id: str
    kind: Kind
    action: str
    actor: str
    role: str
    address: str
    target: str
    reason: str
    result: str
    detail: str
    time: str
    previous_hash: str
    hash: str = ""


LONG = {"target", "reason", "detail"}
RECORDS = sa.Table(
    "audit_records",
    metadata,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    *(
        sa.Column(name, sa.Text() if name in LONG else sa.String(255), nullable=False)
        for name in Record.__struct_fields__[1:]
    ),
    # Nobody closes an operation twice.
    sa.UniqueConstraint("operation_id", "kind"),
)
HEADS = sa.Table(
    "audit_heads",
    metadata,
    sa.Column("name", sa.String(20), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
HEAD = "audit"


class Head(NamedTuple):
    """The last record, as the second place names it."""

    sequence: int
    hash: str


class VerifyResult(NamedTuple):
    """How many records were read, and the first that is not what it was; None if all are."""

    records: int
    first_bad: int | None = None
    reason: str = ""


def digest(record: Record) -> str:
    """Return the hash of everything that *record* says beside its own hash."""
    said = msgspec.structs.asdict(record)
    del said["hash"]
    # Who tampers may leave anything in a column.
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def head(connection: sa.Connection) -> Head | None:
    """Return which record is the last one; None before the first."""
    row = connection.execute(sa.select(HEADS.c.sequence, HEADS.c.hash)).first()
    return Head(*row) if row else None


def append(connection: sa.Connection, record: Record) -> Record:
    """Add *record* behind the last one, whatever place it names itself, in this transaction."""
    last = head(connection)
    place = last or Head(0, NOTHING_BEFORE)
    tied = msgspec.structs.replace(
        record, sequence=place.sequence + 1, previous_hash=place.hash, hash=""
    )
    tied = msgspec.structs.replace(tied, hash=digest(tied))
    connection.execute(sa.insert(RECORDS).values(**msgspec.structs.asdict(tied)))
    new_head = {"sequence": tied.sequence, "hash": tied.hash}
    connection.execute(
        sa.update(HEADS).values(**new_head)
        if last
        else sa.insert(HEADS).values(name=HEAD, **new_head)
    )
    return tied


def verify(database_url: str) -> VerifyResult:
    """Read all records and find the first that was altered or is missing. Errors: DatabaseError."""
    database = Database(database_url)
    try:
        with database.read(makes_tables=False) as connection:
            return _verified(connection)
    finally:
        database.close()


def _verified(connection: sa.Connection) -> VerifyResult:
    last = head(connection)
    before = Head(0, NOTHING_BEFORE)
    rows = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(
        sa.select(RECORDS).order_by(RECORDS.c.sequence)
    )
    for count, row in enumerate(rows, 1):
        if problem := _problem(row, before):
            return VerifyResult(count, before.sequence + 1, problem)
        before = Head(row.sequence, row.hash)
    if last is None and before.sequence == 0:
        return VerifyResult(0)
    if last is None or last.sequence < before.sequence:
        return VerifyResult(before.sequence, before.sequence, "the head does not know this record")
    if last.sequence > before.sequence:
        return VerifyResult(before.sequence, before.sequence + 1, "missing at the end")
    if last.hash != before.hash:
        return VerifyResult(before.sequence, before.sequence, "the head has another hash")
    return VerifyResult(before.sequence)


def _problem(row: sa.Row[Any], before: Head) -> str:
    """Return what is wrong with the record that follows *before*; nothing if nothing is."""
    record = Record(**row._asdict())
    if record.sequence != before.sequence + 1:
        return "missing, or another stands in its place"
    if record.previous_hash != before.hash:
        return "not tied to the record before it"
    return "" if digest(record) == record.hash else "altered"
