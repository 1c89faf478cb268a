"""What watches is broken itself: exporter, events, rules, sidecar."""

from __future__ import annotations

import sqlite3

import httpx
from drills.drill import Drill
from drills.scene import Scene

REFUSED_LOGINS = 25
# What the exporter may ask the broker, without the length of a list.
NO_LENGTHS = ("ACL", "SETUSER", "default", "-llen")
LENGTHS = ("ACL", "SETUSER", "default", "+llen")


def kill_exporter(scene: Scene) -> None:
    scene.exporter.child.kill()


def start_exporter(scene: Scene) -> None:
    scene.exporter.start()


def add_replica(scene: Scene) -> None:
    scene.add_replica()


def kill_replica(scene: Scene) -> None:
    scene.replica.child.kill()


def scrape_one(scene: Scene) -> None:
    scene.scrape(scene.exporter)


def scrape_none(scene: Scene) -> None:
    scene.scrape()


def forbid_lengths(scene: Scene) -> None:
    with scene.broker.client() as client:
        client.execute_command(*NO_LENGTHS)


def allow_lengths(scene: Scene) -> None:
    with scene.broker.client() as client:
        client.execute_command(*LENGTHS)


def cut_subscription(scene: Scene) -> None:
    """Cut the exporter off from the events of a hundred tasks."""
    ports = scene.exporter.child.local_ports()
    with scene.broker.client() as client:
        for one in client.client_list(_type="pubsub"):
            if int(one["addr"].rpartition(":")[2]) in ports:
                client.client_kill_filter(_id=one["id"])
    for _ in range(100):
        scene.load.send("succeed")


def add_mute_worker(scene: Scene) -> None:
    # Celery 5.7 cannot switch off the events of a worker that was started with -E.
    scene.add_mute_worker()


def stop_mute_worker(scene: Scene) -> None:
    scene.mute.child.terminate()


def raise_seven_kinds(scene: Scene) -> None:
    for number in range(7):
        scene.load.send("raise_one", f"Error{number}")


def lose_thresholds(scene: Scene) -> None:
    scene.thresholds.rename(scene.thresholds.with_suffix(".lost"))
    scene.thresholds.write_text("groups: []\n")
    scene.prometheus.reload()


def find_thresholds(scene: Scene) -> None:
    scene.thresholds.with_suffix(".lost").rename(scene.thresholds)
    scene.prometheus.reload()


def guess_tokens(scene: Scene) -> None:
    for number in range(REFUSED_LOGINS):
        guess = {"Authorization": f"Bearer guess-{number}"}
        answer = httpx.get(f"{scene.sidecar.url}/monitoring/status", headers=guess)
        assert answer.status_code == 401


def lock_audit(scene: Scene) -> None:
    """Revoke a task while somebody else holds the lock on the sidecar's database."""
    held = sqlite3.connect(scene.sidecar.database_path, isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    task = {"operation": "revoke", "task_ids": ["7f1c0a52-0000-4000-8000-000000000001"]}
    answer = scene.sidecar.post("/tasks/batch", task)
    held.close()
    assert answer.status_code == 503


FAULTS = (
    Drill(
        "the exporter is killed", "CeleryExporterDown", kill_exporter, start_exporter,
        is_short=True,
    ),
    Drill(
        "one of two exporters is killed", "CeleryExporterReplicaDown", kill_replica, scrape_one,
        prepare=add_replica,
    ),
    Drill(
        "the exporter is no target any more", "CeleryExporterAbsent", scrape_none, scrape_one,
        within_seconds=45,
    ),
    Drill(
        "the broker forbids to ask for lengths", "CeleryExporterSourceStale",
        forbid_lengths, allow_lengths,
    ),
    Drill("the exporter's subscription is cut", "CeleryEventsMissed", cut_subscription),
    Drill(
        "a worker that sends no task events", "CeleryTaskEventsOff",
        add_mute_worker, stop_mute_worker, within_seconds=60,
    ),
    Drill(
        "seven kinds of exceptions, where five are admitted", "CeleryLabelOverflow",
        raise_seven_kinds,
        with_it=frozenset({"CeleryErrorRateHigh", "CeleryTaskErrorBudgetBurn"}),
    ),
    Drill(
        "the file of thresholds is not loaded", "CeleryThresholdsMissing",
        lose_thresholds, find_thresholds,
    ),
    Drill("25 logins with wrong tokens", "CelerySidecarLoginsRefused", guess_tokens),
    Drill(
        "the sidecar's database is locked", "CelerySidecarAuditFailing", lock_audit,
        within_seconds=60,
    ),
)  # fmt: skip
