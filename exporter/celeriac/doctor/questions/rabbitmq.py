"""Celery's objects in RabbitMQ, looked at without making any: passive, or as Celery declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

import amqp
import msgspec
from celery import Celery
from kombu import Connection, Exchange

from celeriac.brokers.event_queue import EVENT_QUEUE_PREFIX
from celeriac.celery_app import AMQP_HEARTBEAT_SECONDS, brief
from celeriac.doctor.broker_facts import (
    Asked,
    BrokerFacts,
    EventQueueFacts,
    Names,
    Pidbox,
    RabbitFacts,
)
from celeriac.doctor.questions.http import Address, Web, answer_or_reason
from celeriac.doctor.unexamined import Unexamined
from celeriac.model.facts import QueueDepth
from celeriac.session import Session

Answer = TypeVar("Answer")

_PIDBOX = ".pidbox"
# Celery's workers listen to each other's events (gossip), and so do our own subscriptions.
_GOSSIP, _OURS = "celeryev.", "celeryev.celeriac."
_NO_API = Unexamined("only RabbitMQ's management API can list them: --broker-management-url")

_Text = Annotated[str, msgspec.Meta(max_length=1000)]


class _Queue(msgspec.Struct, gc=False):
    name: _Text
    vhost: _Text


class _Binding(msgspec.Struct, gc=False):
    source: _Text
    destination: _Text


class RabbitSide:
    """One connection, with a channel for each question: RabbitMQ closes it with a no."""

    def __init__(self, app: Celery, asked: Asked, management_url: str | None) -> None:
        self._asked = asked
        self._session: Session[Connection] = Session(
            app, lambda connection: connection, heartbeat=AMQP_HEARTBEAT_SECONDS
        )
        connection = app.connection_for_write(app.conf.first("broker_url"))
        self._vhost: str = connection.virtual_host or "/"
        self._web = Web(_api(connection, management_url)) if management_url else None
        self._objects: RabbitFacts | None = None

    def look(self) -> None:
        events, control = self._asked.event_exchange, f"{self._asked.control_exchange}{_PIDBOX}"
        with self._session.use() as connection:
            has_events = _has(connection, lambda channel: _declare(channel, events, "topic"))
            has_control = _has(connection, lambda channel: _declare(channel, control, "fanout"))
            conflict = _conflict(connection, events) if has_events else None
        self._objects = RabbitFacts(
            asked=self._asked,
            vhost=self._vhost,
            has_event_exchange=has_events,
            has_control_exchange=has_control,
            event_exchange_conflict=conflict,
            pidboxes=self._ask_api(_all_pidboxes),
            is_api_configured=self._web is not None,
        )

    def overhear(self, seconds: float) -> None:
        with self._session.use() as connection:
            with suppress(TimeoutError):
                connection.drain_events(timeout=seconds)
            connection.heartbeat_check()

    def facts(self) -> BrokerFacts:
        not_this = Unexamined("the broker is not Redis")
        if self._objects is None:
            return BrokerFacts.none(not_this)
        return BrokerFacts(not_this, self._objects, self._event_queue(), self._names())

    def _event_queue(self) -> EventQueueFacts | Unexamined:
        if not self._asked.keeps_events:
            return Unexamined("--event-queue transient: events do not wait for an exporter")
        name = EVENT_QUEUE_PREFIX + self._asked.instance
        with self._session.use() as connection:
            return EventQueueFacts(self._asked, name, _depth(connection, name))

    def _names(self) -> Names | Unexamined:
        """Return the exchanges in use in our virtual host, as far as the API tells."""
        pidboxes = self._ask_api(_all_pidboxes)
        events = self._ask_api(lambda web: _event_exchanges(web, self._vhost))
        if isinstance(pidboxes, Unexamined):
            return pidboxes
        if isinstance(events, Unexamined):
            return events
        control: dict[str, frozenset[str]] = {}
        for pidbox in pidboxes:
            if pidbox.vhost == self._vhost:
                listeners = control.get(pidbox.control_exchange, frozenset())
                control[pidbox.control_exchange] = listeners | {pidbox.worker}
        return Names(self._asked, control, events)

    def _ask_api(self, ask: Callable[[Web], Answer]) -> Answer | Unexamined:
        web = self._web
        return _NO_API if web is None else answer_or_reason(lambda: ask(web))

    def close(self) -> None:
        self._session.close()
        if self._web is not None:
            self._web.close()


def _all_pidboxes(web: Web) -> tuple[Pidbox, ...]:
    """Return those of every virtual host that we may see."""
    return tuple(_pidboxes(web.json("/api/queues", list[_Queue], columns="name,vhost")))


def _event_exchanges(web: Web, vhost: str) -> frozenset[str]:
    """Return the exchanges from which workers get each other's events."""
    bindings = web.json(f"/api/bindings/{quote(vhost, safe='')}", list[_Binding])
    return frozenset(
        binding.source
        for binding in bindings
        if binding.source
        and binding.destination.startswith(_GOSSIP)
        and not binding.destination.startswith(_OURS)
    )


def _api(connection: Connection, url: str) -> Address:
    """Return the API's address; user and password are the broker's unless it has its own."""
    if "@" in url:
        return Address(url)
    user = quote(connection.userid or "guest", safe="")
    password = quote(connection.password or "guest", safe="")
    scheme, _, rest = url.partition("://")
    return Address(f"{scheme}://{user}:{password}@{rest}")


def _pidboxes(queues: list[_Queue]) -> Iterator[Pidbox]:
    """Yield those of workers: ``name@host.celery.pidbox`` (kombu.pidbox 5.7)."""
    for queue in queues:
        name, _, exchange = queue.name.removesuffix(_PIDBOX).rpartition(".")
        is_reply = name.endswith(".reply")
        if queue.name.endswith(_PIDBOX) and "@" in name and not is_reply:
            yield Pidbox(queue.vhost, name, exchange)


def _declare(channel: Any, name: str, kind: str) -> None:
    channel.exchange_declare(name, kind, passive=True)


def _has(connection: Connection, passively: Callable[[Any], object]) -> bool:
    channel = connection.channel()
    try:
        passively(channel)
    except amqp.exceptions.NotFound:
        return False
    channel.close()
    return True


def _conflict(connection: Connection, exchange: str) -> str | None:
    """Declare an exchange that is there as Celery does: RabbitMQ tells what differs."""
    channel = connection.channel()
    try:
        Exchange(exchange, type="topic", channel=channel).declare()
    except amqp.exceptions.PreconditionFailed as error:
        return brief(error)
    except amqp.exceptions.AccessRefused:
        # Whoever may not declare it needs it to be as it is.
        return None
    channel.close()
    return None


def _depth(connection: Connection, queue: str) -> QueueDepth | None:
    channel = connection.channel()
    try:
        declared = channel.queue_declare(queue, passive=True)
    except amqp.exceptions.NotFound:
        return None
    channel.close()
    return QueueDepth(declared.message_count, None, declared.consumer_count)
