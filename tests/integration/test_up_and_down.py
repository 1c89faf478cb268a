"""Workers come and go: up, lost, stopped, restarted, forgotten."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from parts.exporter import Exporter
from parts.valkey import Valkey
from parts.workers import Worker
from workload.configured_app import make_app

pytestmark = pytest.mark.slow

APP = "workload.configured_app"
THREE_HEARTBEATS_SECONDS = 6.0
# How late a test may notice: one poll of the page, on a busy machine.
NOTICE_SECONDS = 2.0
RETENTION_SECONDS = 4.0


@pytest.fixture
def exporter(valkey: Valkey) -> Iterator[Exporter]:
    with Exporter(valkey.url) as started:
        started.ready()
        yield started


def _up(exporter: Exporter, worker: Worker) -> None:
    worker.ready()
    exporter.wait_for_value("celery_worker_up", 1, worker=worker.node)


def _down(exporter: Exporter, worker: Worker, within_seconds: float) -> None:
    exporter.wait_for_value(
        "celery_worker_up", 0, timeout_seconds=within_seconds, worker=worker.node
    )


def test_a_killed_worker_is_down_within_three_heartbeats(
    valkey: Valkey, exporter: Exporter
) -> None:
    with Worker(valkey.url, "victim", app=APP) as victim:
        _up(exporter, victim)
        victim.child.kill()
        _down(exporter, victim, THREE_HEARTBEATS_SECONDS + NOTICE_SECONDS)


def test_a_killed_worker_is_counted_as_lost(valkey: Valkey, exporter: Exporter) -> None:
    with Worker(valkey.url, "victim", app=APP) as victim:
        _up(exporter, victim)
        victim.child.kill()
        _down(exporter, victim, THREE_HEARTBEATS_SECONDS + NOTICE_SECONDS)
        assert exporter.value("celery_worker_lost_total") == 1


def test_a_killed_worker_costs_no_other_worker(valkey: Valkey, exporter: Exporter) -> None:
    with (
        Worker(valkey.url, "victim", app=APP) as victim,
        Worker(valkey.url, "other", app=APP) as other,
    ):
        _up(exporter, victim)
        _up(exporter, other)
        victim.child.kill()
        _down(exporter, victim, THREE_HEARTBEATS_SECONDS + NOTICE_SECONDS)
        assert exporter.value("celery_worker_up", worker=other.node) == 1


def test_an_orderly_stop_is_not_counted_as_lost(valkey: Valkey, exporter: Exporter) -> None:
    with Worker(valkey.url, "leaver", app=APP) as leaver:
        _up(exporter, leaver)
        leaver.child.terminate()
        _down(exporter, leaver, THREE_HEARTBEATS_SECONDS + NOTICE_SECONDS)
    # Longer than it takes to miss heartbeats: the goodbye has to be remembered.
    time.sleep(THREE_HEARTBEATS_SECONDS)
    assert exporter.value("celery_worker_lost_total") == 0


def test_a_restart_is_counted_once(valkey: Valkey, exporter: Exporter) -> None:
    with Worker(valkey.url, "phoenix", app=APP) as first:
        _up(exporter, first)
        first.child.terminate()
        _down(exporter, first, THREE_HEARTBEATS_SECONDS + NOTICE_SECONDS)
    with Worker(valkey.url, "phoenix", app=APP) as second:
        _up(exporter, second)
        exporter.wait_for_value("celery_worker_pool_processes", 2, worker=second.node)
        time.sleep(THREE_HEARTBEATS_SECONDS)
        assert exporter.value("celery_worker_restarts_total") == 1


def test_a_worker_that_is_gone_stays_at_0_for_its_retention(valkey: Valkey) -> None:
    with (
        Exporter(valkey.url, extra=(f"--worker-retention={RETENTION_SECONDS}",)) as exporter,
        Worker(valkey.url, "gone", app=APP) as gone,
    ):
        _up(exporter, gone)
        gone.child.terminate()
        _down(exporter, gone, THREE_HEARTBEATS_SECONDS)
        began = time.monotonic()
        exporter.wait_for_value("celery_worker_up", None, worker=gone.node)
        assert time.monotonic() - began > RETENTION_SECONDS / 2


def test_a_busy_solo_worker_is_up_though_it_is_mute(valkey: Valkey, exporter: Exporter) -> None:
    with Worker(valkey.url, "alone", app=APP, pool="solo") as alone:
        _up(exporter, alone)
        exporter.wait_for_value("celery_worker_pool_processes", 1, worker=alone.node)
        make_app(valkey.url).send_task("configured.sleep", (3 * THREE_HEARTBEATS_SECONDS,))
        time.sleep(2 * THREE_HEARTBEATS_SECONDS)
        assert exporter.value("celery_worker_up", worker=alone.node) == 1


def test_a_worker_without_heartbeats_is_found(valkey: Valkey) -> None:
    quiet = ("--without-heartbeat", "--without-gossip", "--without-mingle")
    with (
        Worker(valkey.url, "quiet", app=APP, events=False, extra=quiet) as worker,
        Exporter(valkey.url, extra=("--worker-interval=2",)) as exporter,
    ):
        worker.ready()
        exporter.wait_for_value("celery_worker_pool_processes", 2, worker=worker.node)
        assert exporter.value("celery_worker_up", worker=worker.node) == 1
        assert exporter.value("celery_worker_last_heartbeat_timestamp_seconds") is None


def test_a_worker_without_heartbeats_that_ends_is_down(valkey: Valkey) -> None:
    quiet = ("--without-heartbeat",)
    with (
        Worker(valkey.url, "quiet", app=APP, events=False, extra=quiet) as worker,
        Exporter(valkey.url, extra=("--worker-interval=1",)) as exporter,
    ):
        worker.ready()
        exporter.wait_for_value("celery_worker_up", 1, worker=worker.node)
        worker.child.kill()
        _down(exporter, worker, 15.0)
