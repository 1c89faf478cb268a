"""The definition of a workload: which task, of which kind, goes to which queue."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

EXCEPTIONS = ("ValueError", "KeyError", "OutOfStockError")
MAX_RETRIES = 2
# Parts of a hundred; what rounding leaves over succeeds.
SHARES = {
    "fail": 15,
    "retry": 6,
    "revoke": 5,
    "terminate": 1,
    "expire": 5,
    "reject": 5,
    "later": 8,
}


@dataclass(frozen=True)
class Post:
    """One worker of the fleet; no queue has two, so that each task's worker is known."""

    name: str
    pool: str
    queues: tuple[str, ...]


POSTS = (
    Post("prefork", "prefork", ("celery", "mail")),
    Post("threads", "threads", ("reports",)),
    Post("solo", "solo", ("exports",)),
)


@dataclass(frozen=True)
class Order:
    """One task to publish. ``exception`` belongs to kind fail, ``retries`` to kind retry."""

    task_id: str
    kind: str
    queue: str
    worker: str
    exception: str = ""
    retries: int = 0

    @property
    def task(self) -> str:
        return f"workload.{self.kind}"

    @property
    def endings(self) -> int:
        """How often the journal will say that the task ended or was revoked."""
        return 1 + self.retries


def plan_orders(total: int, seed: int, posts: Sequence[Post] = POSTS) -> list[Order]:
    """Return ``total`` orders of every kind in random order, the same for the same seed."""
    dice = random.Random(seed)
    kinds = [kind for kind, share in SHARES.items() for _ in range(max(1, total * share // 100))]
    kinds += ["succeed"] * (total - len(kinds))
    dice.shuffle(kinds)
    return [_order(kind, dice, posts) for kind in kinds]


def _order(kind: str, dice: random.Random, posts: Sequence[Post]) -> Order:
    # Threads and the solo pool cannot end a task that runs: terminate_job is not implemented.
    able = [post for post in posts if kind != "terminate" or post.pool == "prefork"]
    post, queue = dice.choice([(post, queue) for post in able for queue in post.queues])
    return Order(
        task_id=str(uuid.UUID(int=dice.getrandbits(128), version=4)),
        kind=kind,
        queue=queue,
        worker=f"{post.name}@localhost",
        exception=dice.choice(EXCEPTIONS) if kind == "fail" else "",
        retries=dice.randint(1, MAX_RETRIES) if kind == "retry" else 0,
    )
