"""Answer a worker that starts and asks its neighbours which tasks are revoked: Celery's mingle.

It asks before it takes its first task, and waits a second for answers (``celery.worker.consumer.
mingle``, celery 5). Workers that say goodbye are heard as well; nothing else gets an answer.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from celery import Celery
from celery.events.event import get_exchange
from kombu import Connection, Consumer, Exchange, Producer, Queue

from celeriac.celery_app import AMQP_HEARTBEAT_SECONDS, broker_errors, connect
from celeriac.errors import BrokerError
from celeriac.service import Background

RETRY_SECONDS = 5.0
DRAIN_SECONDS = 1.0
GOODBYE = "worker.offline"

logger = logging.getLogger(__name__)


class _ReplyTo(msgspec.Struct, gc=False):
    exchange: str
    routing_key: str


class _Hello(msgspec.Struct, gc=False, tag_field="method", tag="hello"):
    ticket: str
    reply_to: _ReplyTo


class _Goodbye(msgspec.Struct, gc=False):
    hostname: str


_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


class Neighbour(Background):
    """Listens until it is stopped, on a connection of its own that is made again if it fails."""

    def __init__(
        self,
        app: Celery,
        revoked_ids: Callable[[], Sequence[str]],
        take_goodbye: Callable[[str], None],
    ) -> None:
        super().__init__("neighbour")
        self._app = app
        self._revoked_ids = revoked_ids
        self._take_goodbye = take_goodbye
        self._name = f"celeriac@{uuid.uuid4()}"

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                self._listen()
            except BrokerError as error:
                logger.warning("workers that start are not told of revoked tasks: %s", error)
                self.stopping.wait(RETRY_SECONDS)

    def _listen(self) -> None:
        connection = connect(self._app, heartbeat=AMQP_HEARTBEAT_SECONDS)
        try:
            with broker_errors(connection):
                for consumer in self._consumers(connection):
                    consumer.consume()
                while not self.stopping.is_set():
                    with suppress(TimeoutError):
                        connection.drain_events(timeout=DRAIN_SECONDS)
                    connection.heartbeat_check()
        finally:
            with suppress(Exception):
                connection.collect(socket_timeout=0.5)

    def _consumers(self, connection: Connection) -> tuple[Consumer, Consumer]:
        node = self._app.control.mailbox(connection).Node(self._name, channel=connection.channel())
        events = Queue(
            f"celeryev.{self._name}",
            exchange=get_exchange(connection, self._app.conf.event_exchange),
            routing_key=GOODBYE,
            auto_delete=True,
            durable=False,
            exclusive=True,
        )

        def answer(message: Any) -> None:
            self._answer(message, connection)

        return (
            node.Consumer(on_message=answer),
            Consumer(connection.channel(), [events], on_message=self._hear_goodbye, no_ack=True),
        )

    def _answer(self, message: Any, connection: Connection) -> None:
        try:
            hello = msgspec.json.decode(message.body, type=_Hello)
        except _UNREADABLE:
            return
        if revoked := self._revoked_ids():
            Producer(connection.default_channel, serializer="json").publish(
                {self._name: {"revoked": revoked}},
                exchange=Exchange(hello.reply_to.exchange, "direct", durable=False),
                routing_key=hello.reply_to.routing_key,
                headers={"ticket": hello.ticket, "clock": 0},
                delivery_mode="transient",
                retry=False,
            )

    def _hear_goodbye(self, message: Any) -> None:
        with suppress(*_UNREADABLE):
            self._take_goodbye(msgspec.json.decode(message.body, type=_Goodbye).hostname)
