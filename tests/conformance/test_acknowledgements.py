"""RabbitMQ forgets an event when it has been counted, and not before."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import amqp
import pytest

from celeriac import brokers
from celeriac.brokers.contract import BareMessage
from celeriac.brokers.event_queue import PREFETCH_COUNT, EventQueue
from celeriac.celery_app import BrokerOptions, make_app
from celeriac.errors import BrokerError
from parts.processes import wait_for
from parts.rabbitmq import RabbitMQ

PATIENCE_SECONDS = 30.0
names = (f"acknowledged-{number}" for number in itertools.count())


@pytest.fixture
def queue(shared_rabbitmq: RabbitMQ) -> Iterator[EventQueue]:
    made = EventQueue(next(names), is_durable=True, max_length=30_000)
    yield made
    with amqp.Connection(f"127.0.0.1:{shared_rabbitmq.port}") as connection:
        connection.channel().queue_delete(made.name)


@pytest.fixture
def subscribed(shared_rabbitmq: RabbitMQ, queue: EventQueue) -> Iterator[Callable[[], Any]]:
    streams = []
    options = BrokerOptions(shared_rabbitmq.url)

    def subscribe() -> Any:
        streams.append(brokers.subscribe(options.scheme, make_app(options), queue))
        return streams[-1]

    yield subscribe
    for stream in streams:
        stream.close()


@pytest.fixture
def channel(shared_rabbitmq: RabbitMQ) -> Iterator[Any]:
    with amqp.Connection(f"127.0.0.1:{shared_rabbitmq.port}") as connection:
        yield connection.channel()


def publish(channel: Any, numbers: Sequence[int]) -> None:
    for number in numbers:
        channel.basic_publish(amqp.Message(b"%d" % number), "celeryev", "task.multi")


def received(stream: Any, count: int) -> list[int]:
    """Return *count* messages; whatever came before the last read is acknowledged."""
    found: list[BareMessage] = []

    def receive() -> bool:
        found.extend(stream.receive())
        return len(found) >= count

    wait_for(receive, PATIENCE_SECONDS, f"{count} messages")
    return [int(message.body) for message in found]


def waiting(channel: Any, queue: EventQueue) -> int:
    """Return how many messages there are when nobody consumes any more."""
    wait_for(
        lambda: channel.queue_declare(queue.name, passive=True).consumer_count == 0,
        PATIENCE_SECONDS,
        "the end of the consumer",
    )
    return int(channel.queue_declare(queue.name, passive=True).message_count)


def drop(stream: Any, channel: Any, queue: EventQueue) -> int:
    """End the connection as a crash does; return how many messages wait then."""
    stream._link.transport.sock.close()
    with suppress(Exception):
        stream._connection.collect()
    return waiting(channel, queue)


def test_what_was_only_returned_comes_again(
    subscribed: Callable[[], Any], channel: Any, queue: EventQueue
) -> None:
    stream = subscribed()
    publish(channel, [1])
    assert received(stream, 1) == [1]
    assert drop(stream, channel, queue) == 1


def test_asking_for_more_acknowledges(
    subscribed: Callable[[], Any], channel: Any, queue: EventQueue
) -> None:
    stream = subscribed()
    publish(channel, range(1000))
    assert received(stream, 1000) == [*range(1000)]
    assert stream.receive() == ()
    assert drop(stream, channel, queue) == 0


def test_closing_acknowledges_all_that_was_returned_alone(
    subscribed: Callable[[], Any], channel: Any, queue: EventQueue
) -> None:
    stream = subscribed()
    publish(channel, range(20_000))
    count = len(received(stream, 100))
    stream.close()
    assert waiting(channel, queue) == 20_000 - count


def test_nothing_is_held_back_while_asking_goes_on(
    subscribed: Callable[[], Any], channel: Any
) -> None:
    stream = subscribed()
    count = 3 * PREFETCH_COUNT
    publish(channel, range(count))
    assert received(stream, count) == [*range(count)]


def test_a_lost_connection_returns_nothing_twice(
    subscribed: Callable[[], Any], channel: Any, queue: EventQueue
) -> None:
    stream = subscribed()
    publish(channel, range(10_000))
    found = received(stream, 100)
    assert drop(stream, channel, queue) > 10_000 - len(found)
    again = subscribed()
    found += received(again, 10_000 - len(found))
    assert found == [*range(10_000)]
    assert again.receive() == ()


def test_a_connection_that_is_lost_again_and_again_returns_nothing_twice(
    subscribed: Callable[[], Any], channel: Any, queue: EventQueue
) -> None:
    subscribed().close()
    publish(channel, range(10_000))
    found: list[int] = []
    while len(found) < 10_000:
        stream = subscribed()
        found += received(stream, 1)
        drop(stream, channel, queue)
    assert found == [*range(10_000)]


def test_a_queue_that_had_to_be_made_has_kept_nothing(subscribed: Callable[[], Any]) -> None:
    assert not subscribed().has_kept_events


def test_a_queue_that_was_there_has_kept_events(
    subscribed: Callable[[], Any], channel: Any
) -> None:
    subscribed().close()
    publish(channel, range(3))
    again = subscribed()
    assert again.has_kept_events
    assert received(again, 3) == [0, 1, 2]


def test_a_queue_that_is_full_has_not_kept_all_events(
    subscribed: Callable[[], Any], channel: Any, queue: EventQueue
) -> None:
    subscribed().close()
    publish(channel, range(queue.max_length))
    wait_for(lambda: waiting(channel, queue) == queue.max_length, PATIENCE_SECONDS, "a full queue")
    assert not subscribed().has_kept_events


def test_an_error_leaves_no_connection_behind(
    shared_rabbitmq: RabbitMQ, subscribed: Callable[[], Any]
) -> None:
    def connections() -> set[str]:
        return set(shared_rabbitmq.control("list_connections", "--no-table-headers", "pid").split())

    # Other tests share the node and may have left some of theirs open.
    there_before = connections()
    subscribed()
    for _ in range(3):
        with pytest.raises(BrokerError):
            subscribed()
    # The node shows one that was closed a moment longer.
    wait_for(
        lambda: len(connections() - there_before) == 1,
        PATIENCE_SECONDS,
        "an end of all connections but the one that works",
    )
