"""Queues that nobody empties, or not fast enough."""

from __future__ import annotations

import time

from drills.drill import Drill
from drills.scene import Scene

GROWS_SECONDS = 90
GROWS_PER_SECOND = 8


def park(scene: Scene) -> None:
    for _ in range(3):
        scene.load.send("succeed", queue="parked")


def purge_parked(scene: Scene) -> None:
    scene.purge("parked")


def fill_one_worker(scene: Scene) -> None:
    """Take both slots of the only consumer of mail, and all that it may prefetch."""
    for seconds in (40, 40, *[0.1] * 8):
        scene.load.send("sleep", seconds, queue="slow")
    scene.exporter.wait_for_value("celery_worker_reserved_tasks", 8, worker=scene.two.node)
    for _ in range(3):
        scene.load.send("succeed", queue="mail")


def publish_much(scene: Scene) -> None:
    for _ in range(300):
        scene.load.send("sleep", 0.3, queue="slow")


def publish_some(scene: Scene) -> None:
    for _ in range(45):
        scene.load.send("sleep", 1, queue="slow")


def publish_slow(scene: Scene) -> None:
    for _ in range(150):
        scene.load.send("sleep", 1, queue="slow")


def publish_more_and_more(scene: Scene) -> None:
    for _ in range(GROWS_SECONDS * GROWS_PER_SECOND):
        scene.load.send("sleep", 1, queue="slow")
        time.sleep(1 / GROWS_PER_SECOND)


def purge_slow(scene: Scene) -> None:
    scene.purge("slow")


def publish_for_later(scene: Scene) -> None:
    """Let a worker hold a message for longer than Redis lets it: an hour, unless told."""
    scene.load.send("succeed", queue="mail", countdown=2 * 3600)


def give_back(scene: Scene) -> None:
    """Make the worker put back what it holds, and throw that away."""
    scene.two.child.terminate()
    scene.purge("mail")
    scene.start_again(scene.two)


FAULTS = (
    Drill(
        "three messages to a queue that nobody consumes", "CeleryQueueWithoutConsumers",
        park, purge_parked, holds_back=frozenset({"CeleryQueueWaitLong"}),
    ),
    Drill(
        "the only worker of a queue hangs in all slots", "CeleryQueueStuck", fill_one_worker,
        holds_back=frozenset({"CeleryQueueWaitLong"}),
        with_it=frozenset({"CeleryQueueWaitLong", "CeleryPrefetchHoarding"}),
        within_seconds=45,
    ),
    Drill(
        "45 messages of a second each", "CeleryQueueWaitLong", publish_some, purge_slow,
        with_it=frozenset({"CeleryPrefetchHoarding"}),
    ),
    Drill(
        "300 messages at once", "CeleryBacklogHigh", publish_much, purge_slow,
        with_it=frozenset({"CeleryQueueWaitLong", "CeleryQueueDrainSlow"}),
    ),
    Drill(
        "150 messages of a second each", "CeleryQueueDrainSlow", publish_slow, purge_slow,
        with_it=frozenset({"CeleryBacklogHigh", "CeleryQueueWaitLong", "CeleryPrefetchHoarding"}),
        within_seconds=45,
    ),
    Drill(
        "eight messages come for each two that go", "CeleryQueueGrowing",
        publish_more_and_more, purge_slow,
        with_it=frozenset({
            "CeleryBacklogHigh", "CeleryQueueDrainSlow", "CeleryQueueWaitLong",
            "CeleryPrefetchHoarding",
        }),
        within_seconds=GROWS_SECONDS,
    ),
    Drill(
        "a countdown of two hours on Redis", "CeleryRedeliveryRisk", publish_for_later, give_back,
        with_it=frozenset({"CeleryWorkersBelowExpected"}),
    ),
)  # fmt: skip
