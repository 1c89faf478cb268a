"""Every gauge equals what the broker or the worker itself answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from parts.exporter import Exporter
from parts.processes import wait_for
from parts.rabbitmq import RabbitMQ
from parts.valkey import Valkey
from parts.workers import Worker
from workload.configured_app import make_app

pytestmark = pytest.mark.slow

APP = "workload.configured_app"
PRIORITIES = {
    "broker_transport_options": {"priority_steps": [0, 3, 6, 9], "queue_order_strategy": "priority"}
}
POOLS = {"prefork": 3, "threads": 4, "solo": 1, "gevent": 5, "eventlet": 6}
LONG_SECONDS = 600
FAST = ("--worker-interval=1", "--queue-interval=1")


def test_a_length_is_the_sum_over_all_priorities(valkey: Valkey) -> None:
    app = make_app(valkey.url, **PRIORITIES)
    for priority in (0, 0, 1, 3, 5, 6, 9, 9, 9):
        app.send_task("configured.succeed", queue="mixed", priority=priority)
    with Exporter(valkey.url, extra=FAST) as exporter:
        exporter.wait_for_value("celery_queue_length", 9, queue="mixed")


def test_a_queue_that_nobody_consumes_is_discovered(valkey: Valkey) -> None:
    make_app(valkey.url).send_task("configured.succeed", queue="forgotten")
    with Worker(valkey.url, "one", app=APP) as worker, Exporter(valkey.url, extra=FAST) as exporter:
        worker.ready()
        exporter.wait_for_value("celery_queue_consumers", 1, queue="celery")
        assert exporter.value("celery_queue_consumers", queue="forgotten") == 0


def test_a_queue_is_found_in_a_database_full_of_results(valkey: Valkey) -> None:
    with valkey.client() as client, client.pipeline(transaction=False) as pipe:
        for number in range(50_000):
            pipe.set(f"celery-task-meta-{number}", "x")
        pipe.execute()
    make_app(valkey.url).send_task("configured.succeed", queue="forgotten")
    with Exporter(valkey.url, extra=FAST) as exporter:
        exporter.wait_for_value("celery_queue_length", 1, queue="forgotten")


def test_a_deleted_queue_leaves_no_series(valkey: Valkey) -> None:
    app = make_app(valkey.url)
    app.send_task("configured.succeed", queue="passing")
    with Exporter(valkey.url, extra=FAST) as exporter:
        exporter.wait_for_value("celery_queue_length", 1, queue="passing")
        with app.connection_for_write() as connection:
            queue = app.amqp.queues["passing"].bind(connection.default_channel)
            # kombu deletes only the bindings that the same connection has made.
            queue.declare()
            queue.delete()
        exporter.wait_for_value("celery_queue_length", None, queue="passing")


@dataclass
class Busy:
    """One prefork worker with two slots that run, and messages it holds beside them."""

    url: str
    worker: Worker
    exporter: Exporter
    app: Any

    def inspect(self, command: str) -> Any:
        with self.app.connection_for_write() as connection:
            inspect = self.app.control.inspect([self.worker.node], connection=connection)
            return getattr(inspect, command)()[self.worker.node]


@pytest.fixture(scope="module", params=["valkey", "rabbitmq"])
def busy(request: pytest.FixtureRequest) -> Iterator[Busy]:
    broker = Valkey() if request.param == "valkey" else RabbitMQ(plugins=["rabbitmq_management"])
    with broker:
        management = getattr(broker, "management_url", None)
        extra = (*FAST, f"--broker-management-url={management}") if management else FAST
        with (
            Worker(broker.url, "busy", app=APP, queues=("celery", "mail")) as worker,
            Exporter(broker.url, extra=extra) as exporter,
        ):
            worker.ready()
            app = make_app(broker.url)
            _fill(app)
            made = Busy(broker.url, worker, exporter, app)
            wait_for(lambda: _is_full(made), 20, "the worker to hold what it can")
            yield made
            app.control.broadcast("shutdown")


def _fill(app: Any) -> None:
    # Those with a countdown first: a worker takes none when it holds all that it may.
    for _ in range(3):
        app.send_task("configured.succeed", queue="celery", countdown=LONG_SECONDS)
    for _ in range(20):
        app.send_task("configured.sleep", (LONG_SECONDS,), queue="mail")


def _is_full(busy: Busy) -> bool:
    return len(busy.inspect("active")) == 2 and len(busy.inspect("scheduled")) == 3


def test_active_tasks_are_those_the_worker_names(busy: Busy) -> None:
    expected = len(busy.inspect("active"))
    busy.exporter.wait_for_value("celery_worker_active_tasks", expected, worker=busy.worker.node)


def test_reserved_tasks_are_those_the_worker_names(busy: Busy) -> None:
    expected = len(busy.inspect("reserved"))
    busy.exporter.wait_for_value("celery_worker_reserved_tasks", expected, worker=busy.worker.node)


def test_scheduled_tasks_are_those_the_worker_names(busy: Busy) -> None:
    busy.exporter.wait_for_value("celery_worker_scheduled_tasks", 3, worker=busy.worker.node)


def test_the_prefetch_count_is_the_workers(busy: Busy) -> None:
    expected = busy.inspect("stats")["prefetch_count"]
    busy.exporter.wait_for_value("celery_worker_prefetch_count", expected, worker=busy.worker.node)


def test_ready_is_what_the_broker_has_left(busy: Busy) -> None:
    with busy.app.connection_for_read() as connection:
        left = connection.default_channel.queue_declare("mail", passive=True).message_count
    busy.exporter.wait_for_value("celery_queue_length", left, queue="mail")


def test_unacked_is_what_was_delivered_less_what_was_acknowledged(busy: Busy) -> None:
    """A task is acknowledged when it begins, so what runs is not unacknowledged any more."""
    held = len(busy.inspect("reserved"))
    busy.exporter.wait_for_value("celery_queue_unacked", held, queue="mail")


def test_unacked_is_told_per_queue(busy: Busy) -> None:
    busy.exporter.wait_for_value("celery_queue_unacked", 3, queue="celery")


def test_the_oldest_active_start_is_the_workers(busy: Busy) -> None:
    starts = [request["time_start"] for request in busy.inspect("active")]
    labels = {"task": "configured.sleep", "worker": busy.worker.node}
    name = "celery_task_oldest_active_start_timestamp_seconds"
    wait_for(lambda: busy.exporter.value(name, **labels) is not None, 10, name)
    assert busy.exporter.value(name, **labels) == pytest.approx(min(starts), abs=1.0)


def test_a_queues_processes_are_the_slots_of_its_consumers(busy: Busy) -> None:
    busy.exporter.wait_for_value("celery_queue_processes", 2, queue="mail")


@pytest.fixture(scope="module")
def pools() -> Iterator[tuple[Exporter, dict[str, Worker]]]:
    """Workers of every kind of pool, all on one host."""
    with Valkey() as valkey, Exporter(valkey.url, extra=FAST) as exporter:
        workers = {
            pool: Worker(valkey.url, pool, app=APP, pool=pool, concurrency=slots)
            for pool, slots in POOLS.items()
        }
        with _all(workers):
            yield exporter, workers


class _all:  # noqa: N801
    def __init__(self, workers: dict[str, Worker]) -> None:
        self._workers = workers

    def __enter__(self) -> None:
        for worker in self._workers.values():
            worker.start()
        for worker in self._workers.values():
            worker.ready()

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.stop()


@pytest.mark.parametrize("pool", POOLS)
def test_slots_of_a_pool_are_told(pools: tuple[Exporter, dict[str, Worker]], pool: str) -> None:
    exporter, workers = pools
    node = workers[pool].node
    exporter.wait_for_value("celery_worker_pool_processes", POOLS[pool], worker=node)


@pytest.mark.parametrize("pool", POOLS)
def test_the_kind_of_a_pool_is_told(pools: tuple[Exporter, dict[str, Worker]], pool: str) -> None:
    exporter, workers = pools
    node = workers[pool].node
    exporter.wait_for_value("celery_worker_pool_processes", POOLS[pool], worker=node)
    infos = [dict(labels) for name, labels in exporter.samples() if name == "celery_worker_info"]
    assert [info["pool"] for info in infos if info["worker"] == node] == [pool]


def test_workers_on_one_host_are_counted_each(
    pools: tuple[Exporter, dict[str, Worker]],
) -> None:
    exporter, _ = pools
    exporter.wait_for_value("celery_active_workers", len(POOLS))


def test_consumers_of_a_shared_queue_are_all_counted(
    pools: tuple[Exporter, dict[str, Worker]],
) -> None:
    exporter, _ = pools
    exporter.wait_for_value("celery_queue_consumers", len(POOLS), queue="celery")


def test_a_worker_without_task_events_has_its_throughput(valkey: Valkey) -> None:
    with (
        Exporter(valkey.url, extra=(*FAST, "--worker-task-processed")) as exporter,
        Worker(valkey.url, "mute", app=APP, events=False) as worker,
    ):
        worker.ready()
        exporter.wait_for_value("celery_worker_up", 1, worker=worker.node)
        app = make_app(valkey.url)
        for _ in range(7):
            app.send_task("configured.succeed")
        exporter.wait_for_value("celery_worker_processed_total", 7, worker=worker.node)
        labels = {"worker": worker.node, "task": "configured.succeed"}
        exporter.wait_for_value("celery_worker_task_processed_total", 7, **labels)
        assert exporter.sum("celery_task_started_total") == 0
        exporter.wait_for_value("celery_worker_events_enabled", 0, worker=worker.node)


def test_task_events_can_be_switched_on_from_here(valkey: Valkey) -> None:
    with (
        Exporter(valkey.url, extra=(*FAST, "--enable-events")) as exporter,
        Worker(valkey.url, "mute", app=APP, events=False) as worker,
    ):
        worker.ready()
        exporter.wait_for_value("celery_worker_pool_processes", 2, worker=worker.node)
        make_app(valkey.url).send_task("configured.succeed")
        labels = {"task": "configured.succeed", "queue": "celery"}
        exporter.wait_for_value("celery_task_succeeded_total", 1, **labels)


def test_delayed_messages_are_no_queue_of_their_own() -> None:
    quorum = {
        "task_default_queue_type": "quorum",
        "task_default_exchange_type": "topic",
        "worker_detect_quorum_queues": True,
        "broker_native_delayed_delivery_queue_type": "quorum",
    }
    with (
        RabbitMQ() as broker,
        Exporter(broker.url, extra=FAST) as exporter,
        Worker(broker.url, "q", app=APP, env={"CONFIGURATION": json.dumps(quorum)}) as worker,
    ):
        worker.ready()
        exporter.wait_for_value("celery_worker_pool_processes", 2, worker=worker.node)
        app = make_app(broker.url, **quorum)
        for _ in range(4):
            app.send_task("configured.succeed", countdown=LONG_SECONDS)
        exporter.wait_for_value("celery_queue_delayed", 4, timeout_seconds=40)
        names = [
            dict(labels)["queue"]
            for name, labels in exporter.samples()
            if name == "celery_queue_length"
        ]
        assert [name for name in names if name.startswith("celery_delayed")] == []
