"""The broker and its workers: killed, stopped, hanging, greedy."""

from __future__ import annotations

import signal

from drills.drill import Drill
from drills.scene import Scene


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


def kill_worker(scene: Scene) -> None:
    scene.two.child.kill()


def stop_worker(scene: Scene) -> None:
    scene.two.child.terminate()


def hang_pool(scene: Scene) -> None:
    """Stop the processes that run tasks: the worker itself goes on to beat and to answer."""
    scene.two.signal_pool(signal.SIGSTOP)
    for _ in range(30):
        scene.load.send("succeed", queue="mail")


def wake_pool(scene: Scene) -> None:
    scene.two.signal_pool(signal.SIGCONT)


def hoard(scene: Scene) -> None:
    """Give one worker two long tasks with short ones behind them, and nothing to the other."""
    scene.load.pause()
    for seconds in (25, 25, *[0.1] * 6):
        scene.load.send("sleep", seconds, queue="slow")


def share_again(scene: Scene) -> None:
    scene.load.resume()


# To start and to connect again takes workers seconds, which are minutes here, and longer than what
# was down still holds others back. What they begin with has really waited as long.
TAKEN_UP_LATE = frozenset({"CeleryQueueWaitLong"})

FAULTS = (
    Drill(
        "the broker is killed", "CeleryBrokerDown", kill_broker, restart_broker,
        holds_back=frozenset({"CeleryExporterSourceStale"}), with_it=TAKEN_UP_LATE, is_short=True,
    ),
    Drill(
        "all workers are stopped", "CeleryNoActiveWorkers", stop_workers, start_workers,
        holds_back=frozenset({"CeleryQueueWithoutConsumers"}), with_it=TAKEN_UP_LATE, is_short=True,
    ),
    Drill(
        "a worker is killed", "CeleryWorkerLost", kill_worker, start_workers,
        with_it=frozenset({"CeleryWorkersBelowExpected"}),
    ),
    Drill(
        "one of two workers is stopped", "CeleryWorkersBelowExpected", stop_worker, start_workers,
    ),
    Drill(
        "a worker whose pool hangs", "CeleryWorkerStalled", hang_pool, wake_pool,
        with_it=frozenset({"CeleryQueueStuck", "CeleryQueueWaitLong"}), within_seconds=60,
    ),
    Drill(
        "one worker holds eight tasks while the other is idle", "CeleryPrefetchHoarding",
        hoard, share_again,
        with_it=frozenset({"CeleryQueueWaitLong"}), within_seconds=45,
    ),
)  # fmt: skip
