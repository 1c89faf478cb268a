"""Whatever is stopped: the page answers at once, says how old it is, and is right again after."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from parts.exporter import Exporter, Series, parse_page
from parts.processes import free_port, wait_for
from parts.rabbitmq import RabbitMQ
from parts.valkey import Valkey
from parts.workers import Worker
from workload.configured_app import make_app

pytestmark = pytest.mark.slow

APP = "workload.configured_app"
ANSWER_SECONDS = 1.0
# A machine that is busy may hold one up. Who waits for the broker waits longer than this.
ONE_ANSWER_SECONDS = 2.0
NOTICE_SECONDS = 10.0
RECOVERY_SECONDS = 16.0
STOPPED_SECONDS = 12.0
BROKERS: dict[str, Callable[[], Valkey | RabbitMQ]] = {"valkey": Valkey, "rabbitmq": RabbitMQ}
LAST_SUCCESS = "celery_exporter_source_last_success_timestamp_seconds"
TASK = {"task": "configured.succeed", "queue": "celery"}


@dataclass
class Cluster:
    broker: Valkey | RabbitMQ
    worker: Worker
    exporter: Exporter

    def run(self, tasks: int) -> None:
        app = make_app(self.broker.url)
        with app.connection_for_write() as connection, app.producer_or_acquire() as producer:
            del connection
            for _ in range(tasks):
                app.send_task("configured.succeed", producer=producer)


@pytest.fixture(params=BROKERS)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with (
        BROKERS[request.param]() as broker,
        Exporter(broker.url) as exporter,
        Worker(broker.url, "one", app=APP) as worker,
    ):
        exporter.ready()
        worker.ready()
        exporter.wait_for_value("celery_worker_pool_processes", 2, worker=worker.node)
        started = Cluster(broker, worker, exporter)
        started.run(10)
        exporter.wait_for_value("celery_task_succeeded_total", 10, **TASK)
        yield started


class Watch:
    """Reads the page all the time and remembers how long it took and every step backwards."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        self._last: dict[Series, float] = {}
        self.seconds: list[float] = []
        self.decreases: list[Series] = []
        self.not_alive = 0

    def look(self) -> dict[Series, float]:
        began = time.monotonic()
        text = self._exporter.page()
        self.seconds.append(time.monotonic() - began)
        page = parse_page(text)
        self.not_alive += self._exporter.status("/livez") != 200
        counters = {series: value for series, value in page.items() if _is_counter(series[0])}
        for series, value in self._last.items():
            if series in counters and counters[series] < value:
                self.decreases.append(series)
        self._last |= counters
        return page

    def look_until(self, is_right: Callable[[dict[Series, float]], bool], seconds: float) -> None:
        wait_for(lambda: is_right(self.look()), seconds, "the page to be as expected")

    def look_for(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.look()
            time.sleep(0.2)

    def require_answers(self) -> None:
        """No answer was slow, the process was alive, no counter went down."""
        *others, slowest = sorted(self.seconds)
        assert slowest < ONE_ANSWER_SECONDS
        assert max(others, default=0) < ANSWER_SECONDS
        assert self.not_alive == 0
        assert self.decreases == []


def _is_counter(name: str) -> bool:
    return name.endswith(("_total", "_bucket", "_count", "_sum"))


def _is_broker_up(page: dict[Series, float]) -> bool:
    return page["celery_broker_up", frozenset()] == 1


def _is_broker_down(page: dict[Series, float]) -> bool:
    return not _is_broker_up(page)


def _counts(tasks: int) -> Callable[[dict[Series, float]], bool]:
    series = ("celery_task_succeeded_total", frozenset(TASK.items()))
    return lambda page: _is_broker_up(page) and page.get(series) == tasks


@contextmanager
def _stopped(cluster: Cluster) -> Iterator[None]:
    cluster.broker.child.pause()
    try:
        yield
    finally:
        cluster.broker.child.resume()


def test_a_broker_that_has_stopped_makes_no_page_wait(cluster: Cluster) -> None:
    watch = Watch(cluster.exporter)
    before = watch.look()
    with _stopped(cluster):
        watch.look_until(_is_broker_down, NOTICE_SECONDS)
        watch.look_for(STOPPED_SECONDS)
    queues = (LAST_SUCCESS, frozenset({("source", "queues")}))
    assert watch.look()[queues] - before[queues] < NOTICE_SECONDS
    watch.look_until(lambda _: cluster.exporter.is_ready, RECOVERY_SECONDS)
    cluster.run(5)
    watch.look_until(_counts(15), RECOVERY_SECONDS)
    watch.require_answers()


def test_a_broker_that_was_killed_is_found_again(cluster: Cluster) -> None:
    watch = Watch(cluster.exporter)
    cluster.broker.child.kill()
    watch.look_until(_is_broker_down, NOTICE_SECONDS)
    assert cluster.exporter.status("/readyz") == 503
    cluster.broker.restart()
    watch.look_until(lambda _: cluster.exporter.is_ready, RECOVERY_SECONDS)
    with Worker(cluster.broker.url, "two", app=APP) as fresh:
        fresh.ready()
        cluster.run(5)
        watch.look_until(_counts(15), RECOVERY_SECONDS)
    watch.require_answers()


def test_queues_disappear_when_nobody_can_tell_their_length(cluster: Cluster) -> None:
    with _stopped(cluster):
        cluster.exporter.wait_for_value(
            "celery_queue_length", None, timeout_seconds=30, queue="celery"
        )


def test_a_stopped_worker_costs_only_its_own_numbers(valkey: Valkey) -> None:
    with (
        Exporter(valkey.url, extra=("--worker-interval=1", "--inspect-timeout=1")) as exporter,
        Worker(valkey.url, "stopped", app=APP) as stopped,
        Worker(valkey.url, "fine", app=APP) as fine,
    ):
        for worker in (stopped, fine):
            worker.ready()
            exporter.wait_for_value("celery_worker_pool_processes", 2, worker=worker.node)
        stopped.child.pause()
        watch = Watch(exporter)
        gone = ("celery_worker_pool_processes", frozenset({("worker", stopped.node)}))
        kept = ("celery_worker_pool_processes", frozenset({("worker", fine.node)}))
        watch.look_until(lambda page: gone not in page, NOTICE_SECONDS)
        assert kept in watch.look()
        stopped.child.resume()
        watch.look_until(lambda page: gone in page, RECOVERY_SECONDS)
        watch.require_answers()


def test_a_broker_may_be_absent_at_the_start() -> None:
    port = free_port()
    with Exporter(f"redis://127.0.0.1:{port}/0") as exporter:
        assert exporter.value("celery_broker_up") == 0
        assert exporter.status("/readyz") == 503
        with (
            Valkey(port=port) as late,
            Worker(late.url, "late", app=APP) as worker,
        ):
            exporter.wait_for_value("celery_broker_up", 1, timeout_seconds=RECOVERY_SECONDS)
            worker.ready()
            exporter.ready(RECOVERY_SECONDS)
            exporter.wait_for_value("celery_worker_up", 1, worker=worker.node)
