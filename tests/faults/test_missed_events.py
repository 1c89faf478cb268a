"""What the exporter could not hear is counted: exactly, from the workers' own counts.

The truth comes from the tasks, which write down that they have run. Starts that arrived plus
starts that were missed have to be as many.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from faults.wire_format import IS_FULL
from parts.exporter import Exporter
from parts.network import Namespace, can_make_namespaces
from parts.processes import wait_for
from parts.valkey import Valkey
from workload.fleet import Fleet

pytestmark = pytest.mark.slow

TASKS = 20_000 if IS_FULL else 4_000
FAULTS = 20 if IS_FULL else 4
STARTS = 10 if IS_FULL else 3
ENOUGH_HEARTBEATS = 6
PUBLISH_EVERY_SECONDS = 0.02
RUN_SECONDS = 240.0
# Two heartbeats, and the one that is on its way.
SETTLE_SECONDS = 15.0
QUEUES = ("celery", "mail", "reports", "exports")
LIMIT = "pubsub 256kb 256kb 1"

MISSED = "celery_exporter_events_missed_total"
RECEIVED = "celery_exporter_events_received_total"
RECONNECTS = "celery_exporter_reconnects_total"
GAPS = "celery_exporter_event_gap_seconds_total"


class Subscriber:
    """The exporter's own subscription among those of the workers; made before there are any."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey
        self._first = self._all()
        self._of_others: set[str] = set()

    def others_have_come(self) -> None:
        self._of_others = self._all() - self._first

    def ids(self) -> set[str]:
        return self._all() - self._of_others

    def kill(self) -> None:
        """Cut the subscription, and return when there is a new one."""
        ids = self.ids()
        with self._valkey.client() as client:
            for one in ids:
                client.client_kill_filter(_id=one)
        wait_for(lambda: self.ids() - ids, RUN_SECONDS, "a new subscription")

    def _all(self) -> set[str]:
        with self._valkey.client() as client:
            return {one["id"] for one in client.client_list(_type="pubsub")}


class Watched:
    """A fleet of real workers, and the exporter that watches it."""

    def __init__(self, fleet: Fleet, exporter: Exporter, subscriber: Subscriber) -> None:
        self.fleet = fleet
        self.exporter = exporter
        self.subscriber = subscriber
        self.published = 0
        self.ended = 0

    def publish(self, count: int) -> None:
        with self.fleet.app.producer_or_acquire() as producer:
            for number in range(count):
                queue = QUEUES[number % len(QUEUES)]
                self.fleet.app.send_task("workload.succeed", queue=queue, producer=producer)
        self.published += count

    def finish(self) -> None:
        """Return when every published task has ended."""
        wait_for(self._has_ended, RUN_SECONDS, "the end of all tasks")

    def _has_ended(self) -> bool:
        self.fleet.require_alive()
        self.ended += len(self.fleet.journal.read_new())
        return self.ended >= self.published

    def run_with(self, fault: Callable[[], None]) -> None:
        """Run all tasks, with *fault* again and again among them."""
        for _ in range(FAULTS):
            self.publish(TASKS // FAULTS)
            fault()
        self.finish()

    @property
    def arrived(self) -> int:
        return int(self.exporter.sum(RECEIVED, type="task-started"))

    @property
    def missed(self) -> int:
        return int(self.exporter.sum(MISSED))

    def settle(self) -> None:
        """Return when what arrived and what was missed are all there was, and stay so."""
        what = f"{self.published} starts, arrived or missed"
        try:
            wait_for(lambda: self.arrived + self.missed == self.published, SETTLE_SECONDS, what)
        except TimeoutError as error:
            told = f"{self.arrived} arrived, {self.missed} were missed"
            raise AssertionError(f"{error}: {told}") from error
        heartbeats = self.exporter.sum(RECEIVED, type="worker-heartbeat")
        enough = heartbeats + 3 * len(self.fleet.nodes)
        wait_for(
            lambda: self.exporter.sum(RECEIVED, type="worker-heartbeat") >= enough,
            SETTLE_SECONDS,
            "three more heartbeats of each worker",
        )
        assert self.arrived + self.missed == self.published


@contextmanager
def watching(valkey: Valkey, exporter: Exporter) -> Iterator[Watched]:
    """Give *exporter* a fleet to watch."""
    exporter.ready()
    subscriber = Subscriber(valkey)
    with Fleet(valkey.url) as fleet:
        exporter.wait_for_value("celery_active_workers", len(fleet.nodes))
        subscriber.others_have_come()
        yield Watched(fleet, exporter, subscriber)


@contextmanager
def _busy(fleet: Fleet) -> Iterator[None]:
    """Keep all workers busy meanwhile."""
    is_over = threading.Event()

    def publish() -> None:
        for queue in itertools.cycle(QUEUES):
            fleet.app.send_task("workload.succeed", queue=queue)
            if is_over.wait(PUBLISH_EVERY_SECONDS):
                return

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@pytest.fixture
def watched(valkey: Valkey) -> Iterator[Watched]:
    with Exporter(valkey.url) as exporter, watching(valkey, exporter) as made:
        yield made


def test_nothing_is_missed_on_a_healthy_cluster(watched: Watched) -> None:
    watched.run_with(lambda: None)
    watched.settle()
    assert watched.missed == 0


def test_an_exporter_that_starts_beside_busy_workers_misses_nothing(valkey: Valkey) -> None:
    with Fleet(valkey.url) as fleet:
        for _ in range(STARTS):
            with _busy(fleet), Exporter(valkey.url) as exporter:
                beats = ENOUGH_HEARTBEATS * len(fleet.nodes)
                exporter.child.wait_until(
                    lambda: exporter.sum(RECEIVED, type="worker-heartbeat") >= beats,  # noqa: B023
                    RUN_SECONDS,
                    "heartbeats",
                )
                assert exporter.sum(RECEIVED, type="task-started") > 0
                assert exporter.sum(MISSED) == 0


def test_what_a_killed_subscription_lost_is_counted(watched: Watched) -> None:
    watched.run_with(watched.subscriber.kill)
    watched.settle()
    assert watched.missed > 0
    assert watched.exporter.value(RECONNECTS, source="events") == FAULTS
    assert watched.exporter.sum(GAPS) > 0


def test_what_a_full_output_buffer_lost_is_counted(watched: Watched, valkey: Valkey) -> None:
    with valkey.client() as client:
        client.config_set("client-output-buffer-limit", LIMIT)
    watched.publish(TASKS // 2)
    watched.exporter.child.pause()
    try:
        watched.publish(TASKS // 2)
        wait_for(lambda: not watched.subscriber.ids(), RUN_SECONDS, "the subscriber's end")
    finally:
        watched.exporter.child.resume()
    watched.finish()
    watched.settle()
    assert watched.missed > 0


@pytest.mark.skipif(not IS_FULL, reason="in the long form only: needs leave to make networks")
def test_what_a_cut_link_lost_is_counted() -> None:
    assert can_make_namespaces(), "needs root, and the capability to make network namespaces"
    with Namespace() as namespace, _valkey_at(namespace.outside_address) as valkey:
        url = valkey.url.replace("127.0.0.1", namespace.outside_address)
        with Exporter(url, namespace=namespace) as exporter, watching(valkey, exporter) as watched:
            watched.publish(TASKS // 2)
            namespace.cut()
            watched.publish(TASKS // 2)
            watched.finish()
            exporter.wait_for_value("celery_broker_up", 0)
            namespace.heal()
            exporter.wait_for_value(RECONNECTS, 1, source="events", timeout_seconds=30)
            watched.settle()
            assert watched.missed > 0


def _valkey_at(address: str) -> Valkey:
    return Valkey(options={"bind": f"127.0.0.1 {address}", "protected-mode": "no"})
