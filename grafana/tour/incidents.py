"""Three incidents: what breaks in the shop, and what a picture of it has to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from grafana.tour.shop import Shop

FAILING_TASK = "shop.payments.charge"
STUCK_QUEUE = "media"


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that breaks once, so long before the end of the history."""

    name: str
    minutes_before_end: int
    strike: Callable[[Shop], None]


def stop_consuming(shop: Shop) -> None:
    """A deploy starts the batch workers anew, and leaves a queue out of their command line."""
    shop.deploy("batch")
    for worker in shop.workers:
        worker.queues = tuple(queue for queue in worker.queues if queue != STUCK_QUEUE)


def release_a_bug(shop: Shop) -> None:
    """A deploy brings a task that fails three times in ten, with an exception never seen before."""
    shop.deploy("pay")
    shop.tasks = [
        replace(task, failing=0.3, exception="SignatureMismatchError")
        if task.name == FAILING_TASK
        else task
        for task in shop.tasks
    ]


def lose_half(shop: Shop) -> None:
    """A host dies, and every second worker with it."""
    for worker in shop.workers[::2]:
        worker.is_up = False
        shop.lost += 1


INCIDENTS = (
    Incident("stuck-queue", 23, stop_consuming),
    Incident("failing-after-deploy", 19, release_a_bug),
    Incident("workers-lost", 17, lose_half),
)
