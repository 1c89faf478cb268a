"""How events come to this exporter on RabbitMQ: its queue, and every way of being refused it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from amqp import exceptions
from kombu import Connection, Exchange

from celeriac.brokers.event_queue import PREFETCH_COUNT, EventQueue
from celeriac.celery_app import address, brief
from celeriac.errors import BrokerRefusedError

# The prefix of Celery's own event queues, which permissions for Celery's monitors cover.
TRANSIENT_PREFIX = "celeryev.celeriac."
# A queue that no exporter has come back to for this long is nobody's.
EXPIRES_AFTER_SECONDS = 3600
# Whatever its length, it must not be what fills the broker's memory: that would stop everybody.
MAX_BYTES = 512 * 1024 * 1024


class Subscription(NamedTuple):
    """A channel with one consumer of events."""

    channel: Any
    is_acknowledged: bool
    has_kept_events: bool


def open_subscription(
    connection: Connection, event_exchange: str, queue: EventQueue
) -> Subscription:
    """Consume every event from now on. Errors: BrokerRefusedError, and py-amqp's own."""
    _ensure_exchange(connection, event_exchange)
    if queue.is_durable:
        with _refusals_explained(address(connection), queue.name, event_exchange):
            return _consume_durable(connection, event_exchange, queue)
    return _consume_transient(connection, event_exchange, queue)


def _ensure_exchange(connection: Connection, name: str) -> None:
    """Declare the exchange if nobody has yet: only that takes a permission."""
    if not _ask(connection, lambda channel: _has_exchange(channel, name)):
        # The same declaration as the workers' own (celery.events.event).
        Exchange(name, type="topic", channel=connection.channel()).declare()


def _consume_durable(connection: Connection, exchange: str, queue: EventQueue) -> Subscription:
    """Consume the queue that keeps events while this exporter is away, alone."""
    found = _ask(connection, lambda channel: channel.queue_declare(queue.name, passive=True))
    channel = connection.channel()
    arguments = _arguments(queue) | {
        "x-max-length-bytes": MAX_BYTES,
        "x-expires": EXPIRES_AFTER_SECONDS * 1000,
    }
    channel.queue_declare(queue.name, durable=True, auto_delete=False, arguments=arguments)
    channel.queue_bind(queue.name, exchange, routing_key="#")
    channel.basic_qos(0, PREFETCH_COUNT, a_global=False)
    channel.basic_consume(queue.name, exclusive=True)
    # A queue that is full has dropped events.
    has_kept_events = found is not None and found.message_count < queue.max_length
    return Subscription(channel, is_acknowledged=True, has_kept_events=has_kept_events)


def _consume_transient(connection: Connection, exchange: str, queue: EventQueue) -> Subscription:
    """Consume a queue that is gone when its connection is."""
    channel = connection.channel()
    name = f"{TRANSIENT_PREFIX}{uuid.uuid4()}"
    channel.queue_declare(
        name, durable=False, exclusive=True, auto_delete=True, arguments=_arguments(queue)
    )
    channel.queue_bind(name, exchange, routing_key="#")
    channel.basic_consume(name, no_ack=True)
    return Subscription(channel, is_acknowledged=False, has_kept_events=False)


def _arguments(queue: EventQueue) -> dict[str, Any]:
    """Return what both kinds have: a type, whatever the default is, and a bound."""
    return {
        "x-queue-type": "classic",
        "x-max-length": queue.max_length,
        "x-overflow": "drop-head",
    }


def _has_exchange(channel: Any, name: str) -> bool:
    channel.exchange_declare(name, "topic", passive=True)
    return True


def _ask(connection: Connection, passively: Callable[[Any], Any]) -> Any:
    """Return the answer to a passive declaration, None if there is no such thing.

    RabbitMQ wants no permission for it, since 4.2.6 any, and closes the channel when there is none.
    """
    channel = connection.channel()
    try:
        answer = passively(channel)
    except exceptions.NotFound:
        return None
    channel.close()
    return answer


@contextmanager
def _refusals_explained(broker: str, queue: str, exchange: str) -> Iterator[None]:
    """Say what a refusal means, and what to do about it."""
    try:
        yield
    except (exceptions.PreconditionFailed, exceptions.ResourceLocked) as error:
        raise BrokerRefusedError(
            f"{broker}: queue {queue} is there with other properties: delete it, or choose "
            f"another --instance ({brief(error)})"
        ) from error
    except exceptions.AccessRefused as error:
        if "exclusive use" in str(error):
            raise BrokerRefusedError(
                f"{broker}: another exporter consumes queue {queue}, or the broker has not seen "
                "it go: each needs an --instance of its own, or takes over when the other leaves"
            ) from error
        raise BrokerRefusedError(
            f"{broker}: no permission: queue {queue} needs configure, write and read, exchange "
            f"{exchange} read; with --event-queue transient it is queues celeryev.* instead "
            f"({brief(error)})"
        ) from error
