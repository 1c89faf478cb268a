"""Tasks that fail, come back, are revoked, hang, or are not sent."""

from __future__ import annotations

import time

from drills.drill import Drill
from drills.scene import Scene


def fail_one_in_five(scene: Scene) -> None:
    scene.load.fails_every = 5


def fail_no_more(scene: Scene) -> None:
    scene.load.fails_every = 0


def fail_rarely(scene: Scene) -> None:
    """Run a task that always fails, too rarely for the ratio of all tasks to show it."""
    for _ in range(10):
        scene.load.send("raise_one", "ValueError")
        time.sleep(2.5)


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


FAULTS = (
    Drill(
        "one task in five fails", "CeleryErrorRateHigh", fail_one_in_five, fail_no_more,
        with_it=frozenset({"CeleryTaskErrorBudgetBurn"}), is_short=True,
    ),
    Drill("a rare task always fails", "CeleryTaskErrorBudgetBurn", fail_rarely),
    Drill("40 tasks that retry five times", "CeleryRetryStorm", retry_much),
    Drill("20 tasks that expire", "CeleryRevokeSpike", let_expire),
    Drill("a task hangs", "CeleryTaskRunsLong", hang, within_seconds=100),
    Drill("beat is stopped", "CeleryBeatEntryOverdue", stop_beat, start_beat),
)  # fmt: skip
