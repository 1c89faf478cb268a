"""Orders that outlive the process: which revokes hold, until when."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from celeriac.sidecar.database import Database, metadata
from celeriac.sidecar.revoking import How

# As many as a worker holds (CELERY_WORKER_REVOKES_MAX).
MAX_IDS = 50_000
ROWS_AT_ONCE = 200
# How much later than another an order can be written that ends earlier.
OVERLAP_SECONDS = 300.0

ORDERS = sa.Table(
    "standing_orders",
    metadata,
    sa.Column("operation_id", sa.String(64), primary_key=True),
    sa.Column("task_ids", sa.LargeBinary, nullable=False),
    sa.Column("terminate", sa.Boolean, nullable=False),
    sa.Column("signal", sa.String(16), nullable=False),
    sa.Column("until", sa.Float, nullable=False, index=True),
)


class Order(NamedTuple):
    """One revoke that holds until a time, in seconds since the epoch."""

    operation_id: str
    task_ids: Sequence[str]
    how: How
    until: float


def keep(order: Order) -> tuple[sa.Executable, ...]:
    """Return what makes *order* outlive this process, and removes those that have ended."""
    return (
        sa.delete(ORDERS).where(ORDERS.c.until < time.time()),
        sa.insert(ORDERS).values(
            operation_id=order.operation_id,
            task_ids=msgspec.json.encode(order.task_ids),
            until=order.until,
            **order.how._asdict(),
        ),
    )


class KeptOrders:
    """Reads what this process has not seen: of the one before it, or of another replica."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read_until = 0.0
        self._seen: set[str] = set()

    def fetch_new(self, known: Collection[str]) -> list[Order]:
        """Return the newest that hold, those that end first before others. Errors: DatabaseError.

        Those that are *known*, and those returned before, are left out.
        """
        since = max(time.time(), self._read_until - OVERLAP_SECONDS)
        with self._database.read() as connection:
            query = sa.select(ORDERS.c.operation_id, ORDERS.c.until)
            rows = connection.execute(
                query.where(ORDERS.c.until > since).order_by(ORDERS.c.until.desc())
            ).all()
            new = [row.operation_id for row in rows if row.operation_id not in self._seen]
            orders = list(_newest(connection, [each for each in new if each not in known]))
        self._seen = {row.operation_id for row in rows}
        self._read_until = max([self._read_until, *(row.until for row in rows[:1])])
        return orders[::-1]


def _newest(connection: sa.Connection, operation_ids: Sequence[str]) -> Iterator[Order]:
    """Yield orders until they have as many ids as anybody remembers."""
    count = 0
    for start in range(0, len(operation_ids), ROWS_AT_ONCE):
        some = operation_ids[start : start + ROWS_AT_ONCE]
        query = sa.select(ORDERS).where(ORDERS.c.operation_id.in_(some))
        for row in connection.execute(query.order_by(ORDERS.c.until.desc())):
            task_ids = msgspec.json.decode(row.task_ids, type=list[str])
            count += len(task_ids)
            if count > MAX_IDS:
                return
            yield Order(row.operation_id, task_ids, How(row.terminate, row.signal), row.until)
