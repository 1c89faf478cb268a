"""How old a queue is: never more than is true, and less than one sample behind it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from faults.wire_format import IS_FULL
from parts.exporter import Exporter
from parts.rabbitmq import RabbitMQ
from parts.valkey import Valkey
from parts.workers import Worker
from workload.app import make_app

AGE = "celery_queue_oldest_message_age_seconds"
UNACKED_AGE = "celery_queue_oldest_unacked_age_seconds"
RISK = "celery_queue_redelivery_risk"
LOOKED = "celery_exporter_source_last_success_timestamp_seconds"
STOPPED_SECONDS = 60.0 if IS_FULL else 8.0
INTERVAL_SECONDS = 1.0
# A sample is taken, the page asked for and read.
READING_SECONDS = 0.5
VISIBILITY_SECONDS = 4
EXTRA = ("--queue-interval", str(INTERVAL_SECONDS), "--worker-interval", "2")
APP = "workload.configured_app"
IMPATIENT = {"visibility_timeout": VISIBILITY_SECONDS}
# Kombu's own pause is a hundred seconds.
BUSTLING = IMPATIENT | {"unacked_restore_interval": 1, "unacked_restore_throttle": 1}


def configured(**options: int) -> dict[str, str]:
    """Return the environment of a worker with these transport options."""
    return {"CONFIGURATION": json.dumps({"broker_transport_options": options})}


pytestmark = [pytest.mark.slow, pytest.mark.timeout(STOPPED_SECONDS + 240)]


@pytest.fixture(params=["valkey", "rabbitmq"])
def url(request: pytest.FixtureRequest) -> str:
    name = "rabbitmq_url" if request.param == "rabbitmq" else "valkey"
    broker = request.getfixturevalue(name)
    return broker if isinstance(broker, str) else str(broker.url)


@pytest.fixture
def app(url: str) -> Iterator[Any]:
    with make_app(url) as made:
        yield made


def follow(exporter: Exporter, began: float, seconds: float) -> None:
    """Compare the age on the page with the truth, again and again for so long."""
    exporter.child.wait_until(lambda: exporter.value(AGE, queue="celery"), 15, "an age")
    while time.monotonic() - began < seconds:
        before = time.monotonic() - began
        age = exporter.value(AGE, queue="celery")
        after = time.monotonic() - began
        assert age is not None
        assert before - INTERVAL_SECONDS - READING_SECONDS <= age <= after + READING_SECONDS / 10


def test_a_queue_that_stands_still_gets_old_in_time(url: str, app: Any) -> None:
    with Exporter(url, extra=EXTRA) as exporter, Worker(url, "stopped") as worker:
        exporter.ready()
        worker.ready()
        app.send_task("workload.succeed", queue="celery")
        exporter.wait_for_value("celery_worker_processed_total", 1, worker=worker.node)
        exporter.wait_for_value("celery_worker_events_enabled", 1, worker=worker.node)
        worker.child.terminate()
        exporter.wait_for_value(AGE, 0, queue="celery")
        began = time.monotonic()
        for _ in range(3):
            app.send_task("workload.succeed", queue="celery")
        follow(exporter, began, STOPPED_SECONDS)
        with worker:
            exporter.wait_for_value(AGE, 0, queue="celery", timeout_seconds=30)


def test_a_message_with_an_eta_makes_no_queue_old(url: str, app: Any) -> None:
    with Exporter(url, extra=EXTRA, queues=("celery",)) as exporter:
        exporter.ready()
        _declare(app)
        app.send_task("workload.succeed", queue="celery", countdown=600)
        exporter.wait_for_value("celery_queue_length", 1, queue="celery")
        _stays_young(exporter)


def test_an_old_message_of_low_priority_counts(valkey: Valkey) -> None:
    with (
        Exporter(valkey.url, extra=EXTRA, queues=("celery",)) as exporter,
        make_app(valkey.url) as app,
    ):
        exporter.ready()
        began = time.monotonic()
        app.send_task("workload.succeed", queue="celery", priority=9)
        for _ in range(3):
            time.sleep(INTERVAL_SECONDS)
            app.send_task("workload.succeed", queue="celery", priority=0)
        follow(exporter, began, 6)


def test_messages_from_before_the_exporter_are_as_old_as_it_has_seen_them(valkey: Valkey) -> None:
    published = time.monotonic()
    with make_app(valkey.url) as app:
        app.send_task("workload.succeed", queue="celery")
    with Exporter(valkey.url, extra=EXTRA) as exporter:
        exporter.child.wait_until(lambda: exporter.sum(AGE) >= 3, 30, "three seconds")
        assert exporter.sum(AGE) < time.monotonic() - published


def test_a_message_that_came_back_from_a_dead_worker_is_young(valkey: Valkey) -> None:
    with (
        Exporter(valkey.url, extra=EXTRA) as exporter,
        make_app(valkey.url) as app,
        Worker(valkey.url, "dies", app=APP, concurrency=1, env=configured(**IMPATIENT)) as dies,
    ):
        exporter.ready()
        dies.ready()
        for _ in range(3):
            app.send_task("configured.sleep", args=[600], queue="celery")
        exporter.wait_for_value("celery_queue_unacked", 2, queue="celery")
        exporter.child.wait_until(lambda: exporter.sum(UNACKED_AGE) > 2, 15, "an unacked age")
        dies.child.kill()
        with Worker(valkey.url, "brings", app=APP, queues=("mail",), env=configured(**BUSTLING)):
            exporter.wait_for_value("celery_queue_length", 2, queue="celery", timeout_seconds=60)
            assert exporter.sum(AGE, queue="celery") < VISIBILITY_SECONDS / 2


def test_what_waits_behind_messages_that_came_back_keeps_its_age(valkey: Valkey) -> None:
    with (
        Exporter(valkey.url, extra=EXTRA) as exporter,
        make_app(valkey.url) as app,
        Worker(valkey.url, "dies", app=APP, concurrency=1, env=configured(**IMPATIENT)) as dies,
    ):
        exporter.ready()
        dies.ready()
        app.send_task("configured.succeed", queue="celery")
        exporter.wait_for_value("celery_worker_events_enabled", 1, worker=dies.node)
        began = time.monotonic()
        # One runs, four are held, three wait.
        for _ in range(8):
            app.send_task("configured.sleep", args=[600], queue="celery")
        exporter.wait_for_value("celery_queue_length", 3, queue="celery")
        # What the worker had not told when it was killed would be missed, and nothing proven.
        sleeping = {"task": "configured.sleep", "queue": "celery"}
        exporter.wait_for_value("celery_task_received_total", 5, **sleeping)
        exporter.wait_for_value("celery_task_started_total", 1, **sleeping)
        dies.child.kill()
        with Worker(valkey.url, "brings", app=APP, queues=("mail",), env=configured(**BUSTLING)):
            exporter.wait_for_value("celery_queue_length", 7, queue="celery", timeout_seconds=60)
            # Until it has said what it consumes, it might be one that takes from here unseen.
            exporter.wait_for_value("celery_queue_consumers", 1, queue="mail")
            known = time.time()
            exporter.child.wait_until(
                lambda: exporter.sum(LOOKED, source="queues") > known, 15, "a look at the queues"
            )
            follow(exporter, began, time.monotonic() - began + 3)


def test_a_stamped_message_that_came_back_is_young_on_rabbitmq(
    shared_rabbitmq: RabbitMQ, rabbitmq_url: str
) -> None:
    extra = (*EXTRA, "--broker-management-url", shared_rabbitmq.management_url)
    with (
        Exporter(rabbitmq_url, extra=extra) as exporter,
        make_app(rabbitmq_url) as app,
        Worker(rabbitmq_url, "dies", app=APP, concurrency=1) as dies,
    ):
        dies.ready()
        exporter.wait_for_value("celery_queue_length", 0, queue="celery")
        stamp = int(time.time()) - 100
        for _ in range(3):
            app.send_task("configured.sleep", args=[600], queue="celery", timestamp=stamp)
        exporter.wait_for_value("celery_queue_unacked", 2, queue="celery")
        dies.child.kill()
        back = time.monotonic()
        exporter.wait_for_value("celery_queue_length", 2, queue="celery")
        exporter.child.wait_until(lambda: exporter.sum(AGE) > 1, 30, "an age")
        assert exporter.sum(AGE) <= time.monotonic() - back


def test_an_eta_beyond_the_visibility_timeout_is_a_risk(valkey: Valkey) -> None:
    with (
        Exporter(valkey.url, extra=EXTRA) as exporter,
        make_app(valkey.url) as app,
        Worker(valkey.url, "holds", app=APP, env=configured(**IMPATIENT)) as holds,
    ):
        exporter.ready()
        holds.ready()
        app.send_task("configured.succeed", queue="celery", countdown=600)
        exporter.wait_for_value(RISK, 1, queue="celery", timeout_seconds=30)
        assert exporter.value(UNACKED_AGE, queue="celery") == 0


def test_the_stamp_of_a_message_counts_on_rabbitmq(
    shared_rabbitmq: RabbitMQ, rabbitmq_url: str
) -> None:
    extra = (*EXTRA, "--broker-management-url", shared_rabbitmq.management_url)
    with make_app(rabbitmq_url) as app:
        _declare(app)
        began = time.monotonic()
        stamp = int(time.time()) - 100
        app.send_task("workload.succeed", queue="celery", timestamp=stamp)
        with Exporter(rabbitmq_url, extra=extra, queues=("celery",)) as exporter:
            exporter.wait_for_value("celery_queue_length", 1, queue="celery")
            exporter.child.wait_until(lambda: exporter.sum(AGE) >= 100, 15, "the stamp's age")
            assert exporter.sum(AGE) <= 101 + time.monotonic() - began


def _declare(app: Any) -> None:
    """Make the queue, as no worker does it here."""
    with app.connection_for_write() as connection:
        for queue in app.conf.task_queues:
            queue(connection).declare()


def _stays_young(exporter: Exporter) -> None:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        assert not exporter.value(AGE, queue="celery")
        time.sleep(INTERVAL_SECONDS)
