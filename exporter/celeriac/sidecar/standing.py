"""Revokes that still hold: they are told again to workers that join later and know of none.

A worker learns them in two ways. When it starts, it asks its neighbours which tasks are revoked
before it takes the first one; ``neighbour`` answers with ``task_ids``. Whoever does not ask, or did
not confirm in time, is found by a look every other second, and told then.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec
import sqlalchemy as sa

from celeriac.control import RemoteControl
from celeriac.errors import BrokerError, BrokerRefusedError
from celeriac.service import Periodic
from celeriac.sidecar.database import Database, DatabaseError, metadata
from celeriac.sidecar.fleet import Fleet
from celeriac.sidecar.revoking import How, commands
from celeriac.turns import Patience, Turns

logger = logging.getLogger(__name__)

# As many as a worker holds (CELERY_WORKER_REVOKES_MAX); it forgets them after three hours.
MAX_IDS = 50_000
TOLD_AGAIN_AFTER_SECONDS = 2 * 3600.0
# A look takes another second.
BUSY_SECONDS, IDLE_SECONDS, REFUSED_SECONDS = 0.5, 10.0, 15.0
PATIENCE = Patience(answer_seconds=5.0, total_seconds=60.0)

ORDERS = sa.Table(
    "standing_orders",
    metadata,
    sa.Column("operation_id", sa.String(64), primary_key=True),
    sa.Column("task_ids", sa.LargeBinary, nullable=False),
    sa.Column("terminate", sa.Boolean, nullable=False),
    sa.Column("signal", sa.String(16), nullable=False),
    sa.Column("until", sa.Float, nullable=False),
)

Life: TypeAlias = tuple[str, int]
"""A worker and the number of its life, see ``Fleet.lives``."""


class Order(NamedTuple):
    """One revoke that holds until a time, in seconds since the epoch."""

    operation_id: str
    task_ids: Sequence[str]
    how: How
    until: float


class Standing(Periodic):
    """Looks for newcomers between start and stop. Takes any number of threads."""

    def __init__(
        self, database: Database, fleet: Fleet, control: RemoteControl, memory_seconds: float
    ) -> None:
        super().__init__("standing orders", IDLE_SECONDS, self.tell_once)
        self._database = database
        self._fleet = fleet
        self._control = control
        self._memory_seconds = memory_seconds
        self._lock = threading.Lock()
        self._orders: dict[str, Order] = {}
        self._seen: set[str] = set()
        # When each life of a worker was told each order.
        self._told: dict[Life, dict[str, float]] = {}

    def add(self, order: Order, told: Collection[Life]) -> None:
        """Begin to tell *order* to all but those who are being *told* by somebody else."""
        with self._lock:
            self._take(order)
            self._note([order], told)
        self.poke()

    def has_not_heard(self, order: Order, lives: Collection[Life]) -> None:
        """Tell *order* to these, who did not confirm it."""
        with self._lock:
            for life in lives:
                self._told.get(life, {}).pop(order.operation_id, None)

    def until(self) -> float:
        """Return how long an order holds that is given now."""
        return time.time() + self._memory_seconds

    def drop(self, order: Order) -> None:
        """Forget an order that was not carried out."""
        with self._lock:
            self._orders.pop(order.operation_id, None)

    def keep(self, order: Order) -> tuple[sa.Executable, ...]:
        """Return what makes *order* outlive this process and removes those that have ended."""
        return (
            sa.delete(ORDERS).where(ORDERS.c.until < time.time()),
            sa.insert(ORDERS).values(
                operation_id=order.operation_id,
                task_ids=msgspec.json.encode(order.task_ids),
                until=order.until,
                **order.how._asdict(),
            ),
        )

    def task_ids(self) -> list[str]:
        """Return every id that is revoked, at most MAX_IDS; the newest ones are the last."""
        with self._lock:
            orders = sorted(self._in_force().values(), key=lambda order: order.until)
        return list(dict.fromkeys(task_id for order in orders for task_id in order.task_ids))

    def tell_once(self) -> float:
        """Tell whoever is there and does not know; return in how many seconds to look again."""
        self._load()
        try:
            self._tell(self._fleet.look(self._control, is_thorough=True).items())
        except BrokerError as error:
            if not self.stopping.is_set():
                logger.warning("workers that join are not told of revoked tasks: %s", error)
            if isinstance(error, BrokerRefusedError):
                return REFUSED_SECONDS
        return BUSY_SECONDS if self._orders else IDLE_SECONDS

    def stop(self) -> None:
        super().stop()
        self._control.close()

    def _tell(self, lives: Collection[Life]) -> None:
        groups: dict[tuple[str, ...], list[Life]] = defaultdict(list)
        with self._lock:
            orders = dict(self._in_force())
            self._forget_lives(dict(lives))
            for life in lives:
                groups[self._untold(life)].append(life)
        for due, newcomers in groups.items():
            if due:
                self._tell_together([orders[each] for each in due], newcomers)

    def _tell_together(self, orders: Sequence[Order], newcomers: Sequence[Life]) -> None:
        by_how: dict[How, dict[str, None]] = defaultdict(dict)
        for order in orders:
            by_how[order.how].update(dict.fromkeys(order.task_ids))
        told = [each for how, ids in by_how.items() for each in commands(list(ids), how)]
        turns = Turns(told, [worker for worker, _ in newcomers], PATIENCE)
        self._control.converse(turns)
        knowing = [life for life in newcomers if len(turns.answers[life[0]]) == len(told)]
        with self._lock:
            self._note(orders, knowing)
        logger.info("told %d workers of %d earlier operations", len(knowing), len(orders))

    def _note(self, orders: Iterable[Order], lives: Iterable[Life]) -> None:
        told = {order.operation_id: time.monotonic() for order in orders}
        for life in lives:
            self._told.setdefault(life, {}).update(told)

    def _untold(self, life: Life) -> tuple[str, ...]:
        told, old = self._told.get(life, {}), time.monotonic() - TOLD_AGAIN_AFTER_SECONDS
        return tuple(each for each in self._orders if told.get(each, -math.inf) < old)

    def _forget_lives(self, current: dict[str, int]) -> None:
        """Forget lives that another one followed, and those of workers long gone."""
        old = time.monotonic() - TOLD_AGAIN_AFTER_SECONDS
        self._told = {
            (worker, number): told
            for (worker, number), told in self._told.items()
            if current.get(worker, number) == number and max(told.values(), default=0) > old
        }

    def _in_force(self) -> dict[str, Order]:
        now = time.time()
        self._orders = {each: order for each, order in self._orders.items() if order.until > now}
        return self._orders

    def _take(self, order: Order) -> None:
        self._seen.add(order.operation_id)
        self._orders[order.operation_id] = order
        while sum(len(each.task_ids) for each in self._orders.values()) > MAX_IDS:
            oldest = min(self._orders.values(), key=lambda each: each.until)
            del self._orders[oldest.operation_id]

    def _load(self) -> None:
        """Take what was remembered before this process began, or by another replica."""
        in_force = sa.select(ORDERS).where(ORDERS.c.until > time.time()).order_by(ORDERS.c.until)
        try:
            with self._database.read() as connection:
                names = in_force.with_only_columns(ORDERS.c.operation_id)
                found = set(connection.execute(names).scalars())
                new = in_force.where(ORDERS.c.operation_id.in_(found - self._seen))
                rows = connection.execute(new).all() if found - self._seen else ()
        except DatabaseError as error:
            logger.debug("standing orders: %s", error)
            return
        with self._lock:
            self._seen &= found
            for row in rows:
                self._take(_order(row))


def _order(row: sa.Row[Any]) -> Order:
    task_ids = msgspec.json.decode(row.task_ids, type=list[str])
    return Order(row.operation_id, task_ids, How(row.terminate, row.signal), row.until)
