"""The exporter's own event queue on RabbitMQ: what it keeps, and how its reader comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celeriac.brokers.event_queue import PREFETCH_COUNT
from faults.event_load import (
    DEFAULT_QUEUE,
    EVENTS_PER_LIFE,
    MESSAGES_PER_LIFE,
    EventLoad,
    connect,
    lives_counted,
    publish_lives,
    ready_messages,
    wait_for_lives,
)
from faults.wire_format import IS_FULL
from parts.exporter import Exporter
from parts.processes import wait_for
from parts.rabbitmq import RabbitMQ

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RECONNECTS = "celery_exporter_reconnects_total"
DELETED_SECONDS = 5.0
RESTARTED_SECONDS = 60.0
FILLED_SECONDS = 10.0
CLOSES = 5 if IS_FULL else 2
RESTARTS = 3 if IS_FULL else 1
SHORT = 999
SHORT_OPTION = f"--event-queue-length={SHORT}"


@pytest.fixture
def channel(rabbitmq_url: str) -> Iterator[Any]:
    with connect(rabbitmq_url) as connection:
        yield connection.channel()


def test_the_queue_is_a_classic_one_whatever_the_default_is(shared_rabbitmq: RabbitMQ) -> None:
    shared_rabbitmq.control("add_vhost", "quorum", "--default-queue-type", "quorum")
    shared_rabbitmq.control("set_permissions", "-p", "quorum", "guest", ".*", ".*", ".*")
    try:
        with Exporter(shared_rabbitmq.vhost_url("quorum")) as exporter:
            exporter.ready()
            listed = shared_rabbitmq.control("list_queues", "-p", "quorum", "name", "type")
            assert f"{DEFAULT_QUEUE}\tclassic" in listed
    finally:
        shared_rabbitmq.control("delete_vhost", "quorum")


# -- connections that end -----------------------------------------------------------------------


@pytest.fixture
def other_user_url(shared_rabbitmq: RabbitMQ, rabbitmq_url: str) -> Iterator[str]:
    """The same virtual host for a user that only the exporter is."""
    yield shared_rabbitmq.add_user("drilled", "drilled", rabbitmq_url.rpartition("/")[2])
    shared_rabbitmq.control("delete_user", "drilled")


def test_connections_that_are_closed_cost_no_event(
    shared_rabbitmq: RabbitMQ, rabbitmq_url: str, other_user_url: str
) -> None:
    with Exporter(other_user_url) as exporter:
        exporter.ready()
        with EventLoad(rabbitmq_url) as load:
            for number in range(1, CLOSES + 1):
                load.wait_for_more(1000)
                shared_rabbitmq.control("close_all_user_connections", "drilled", "drill")
                exporter.wait_for_value(RECONNECTS, number, source="events")
            lives = load.finish()
        wait_for_lives(exporter, lives)
        assert lives_counted(exporter) == {lives}
        assert exporter.sum("celery_task_succeeded_total") == lives
        assert exporter.value(RECONNECTS, source="events") == CLOSES


def test_a_deleted_queue_is_made_again_in_time(
    rabbitmq_url: str, channel: Any, record_property: Callable[[str, object], None]
) -> None:
    with Exporter(rabbitmq_url) as exporter:
        exporter.ready()
        publish_lives(channel, range(100))
        wait_for_lives(exporter, 100)
        began = time.monotonic()
        channel.queue_delete(DEFAULT_QUEUE)
        exporter.wait_for_value(RECONNECTS, 1, timeout_seconds=DELETED_SECONDS, source="events")
        seconds = time.monotonic() - began
        record_property("redeclare_seconds", round(seconds, 2))
        print(f"measured: redeclare_seconds {seconds:.2f}")
        publish_lives(channel, range(100, 200))
        wait_for_lives(exporter, 200)
        assert lives_counted(exporter) == {200}


def test_a_broker_that_starts_again_is_listened_to_again() -> None:
    with RabbitMQ() as node, Exporter(node.url) as exporter:
        exporter.ready()
        for number in range(1, RESTARTS + 1):
            _publish_a_hundred(node.url)
            wait_for_lives(exporter, number * 100)
            node.restart()
            exporter.wait_for_value(
                RECONNECTS, number, timeout_seconds=RESTARTED_SECONDS, source="events"
            )
        _publish_a_hundred(node.url)
        wait_for_lives(exporter, (RESTARTS + 1) * 100)
        assert lives_counted(exporter) == {(RESTARTS + 1) * 100}


def _publish_a_hundred(url: str) -> None:
    with connect(url) as connection:
        publish_lives(connection.channel(), range(100))


# -- an exporter that is away, or stands still ----------------------------------------------------


def test_what_happens_while_the_exporter_is_away_is_counted_when_it_is_back(
    rabbitmq_url: str, channel: Any
) -> None:
    with Exporter(rabbitmq_url) as exporter:
        exporter.ready()
        publish_lives(channel, range(100))
        wait_for_lives(exporter, 100)
    publish_lives(channel, range(100, 5000))
    with Exporter(rabbitmq_url) as exporter:
        wait_for_lives(exporter, 4900)
        assert lives_counted(exporter) == {4900}


def test_a_queue_that_is_full_drops_the_oldest(rabbitmq_url: str, channel: Any) -> None:
    lives = SHORT // MESSAGES_PER_LIFE
    with Exporter(rabbitmq_url, extra=[SHORT_OPTION]) as exporter:
        exporter.ready()
    publish_lives(channel, range(1000), name="oldest")
    publish_lives(channel, range(1000, 1000 + lives), name="newest")
    wait_for(lambda: ready_messages(channel) == SHORT, FILLED_SECONDS, "the queue to be full")
    with Exporter(rabbitmq_url, extra=[SHORT_OPTION]) as exporter:
        wait_for_lives(exporter, lives)
        exporter.wait_for_value("celery_task_succeeded_total", lives, task="newest", queue="celery")
        assert lives_counted(exporter) == {lives}


def test_an_exporter_that_stands_still_counts_what_it_was_sent_and_what_its_queue_holds(
    rabbitmq_url: str, channel: Any
) -> None:
    with Exporter(rabbitmq_url, extra=[SHORT_OPTION]) as exporter:
        exporter.ready()
        exporter.child.pause()
        try:
            publish_lives(channel, range(10_000))
            wait_for(lambda: ready_messages(channel) == SHORT, FILLED_SECONDS, "a full queue")
        finally:
            exporter.child.resume()
        messages = PREFETCH_COUNT + SHORT
        due = messages * EVENTS_PER_LIFE / MESSAGES_PER_LIFE
        wait_for_lives(exporter, messages // MESSAGES_PER_LIFE)
        assert abs(exporter.sum("celery_exporter_events_received_total") - due) < EVENTS_PER_LIFE
        assert exporter.value(RECONNECTS, source="events") == 0
