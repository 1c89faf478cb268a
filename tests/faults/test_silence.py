"""A healthy cluster is silent, whatever is deployed on it. Every duration is the real one.

The long form goes on after each change for longer than any rule waits: an hour in all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from wire_format import IS_FULL

from celeriac.demo.plan import HEALTHY
from parts.beat import Beat
from parts.exporter import Exporter
from parts.processes import Child
from parts.prometheus import Prometheus
from parts.valkey import Valkey
from parts.workers import Worker

RULES = sorted((Path(__file__).resolve().parents[2] / "alerting" / "rules").glob("*.yml"))
APP = "celeriac.demo.tasks"
STEADY_SECONDS = 1800.0 if IS_FULL else 15.0
AFTERWARDS_SECONDS = 420.0 if IS_FULL else 5.0
FEW, MANY = 2, 6
EVER_FIRED = 'max_over_time(ALERTS{alertstate="firing", alertname!="CeleryWatchdog"}[3h])'
POOL = "celery_worker_pool_processes"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(STEADY_SECONDS + AFTERWARDS_SECONDS + 240)]


@dataclass
class Shop:
    """The demo's shop without its troubles, and the Prometheus that judges it."""

    broker: Valkey
    exporter: Exporter
    workers: list[Worker]
    prometheus: Prometheus

    def stays_silent(self, seconds: float) -> None:
        """Fail if anything but the watchdog has fired until then."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.prometheus.child.wait_until(
                lambda: self.prometheus.query("ALERTS"), 30, "the watchdog"
            )
            assert self.prometheus.query(EVER_FIRED) == []
            time.sleep(2)

    def restart(self, worker: Worker) -> None:
        """Stop a worker as a deployment does, and start it again."""
        worker.child.terminate(60)
        worker.start()
        worker.ready(60)


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with ExitStack() as ends:
        broker = ends.enter_context(Valkey())
        env = {"CELERY_BROKER_URL": broker.url}
        exporter = ends.enter_context(Exporter(broker.url))
        workers = [
            Worker(broker.url, "fast", app=APP, queues=("celery", "mail"), env=env,
                   extra=(f"--autoscale={MANY},{FEW}",)),
            Worker(broker.url, "reports", app=APP, queues=("reports",), env=env, pool="threads"),
            Worker(broker.url, "slow", app=APP, queues=("media",), env=env, pool="gevent"),
        ]  # fmt: skip
        for worker in workers:
            ends.enter_context(worker)
        prometheus = ends.enter_context(
            Prometheus([exporter.url.removeprefix("http://")], rules=RULES)
        )
        for worker in workers:
            worker.ready()
        ends.enter_context(Beat(broker.url, app=APP, env=env))
        load = [sys.executable, "-m", "celeriac.demo.load", broker.url, HEALTHY]
        ends.enter_context(Child("load", load, broker.folder))
        prometheus.scraped()
        yield Shop(broker, exporter, workers, prometheus)


def test_a_steady_load_raises_no_alert(shop: Shop) -> None:
    shop.stays_silent(STEADY_SECONDS)


def test_a_rolling_restart_of_all_workers_raises_no_alert(shop: Shop) -> None:
    for worker in shop.workers:
        shop.restart(worker)
    shop.stays_silent(AFTERWARDS_SECONDS)


def test_a_deployment_of_the_exporter_raises_no_alert(shop: Shop) -> None:
    shop.exporter.child.terminate(30)
    shop.exporter.start()
    shop.exporter.ready()
    shop.stays_silent(AFTERWARDS_SECONDS)


def test_a_pool_that_grows_and_shrinks_again_raises_no_alert(shop: Shop) -> None:
    from celeriac.demo.tasks import app

    app.conf.broker_url = shop.broker.url
    worker = shop.workers[0].node
    for _ in range(400):
        app.send_task("shop.stock.sync")
    shop.exporter.wait_for_value(POOL, MANY, worker=worker, timeout_seconds=60)
    shop.exporter.wait_for_value("celery_queue_length", 0, queue="celery", timeout_seconds=120)

    def has_shrunk() -> bool:
        # Celery 5.7 does so by itself after half a minute without a task, and only idle processes.
        app.control.autoscale(max=FEW, min=FEW, destination=[worker])
        time.sleep(2)
        return shop.exporter.value(POOL, worker=worker) == FEW

    shop.exporter.child.wait_until(has_shrunk, 60, "a pool of few")
    shop.stays_silent(AFTERWARDS_SECONDS)
