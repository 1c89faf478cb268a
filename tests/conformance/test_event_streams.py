"""Each broker's event stream, read our way and by its library: the same messages."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import amqp
import pytest
import redis

from celeriac import brokers
from celeriac.brokers.contract import BareMessage, Message
from celeriac.brokers.event_queue import EventQueue
from celeriac.celery_app import BrokerOptions, make_app
from parts.rabbitmq import RabbitMQ
from parts.valkey import Valkey

COUNT = 2_000
PATIENCE_SECONDS = 30.0


@pytest.fixture(scope="module")
def bodies() -> list[bytes]:
    """Return messages of every size, most of them small, some larger than any buffer."""
    dice = random.Random(7)
    sizes = [dice.choice((1, 80, 700, 1500, 5000)) for _ in range(COUNT)]
    sizes[100], sizes[1000], sizes[-1] = 70_000, 600_000, 1_500_000
    return [dice.randbytes(size) for size in sizes]


@pytest.fixture
def subscribed() -> Iterator[Callable[..., Any]]:
    streams = []

    def subscribe(url: str, *, is_durable: bool = True) -> Any:
        options = BrokerOptions(url)
        queue = EventQueue("conformance", is_durable, max_length=200_000)
        streams.append(brokers.subscribe(options.scheme, make_app(options), queue))
        return streams[-1]

    yield subscribe
    for stream in streams:
        stream.close()


def received(stream: Any, count: int) -> list[Message]:
    """Return *count* messages, fewer if they do not come."""
    found: list[Message] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(found) < count and time.monotonic() < deadline:
        found += stream.receive()
    return found


def test_redis(valkey: Valkey, subscribed: Callable[..., Any], bodies: Sequence[bytes]) -> None:
    channel = "/0.celeryev/task.multi"
    stream = subscribed(valkey.url)
    with valkey.client() as publisher, redis.Redis(port=valkey.port) as client:
        library = client.pubsub(ignore_subscribe_messages=True)
        library.psubscribe("/0.celeryev/*")
        library.get_message(timeout=1)
        for body in bodies:
            publisher.publish(channel, body)
        ours = received(stream, len(bodies))
        theirs = [message["data"] for _ in bodies if (message := _next(library)) is not None]
    assert theirs == list(bodies)
    assert ours == theirs


def _next(library: Any) -> dict[str, Any] | None:
    message: dict[str, Any] | None = library.get_message(timeout=5)
    return message


@pytest.mark.parametrize("is_durable", [True, False], ids=["durable", "transient"])
def test_rabbitmq(
    shared_rabbitmq: RabbitMQ,
    subscribed: Callable[..., Any],
    bodies: Sequence[bytes],
    is_durable: bool,
) -> None:
    theirs: list[BareMessage] = []
    stream = subscribed(shared_rabbitmq.url, is_durable=is_durable)
    with amqp.Connection(f"127.0.0.1:{shared_rabbitmq.port}") as connection:
        channel = connection.channel()
        channel.auto_decode = False
        queue = channel.queue_declare("", exclusive=True).queue
        channel.queue_bind(queue, "celeryev", "#")
        channel.basic_consume(queue, no_ack=True, callback=lambda m: theirs.append(_bare(m)))
        for number, body in enumerate(bodies):
            channel.basic_publish(_message(number, body), "celeryev", "task.multi")
        ours = received(stream, len(bodies))
        while len(theirs) < len(bodies):
            connection.drain_events(timeout=5)
        channel.queue_delete("celeriac.events.conformance")
    assert [message.body for message in theirs] == list(bodies)
    assert ours == theirs


def _message(number: int, body: bytes) -> amqp.Message:
    """Return a message with usual properties, or every third time with others."""
    usual = {"content_type": "application/json", "content_encoding": "utf-8"}
    others = {"content_type": "text/x", "application_headers": {"compression": "gzip", "n": number}}
    return amqp.Message(body, **(others if number % 3 == 0 else usual))


def _bare(message: amqp.Message) -> BareMessage:
    properties = message.properties
    return BareMessage(
        message.body,
        properties.get("content_type"),
        properties.get("content_encoding"),
        (properties.get("application_headers") or {}).get("compression"),
    )
