"""On a healthy cluster nothing is missed: not under load, not while workers come and go.

Tasks that really run, on real workers that restart, grow and shrink, and beside them celery's
own dispatcher at two thousand tasks a second. The long form takes an hour.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from faults.brokers import NAMES, broker
from faults.wire_format import IS_FULL
from parts.exporter import Exporter
from parts.processes import Child, Part, wait_for
from parts.workers import Worker
from workload.app import QUEUES, make_app

SECONDS = 3600.0 if IS_FULL else 30.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 240)]

TELLERS = 5
RATE = 400.0
RESTART_EVERY_SECONDS = 10.0
TASKS_PER_ROUND = 50
ROUND_SECONDS = 0.5
START_SECONDS = 30.0
SETTLE_SECONDS = 20.0

MISSED = "celery_exporter_events_missed_total"
STARTED = "celery_task_started_total"
RECEIVED = "celery_exporter_events_received_total"
WORKERS = (
    ("grows", "prefork", ("celery",), ("--autoscale", "6,2")),
    ("threads", "threads", ("mail",), ()),
    ("solo", "solo", ("reports",), ()),
    ("twin", "prefork", ("exports",), ()),
)
# A second worker of a name; RabbitMQ does not let it in (its control queue is exclusive).
TWIN = ("twin", "threads", ("exports",), ())


class Teller(Part):
    """``faults.dispatching`` as a part: a worker that tells of tasks at a rate."""

    def __init__(self, url: str, name: str, seconds: float) -> None:
        super().__init__()
        arguments = [url, f"{name}@localhost", str(RATE), str(seconds)]
        command: list[str | Path] = [sys.executable, "-m", "faults.dispatching", *arguments]
        self.child = self.adopt(Child(name, command, self.folder))

    def start(self) -> None:
        self.child.start()
        self.child.wait_until(lambda: "ready" in self.child.log_text(), START_SECONDS, "ready")

    @property
    def begun(self) -> int:
        """How many tasks it has told of; to be asked when it has ended."""
        return int(self.child.log_text().split()[-1])


class Cluster:
    """Real workers of five kinds that are restarted in turn, by turns politely and by force."""

    def __init__(self, url: str, ends: ExitStack) -> None:
        self._workers = [
            ends.enter_context(Worker(url, name, pool=pool, queues=queues, extra=extra))
            for name, pool, queues, extra in (*WORKERS, *([] if url.startswith("amqp") else [TWIN]))
        ]
        for worker in self._workers:
            worker.ready()
        self._turns = itertools.cycle(itertools.product((False, True), self._workers))
        self._ends = ends
        self.app: Any = make_app(url)

    def restart_one(self) -> None:
        is_by_force, worker = next(self._turns)
        if is_by_force:
            worker.child.kill()
        else:
            worker.child.terminate()
        worker.child.start()

    def run(self, seconds: float) -> None:
        """Publish tasks and restart workers for that long."""
        until = time.monotonic() + seconds
        restart_at = time.monotonic() + RESTART_EVERY_SECONDS
        with self.app.producer_or_acquire() as producer:
            while time.monotonic() < until:
                for number in range(TASKS_PER_ROUND):
                    queue = QUEUES[number % len(QUEUES)]
                    self.app.send_task("workload.succeed", queue=queue, producer=producer)
                time.sleep(ROUND_SECONDS)
                if time.monotonic() > restart_at:
                    restart_at += RESTART_EVERY_SECONDS
                    self.restart_one()


@pytest.fixture(params=NAMES)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with broker(request.param, request) as entered:
        yield entered.url


def test_nothing_is_missed_while_workers_come_and_go(url: str) -> None:
    with ExitStack() as ends:
        exporter = ends.enter_context(Exporter(url, extra=["--instance=healthy"]))
        exporter.ready()
        tellers = [ends.enter_context(Teller(url, f"teller-{n}", SECONDS)) for n in range(TELLERS)]
        cluster = Cluster(url, ends)
        cluster.run(SECONDS)
        told = sum(_wait(teller) for teller in tellers)
        what = f"{told} starts of the tellers"
        wait_for(lambda: exporter.sum(STARTED, task="shop.told") >= told, SETTLE_SECONDS, what)
        _wait_for_heartbeats(exporter)
        print(f"measured: {told / SECONDS:.0f} tasks told a second for {SECONDS:.0f} s")
        assert exporter.sum(STARTED, task="shop.told") == told
        assert exporter.sum(MISSED) == 0
        assert exporter.sum("celery_worker_restarts_total") > 0


def _wait(teller: Teller) -> int:
    teller.child.wait(SETTLE_SECONDS)
    return teller.begun


def _wait_for_heartbeats(exporter: Exporter) -> None:
    """Return when every worker has sent some more heartbeats, by which all is settled."""
    enough = exporter.sum(RECEIVED, type="worker-heartbeat") + 4 * len(WORKERS)
    wait_for(
        lambda: exporter.sum(RECEIVED, type="worker-heartbeat") >= enough,
        SETTLE_SECONDS,
        "heartbeats",
    )
