"""Who may read the event queue on RabbitMQ, and what is said to those who may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from faults.event_load import (
    DEFAULT_QUEUE,
    connect,
    lives_counted,
    publish_lives,
    wait_for_lives,
)
from parts.exporter import Exporter
from parts.rabbitmq import RabbitMQ

pytestmark = pytest.mark.slow

READY_SECONDS = 10.0
# A refusal is asked about again after 15 seconds.
TAKE_OVER_SECONDS = 30.0
ASKING = r"(.*\.)?reply\.celery\.pidbox"
# Configure, write and read for all that the exporter does, as docs/rabbitmq.md has them.
PERMISSIONS = {
    "durable": (
        rf"^(celeriac\.events\..*|{ASKING}|celery\.pidbox)$",
        rf"^(celeriac\.events\..*|{ASKING}|celery\.pidbox)$",
        rf"^(celeriac\.events\..*|{ASKING}|celeryev)$",
    ),
    "transient": (
        rf"^(celeryev\..*|{ASKING}|celery\.pidbox)$",
        rf"^(celeryev\..*|{ASKING}|celery\.pidbox)$",
        rf"^(celeryev\..*|{ASKING}|celeryev)$",
    ),
}


@pytest.fixture
def channel(rabbitmq_url: str) -> Iterator[Any]:
    with connect(rabbitmq_url) as connection:
        channel = connection.channel()
        # By whoever sends events first: the exporter needs no permission to make it.
        channel.exchange_declare("celeryev", "topic", durable=True, auto_delete=False)
        yield channel


class Restricted:
    """A user of one virtual host who may do what one of PERMISSIONS says."""

    def __init__(self, node: RabbitMQ, vhost_url: str) -> None:
        self._node = node
        self._vhost = vhost_url.rpartition("/")[2]

    def url(self, permissions: str, also_reads: str = "") -> str:
        configure, write, read = PERMISSIONS[permissions]
        allowed = configure, write, f"{read}|^{also_reads}$"
        self._node.control("set_permissions", "-p", self._vhost, "restricted", *allowed)
        return self._node.vhost_url(self._vhost, "restricted", "canary5ecret")


@pytest.fixture
def restricted(shared_rabbitmq: RabbitMQ, rabbitmq_url: str) -> Iterator[Restricted]:
    shared_rabbitmq.control("add_user", "restricted", "canary5ecret")
    yield Restricted(shared_rabbitmq, rabbitmq_url)
    shared_rabbitmq.control("delete_user", "restricted")


def wait_for_refusal(exporter: Exporter) -> str:
    """Return the log once ``/readyz`` says ``auth``."""
    child = exporter.child
    child.wait_until(lambda: _readiness(exporter) == (503, "auth"), READY_SECONDS, "a refusal")
    assert "canary5ecret" not in child.log_text()
    return child.log_text()


def _readiness(exporter: Exporter) -> tuple[int, str]:
    response = requests.get(f"{exporter.url}/readyz", timeout=5)
    return response.status_code, response.text.strip()


@pytest.mark.parametrize("event_queue", PERMISSIONS)
def test_few_permissions_suffice(restricted: Restricted, channel: Any, event_queue: str) -> None:
    url = restricted.url(event_queue)
    with Exporter(url, extra=["--event-queue", event_queue]) as exporter:
        exporter.ready()
        publish_lives(channel, range(100))
        wait_for_lives(exporter, 100)
        assert lives_counted(exporter) == {100}


def test_a_queue_that_may_not_be_seen_hides_no_other(restricted: Restricted, channel: Any) -> None:
    for queue in ("hidden", "seen"):
        channel.queue_declare(queue, durable=True, auto_delete=False)
    url = restricted.url("transient", also_reads="seen")
    extra = ["--event-queue", "transient"]
    with Exporter(url, queues=["hidden", "seen"], extra=extra) as exporter:
        exporter.ready()
        assert exporter.value("celery_queue_length", queue="seen") == 0


@pytest.mark.usefixtures("channel")
def test_who_may_not_have_a_durable_queue_is_told_of_the_other(restricted: Restricted) -> None:
    with Exporter(restricted.url("transient")) as exporter:
        log = wait_for_refusal(exporter)
    assert DEFAULT_QUEUE in log
    assert "--event-queue transient" in log


def test_a_queue_of_another_length_is_not_used(rabbitmq_url: str) -> None:
    with Exporter(rabbitmq_url) as exporter:
        exporter.ready()
    with Exporter(rabbitmq_url, extra=["--event-queue-length=7"]) as exporter:
        log = wait_for_refusal(exporter)
    assert DEFAULT_QUEUE in log
    assert "delete it" in log
    assert "--instance" in log


def test_a_second_exporter_of_the_same_instance_takes_over_when_the_first_leaves(
    rabbitmq_url: str, channel: Any
) -> None:
    with Exporter(rabbitmq_url) as first:
        first.ready()
        with Exporter(rabbitmq_url) as second:
            wait_for_refusal(second)
            publish_lives(channel, range(100))
            wait_for_lives(first, 100)
            first.child.terminate()
            publish_lives(channel, range(100, 300))
            second.ready(TAKE_OVER_SECONDS)
            wait_for_lives(second, 200)
            assert lives_counted(second) == {200}


def test_a_second_exporter_of_the_same_instance_is_told_what_to_do(rabbitmq_url: str) -> None:
    with Exporter(rabbitmq_url) as first:
        first.ready()
        with Exporter(rabbitmq_url) as second:
            log = wait_for_refusal(second)
        assert "another exporter" in log
        assert "--instance" in log
        assert first.is_ready


def test_two_exporters_of_different_instances_count_everything_each(
    rabbitmq_url: str, channel: Any
) -> None:
    with (
        Exporter(rabbitmq_url) as one,
        Exporter(rabbitmq_url, extra=["--instance=spare"]) as other,
    ):
        for exporter in (one, other):
            exporter.ready()
        publish_lives(channel, range(100))
        for exporter in (one, other):
            wait_for_lives(exporter, 100)
            assert lives_counted(exporter) == {100}
