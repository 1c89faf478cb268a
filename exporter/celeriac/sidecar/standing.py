"""Revokes that still hold: they are told again to workers that join later and know of none.

A worker learns them in two ways. When it starts, it asks its neighbours which tasks are revoked
before it takes the first one; ``neighbour`` answers with ``task_ids``. Whoever does not ask, or did
not confirm in time, is found by a look every other second, and told then.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import TypeAlias

from celeriac.control import RemoteControl
from celeriac.errors import BrokerError, BrokerRefusedError
from celeriac.service import Periodic
from celeriac.sidecar.database import Database, DatabaseError
from celeriac.sidecar.fleet import Fleet
from celeriac.sidecar.orders import MAX_IDS, KeptOrders, Order
from celeriac.sidecar.revoking import How, commands
from celeriac.sidecar.told import Told
from celeriac.turns import Patience, Turns

logger = logging.getLogger(__name__)

# A worker forgets after three hours (CELERY_WORKER_REVOKE_EXPIRES).
TOLD_AGAIN_AFTER_SECONDS = 2 * 3600.0
# Between looks, each of which takes another second; a thousand workers are asked less often.
BUSY_SECONDS, IDLE_SECONDS, REFUSED_SECONDS = 0.5, 10.0, 15.0
BUSY_SECONDS_PER_WORKER = 0.005
PATIENCE = Patience(answer_seconds=5.0, total_seconds=60.0)

Life: TypeAlias = tuple[str, int]
"""A worker and the number of its life, see ``Fleet.lives``."""


class Standing(Periodic):
    """Looks for newcomers between start and stop. Takes any number of threads."""

    def __init__(
        self, database: Database, fleet: Fleet, control: RemoteControl, memory_seconds: float
    ) -> None:
        super().__init__("standing orders", IDLE_SECONDS, self.tell_once)
        self._kept_orders = KeptOrders(database)
        self._fleet = fleet
        self._control = control
        self._memory_seconds = memory_seconds
        self._lock = threading.Lock()
        # Orders have numbers here, in the sequence in which they came.
        self._orders: dict[int, Order] = {}
        self._numbers: dict[str, int] = {}
        self._next_number = itertools.count(1)
        self._id_count = 0
        # There is no room for orders that end before this.
        self._full_until = 0.0
        self._told: dict[Life, Told] = {}

    def add(self, order: Order, told: Collection[Life]) -> None:
        """Begin to tell *order* to all but those who are being *told* by somebody else."""
        with self._lock:
            number = self._take(order)
            self._note([number], told)
        self.poke()

    def has_not_heard(self, order: Order, lives: Collection[Life]) -> None:
        """Tell *order* to these, who did not confirm it."""
        with self._lock:
            number = self._numbers.get(order.operation_id)
            for life in lives:
                if number and life in self._told:
                    self._told[life].forget(number)

    def until(self) -> float:
        """Return how long an order holds that is given now."""
        return time.time() + self._memory_seconds

    def drop(self, order: Order) -> None:
        """Forget an order that was not carried out."""
        with self._lock:
            if number := self._numbers.get(order.operation_id):
                self._remove(number)

    def task_ids(self) -> list[str]:
        """Return every id that is revoked, at most MAX_IDS; the newest ones are the last."""
        with self._lock:
            orders = sorted(self._in_force().values(), key=lambda order: order.until)
        return list(dict.fromkeys(task_id for order in orders for task_id in order.task_ids))

    def is_revoked(self, task_id: str) -> bool:
        """Return whether an order that holds names this task."""
        with self._lock:
            return any(task_id in order.task_ids for order in self._in_force().values())

    def tell_once(self) -> float:
        """Tell whoever is there and does not know; return in how many seconds to look again."""
        self._load()
        lives: dict[str, int] = {}
        try:
            lives = self._fleet.look(self._control, is_thorough=True)
            self._tell(lives.items())
        except BrokerError as error:
            if not self.stopping.is_set():
                logger.warning("workers that join are not told of revoked tasks: %s", error)
            if isinstance(error, BrokerRefusedError):
                return REFUSED_SECONDS
        busy_seconds = BUSY_SECONDS + len(lives) * BUSY_SECONDS_PER_WORKER
        return min(busy_seconds, IDLE_SECONDS) if self._orders else IDLE_SECONDS

    def stop(self) -> None:
        super().stop()
        self._control.close()

    def _tell(self, lives: Collection[Life]) -> None:
        groups: dict[tuple[int, ...], list[Life]] = defaultdict(list)
        with self._lock:
            orders = dict(self._in_force())
            self._forget_lives(dict(lives))
            for life in lives:
                told = self._told.get(life)
                groups[tuple(n for n in orders if told is None or told.lacks(n))].append(life)
        for due, newcomers in groups.items():
            if due:
                self._tell_together({number: orders[number] for number in due}, newcomers)

    def _tell_together(self, orders: dict[int, Order], newcomers: Sequence[Life]) -> None:
        by_how: dict[How, dict[str, None]] = defaultdict(dict)
        # The newest first: their tasks are the most likely to wait still.
        for order in reversed(orders.values()):
            by_how[order.how].update(dict.fromkeys(order.task_ids))
        told = [each for how, ids in by_how.items() for each in commands(list(ids), how)]
        turns = Turns(told, [worker for worker, _ in newcomers], PATIENCE)
        self._control.converse(turns)
        knowing = [life for life in newcomers if len(turns.answers[life[0]]) == len(told)]
        with self._lock:
            self._note(orders, knowing)
        logger.info("told %d workers of %d earlier operations", len(knowing), len(orders))

    def _note(self, numbers: Collection[int], lives: Iterable[Life]) -> None:
        now = time.monotonic()
        for life in lives:
            self._told.setdefault(life, Told(now)).note(numbers)

    def _forget_lives(self, current: dict[str, int]) -> None:
        """Forget lives that another one followed, and what is so old that workers forget it."""
        old = time.monotonic() - TOLD_AGAIN_AFTER_SECONDS
        self._told = {
            (worker, number): told
            for (worker, number), told in self._told.items()
            if current.get(worker, number) == number and told.since_mono > old
        }

    def _in_force(self) -> dict[int, Order]:
        now = time.time()
        for number in [n for n, order in self._orders.items() if order.until <= now]:
            self._remove(number)
        return self._orders

    def _take(self, order: Order) -> int:
        number = next(self._next_number)
        self._orders[number] = order
        self._numbers[order.operation_id] = number
        self._id_count += len(order.task_ids)
        while self._id_count > MAX_IDS:
            self._full_until = self._remove(next(iter(self._orders))).until
        return number

    def _remove(self, number: int) -> Order:
        order = self._orders.pop(number)
        del self._numbers[order.operation_id]
        self._id_count -= len(order.task_ids)
        return order

    def _load(self) -> None:
        """Take what was remembered before this process began, or by another replica."""
        with self._lock:
            known = set(self._numbers)
        try:
            new = self._kept_orders.fetch_new(known)
        except DatabaseError as error:
            logger.debug("standing orders: %s", error)
            return
        with self._lock:
            for order in new:
                if order.until > self._full_until:
                    self._take(order)
