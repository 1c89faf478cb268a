"""A zombie made for real: it is alive and answers, and gets nothing to do any more."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from parts.exporter import Exporter
from parts.processes import wait_for
from parts.proxy import Proxy
from parts.valkey import Valkey
from parts.workers import Worker
from workload.app import make_app

pytestmark = pytest.mark.slow

SEEN_WITHIN_SECONDS = 60.0
STALLED = "celery_worker_stalled"
# What takes all slots of the busy worker, for longer than the test.
LONG_TASK = "workload.terminate"
MORE_THAN_A_WORKER_TAKES = 30


def test_a_worker_whose_consumer_is_cut_off_is_a_zombie_on_redis(valkey: Valkey) -> None:
    with (
        Exporter(valkey.url) as exporter,
        Proxy(valkey.port) as proxy,
        Worker(valkey.url.replace(str(valkey.port), str(proxy.port)), "zombie") as zombie,
        Worker(valkey.url, "busy", queues=("mail",)) as busy,
    ):
        _start(valkey.url, exporter, zombie, busy)
        consumers = proxy.links_that(lambda said: b"BRPOP" in said)
        assert consumers
        for consumer in consumers:
            consumer.black_hole()
        _tell_apart(valkey.url, exporter, zombie, busy)
        for consumer in consumers:
            consumer.heal()
        exporter.wait_for_value(STALLED, 0, worker=zombie.node)
        exporter.wait_for_value("celery_queue_length", 0, queue="celery")


def test_a_worker_whose_pool_hangs_is_a_zombie_on_rabbitmq(rabbitmq_url: str) -> None:
    # A consumer that RabbitMQ cancels is no zombie: celery 5.7 takes it for a lost connection.
    with (
        Exporter(rabbitmq_url) as exporter,
        Worker(rabbitmq_url, "zombie") as zombie,
        Worker(rabbitmq_url, "busy", queues=("mail",)) as busy,
    ):
        _start(rabbitmq_url, exporter, zombie, busy)
        pool = _children(zombie.child.pid)
        assert pool
        _signal(pool, signal.SIGSTOP)
        _tell_apart(rabbitmq_url, exporter, zombie, busy)
        _signal(pool, signal.SIGCONT)
        exporter.wait_for_value(STALLED, 0, worker=zombie.node)
        exporter.wait_for_value("celery_queue_length", 0, queue="celery")


def _children(pid: int) -> list[int]:
    """Return the processes that a worker has made for its pool."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        os.kill(pid, number)


def _start(url: str, exporter: Exporter, zombie: Worker, busy: Worker) -> None:
    """Return when both workers have worked, and all slots of *busy* are taken for long."""
    zombie.ready()
    busy.ready()
    with make_app(url) as app:
        app.send_task("workload.succeed", queue="celery")
        exporter.wait_for_value("celery_worker_processed_total", 1, worker=zombie.node)
        for _ in range(MORE_THAN_A_WORKER_TAKES):
            app.send_task(LONG_TASK, queue="mail")
    exporter.wait_for_value("celery_worker_active_tasks", 2, worker=busy.node)


def _tell_apart(url: str, exporter: Exporter, zombie: Worker, busy: Worker) -> None:
    """Publish, and return when only the zombie is called one, in time."""
    with make_app(url) as app:
        # A zombie may still take what it had asked for before, or can hold without working.
        for _ in range(MORE_THAN_A_WORKER_TAKES):
            app.send_task("workload.succeed", queue="celery")
    wait_for(
        lambda: exporter.value(STALLED, worker=zombie.node) == 1,
        SEEN_WITHIN_SECONDS,
        "the zombie to be seen",
    )
    assert exporter.value("celery_worker_up", worker=zombie.node) == 1
    assert exporter.sum("celery_queue_length", queue="celery") > 0
    assert exporter.value(STALLED, worker=busy.node) == 0
    assert exporter.sum("celery_queue_length", queue="mail") > 0
