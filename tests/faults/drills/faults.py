"""What is broken in each drill, what must be told, and how it is repaired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drills.scene import Scene

Act = Callable[[Scene], object]


@dataclass(frozen=True)
class Drill:
    """One fault. ``tells`` is the alert that has to arrive; ``holds_back`` are those that must not.

    ``with_it`` may arrive too, because it is another thing that people have to know of.
    """

    fault: str
    tells: str
    cause: Act
    repair: Act
    holds_back: frozenset[str] = frozenset()
    with_it: frozenset[str] = frozenset()
    within_seconds: float = 30.0
    is_short: bool = False


def kill_broker(scene: Scene) -> None:
    scene.broker.child.kill()


def restart_broker(scene: Scene) -> None:
    scene.broker.restart()


def stop_workers(scene: Scene) -> None:
    for worker in scene.workers:
        worker.child.terminate()


def start_workers(scene: Scene) -> None:
    for worker in scene.workers:
        if not worker.child.is_running:
            scene.start_again(worker)


def kill_exporter(scene: Scene) -> None:
    scene.exporter.child.kill()


def start_exporter(scene: Scene) -> None:
    scene.exporter.start()


def park(scene: Scene) -> None:
    for _ in range(3):
        scene.load.send("succeed", queue="parked")


def fail_one_in_five(scene: Scene) -> None:
    scene.load.fails_every = 5


def fail_no_more(scene: Scene) -> None:
    scene.load.fails_every = 0


def kill_worker(scene: Scene) -> None:
    scene.two.child.kill()


def stop_worker(scene: Scene) -> None:
    scene.two.child.terminate()


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


def publish_slow(scene: Scene) -> None:
    for _ in range(150):
        scene.load.send("sleep", 1, queue="slow")


def purge_slow(scene: Scene) -> None:
    scene.purge("slow")


def retry_much(scene: Scene) -> None:
    for _ in range(40):
        scene.load.send("retry", 5)


def let_expire(scene: Scene) -> None:
    for _ in range(20):
        scene.load.send("succeed", expires=0.001)


def hang(scene: Scene) -> None:
    scene.load.send("sleep", 75)


def stop_beat(scene: Scene) -> None:
    scene.beat.child.terminate()


def start_beat(scene: Scene) -> None:
    scene.beat.start()


def add_mute_worker(scene: Scene) -> None:
    # Celery 5.7 cannot switch off the events of a worker that was started with -E.
    scene.add_mute_worker()


def stop_mute_worker(scene: Scene) -> None:
    scene.mute.child.terminate()


def raise_seven_kinds(scene: Scene) -> None:
    for number in range(7):
        scene.load.send("raise_one", f"Error{number}")


def restart_workers_in_turn(scene: Scene) -> None:
    for worker in scene.workers:
        worker.child.terminate()
        scene.start_again(worker)
        # A start takes seconds, which are minutes here: two without a break would be too many.
        scene.settle()


def deploy_exporter(scene: Scene) -> None:
    scene.exporter.child.terminate()
    scene.exporter.start()


def grow_and_shrink(scene: Scene) -> None:
    control = scene.load.app.control
    control.pool_grow(4)
    scene.exporter.wait_for_value("celery_worker_pool_processes", 6, worker=scene.one.node)
    control.pool_shrink(4)


HEALTHY_CHANGES: tuple[Act, ...] = (restart_workers_in_turn, deploy_exporter, grow_and_shrink)


def nothing(_: Scene) -> None:
    """It passes by itself."""


DRILLS = (
    Drill(
        "the broker is killed", "CeleryBrokerDown", kill_broker, restart_broker,
        holds_back=frozenset({"CeleryExporterSourceStale"}), is_short=True,
    ),
    Drill(
        "all workers are stopped", "CeleryNoActiveWorkers", stop_workers, start_workers,
        holds_back=frozenset({"CeleryQueueWithoutConsumers"}), is_short=True,
    ),
    Drill(
        "the exporter is killed", "CeleryExporterDown", kill_exporter, start_exporter,
        is_short=True,
    ),
    Drill(
        "three messages to a queue that nobody consumes", "CeleryQueueWithoutConsumers",
        park, lambda scene: scene.purge("parked"),
        holds_back=frozenset({"CeleryQueueWaitLong"}),
    ),
    Drill(
        "one task in five fails", "CeleryErrorRateHigh", fail_one_in_five, fail_no_more,
        with_it=frozenset({"CeleryTaskErrorBudgetBurn"}), is_short=True,
    ),
    Drill(
        "a worker is killed", "CeleryWorkerLost", kill_worker, start_workers,
        with_it=frozenset({"CeleryWorkersBelowExpected"}),
    ),
    Drill(
        "one of two workers is stopped", "CeleryWorkersBelowExpected", stop_worker, start_workers,
    ),
    Drill(
        "the only worker of a queue hangs in all slots", "CeleryQueueStuck",
        fill_one_worker, nothing, holds_back=frozenset({"CeleryQueueWaitLong"}),
        with_it=frozenset({"CeleryQueueWaitLong", "CeleryPrefetchHoarding"}),
        within_seconds=45,
    ),
    Drill(
        "300 messages at once", "CeleryBacklogHigh", publish_much, purge_slow,
        with_it=frozenset({"CeleryQueueWaitLong", "CeleryQueueDrainSlow"}),
    ),
    Drill(
        "150 messages of a second each", "CeleryQueueDrainSlow", publish_slow, purge_slow,
        with_it=frozenset(
            {"CeleryBacklogHigh", "CeleryQueueWaitLong", "CeleryPrefetchHoarding"}
        ),
        within_seconds=45,
    ),
    Drill("40 tasks that retry five times", "CeleryRetryStorm", retry_much, nothing),
    Drill("20 tasks that expire", "CeleryRevokeSpike", let_expire, nothing),
    Drill("a task hangs", "CeleryTaskRunsLong", hang, nothing, within_seconds=100),
    Drill("beat is stopped", "CeleryBeatEntryOverdue", stop_beat, start_beat),
    Drill(
        "a worker that sends no task events", "CeleryTaskEventsOff",
        add_mute_worker, stop_mute_worker, within_seconds=60,
    ),
    Drill(
        "seven kinds of exceptions, where five are admitted", "CeleryLabelOverflow",
        raise_seven_kinds, nothing,
        with_it=frozenset({"CeleryErrorRateHigh", "CeleryTaskErrorBudgetBurn"}),
    ),
)  # fmt: skip
