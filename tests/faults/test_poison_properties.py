"""AMQP messages whose properties a client library trips over: each costs only itself."""

from __future__ import annotations

from collections.abc import Iterator

import amqp
import pytest

from faults.wire_format import EXCHANGE, JSON, encode, task_event
from parts.exporter import Exporter
from parts.rabbitmq import RabbitMQ

pytestmark = pytest.mark.slow

BODY = encode(task_event("received", name="poison.task", queue="poison")).body
# Python's own codec makes a lone surrogate of this, which cannot be written as UTF-8.
SURROGATE = b"\\ud800"
MESSAGES: dict[str, tuple[bytes, dict[str, object]]] = {
    "a codec that makes a surrogate": (
        SURROGATE,
        {"content_type": JSON, "content_encoding": "unicode_escape"},
    ),
    "a codec that makes no text": (BODY, {"content_type": JSON, "content_encoding": "rot13"}),
    "no properties": (BODY, {}),
    "a header that is no text": (
        BODY,
        {
            "content_type": JSON,
            "content_encoding": "utf-8",
            "application_headers": {"compression": ["gzip"]},
        },
    ),
    # py-amqp itself stops in the middle of the frames of this one.
    "properties that are no UTF-8": (BODY, {"content_type": b"\xff\xfe"}),
}


@pytest.fixture
def channel(shared_rabbitmq: RabbitMQ) -> Iterator[amqp.Channel]:
    with amqp.Connection(f"127.0.0.1:{shared_rabbitmq.port}") as connection:
        yield connection.channel()


@pytest.fixture
def exporter(shared_rabbitmq: RabbitMQ) -> Iterator[Exporter]:
    # A queue of its own: another may hold what was published for others.
    with Exporter(shared_rabbitmq.url, extra=["--instance=properties"]) as page:
        page.ready()
        yield page


@pytest.mark.parametrize("message", MESSAGES)
def test_it_costs_only_itself(exporter: Exporter, channel: amqp.Channel, message: str) -> None:
    body, properties = MESSAGES[message]
    channel.basic_publish(amqp.Message(body, **properties), EXCHANGE, "task.multi")
    _publish_good(channel)
    exporter.child.wait_until(lambda: _counts(exporter) == (1, 1), 5.0, "one of two to count")
    assert exporter.sum("celery_exporter_reconnects_total") == 0


def _counts(exporter: Exporter) -> tuple[float, float]:
    """Return how many events were received, and how many messages rejected."""
    return (
        exporter.sum("celery_exporter_events_received_total"),
        exporter.sum("celery_exporter_events_rejected_total"),
    )


def _publish_good(channel: amqp.Channel) -> None:
    good = amqp.Message(BODY, content_type=JSON, content_encoding="utf-8")
    channel.basic_publish(good, EXCHANGE, "task.multi")
