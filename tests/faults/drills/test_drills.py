"""A cluster is broken, and who is on call is told that, once, and when it is over.

``CELERIAC_FULL=1`` runs all drills; ``RENEW_DRILLS=1`` writes what they took to docs/drills.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from drills import faults_of_queues, faults_of_tasks, faults_of_watching, faults_of_workers
from drills.drill import Act, Drill
from drills.healthy_changes import HEALTHY_CHANGES
from drills.results import Result, Results
from drills.scene import JOB, Scene
from wire_format import IS_FULL

from bundle.rule_files import alerts
from parts.processes import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PARTS = faults_of_workers, faults_of_queues, faults_of_tasks, faults_of_watching
DRILLS = [drill for part in PARTS for drill in part.FAULTS]
WATCHDOG = "CeleryWatchdog"
WATCHDOG_SECONDS = 90.0
HELD_BACK_SECONDS = 30.0
LONGEST_WAIT_SECONDS = 20.0
RESOLVED_SECONDS = 90.0


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene() as made:
        made.settle()
        yield made


@pytest.fixture(scope="module")
def results() -> Iterator[Results]:
    made = Results()
    yield made
    made.write()


def test_every_alert_has_a_drill() -> None:
    assert {drill.tells for drill in DRILLS} == {rule.name for rule in alerts()} - {WATCHDOG}


@pytest.mark.parametrize(
    "drill", [d for d in DRILLS if d.is_short or IS_FULL], ids=lambda drill: drill.tells
)
def test_a_fault_is_told_and_nothing_else(drill: Drill, scene: Scene, results: Results) -> None:
    drill.prepare(scene)
    began = time.monotonic()
    drill.cause(scene)
    told_after = scene.wait_until_told(drill.tells, "firing", began, drill.within_seconds)
    wait_for(
        lambda: scene.alertmanager.held_back(JOB) >= drill.holds_back,
        HELD_BACK_SECONDS,
        f"{sorted(drill.holds_back)} to be held back; {scene.alerts()}",
    )
    held_back = scene.alertmanager.held_back(JOB) - {drill.tells}
    repaired = time.monotonic()
    drill.repair(scene)
    resolved_after = scene.wait_until_told(drill.tells, "resolved", repaired, RESOLVED_SECONDS)
    scene.settle()
    told = scene.told(began)
    results.add(Result(drill, told, told_after, held_back, resolved_after))
    assert drill.tells in told
    assert told - {drill.tells} <= drill.with_it


@pytest.mark.skipif(not IS_FULL, reason="CELERIAC_FULL=1 runs all drills")
@pytest.mark.parametrize("change", HEALTHY_CHANGES, ids=lambda change: change.__name__)
def test_a_healthy_change_tells_nothing(change: Act, scene: Scene) -> None:
    began = time.monotonic()
    change(scene)
    # As long as the longest wait of an alert that could follow from it.
    time.sleep(LONGEST_WAIT_SECONDS)
    scene.settle()
    assert scene.told(began) == set()


def test_the_watchdog_is_heard_while_nothing_else_is_wrong(scene: Scene) -> None:
    scene.settle()
    # Prometheus tells again after a minute what it told before it had found Alertmanager.
    wait_for(lambda: scene.listener.first(WATCHDOG), WATCHDOG_SECONDS, "the watchdog")
