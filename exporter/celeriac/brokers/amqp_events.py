"""The event stream of RabbitMQ: a queue of this exporter's own, read frame by frame."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from celery import Celery
from kombu import Exchange

from celeriac.brokers.amqp_frames import FrameReader
from celeriac.brokers.contract import Message
from celeriac.brokers.gathering import GatheringSocket
from celeriac.celery_app import AMQP_HEARTBEAT_SECONDS, broker_errors, connect

# Events wait here for an exporter that is slow; the oldest are dropped first.
EVENT_QUEUE_MAX_LENGTH = 200_000
EVENT_QUEUE_PREFIX = "celeriac.events."


class BrokerEventStream:
    """A queue bound to every event, gone when its connection is."""

    def __init__(self, app: Celery) -> None:
        self._reader = FrameReader()
        self._connection = connect(app, heartbeat=AMQP_HEARTBEAT_SECONDS)
        with broker_errors(self._connection):
            self._link: Any = self._connection.connection
            self._consume(app.conf.event_exchange)
            # py-amqp reads exactly what it was answered: all that follows is ours.
            self._socket = GatheringSocket(self._link.transport.sock)
        self._checked_mono = time.monotonic()

    def _consume(self, event_exchange: str) -> None:
        channel = self._connection.channel()
        # The same declaration as the workers' own (celery.events.event), whoever comes first.
        Exchange(event_exchange, type="topic", channel=channel).declare()
        queue = f"{EVENT_QUEUE_PREFIX}{time.time_ns():x}"
        channel.queue_declare(
            queue,
            durable=False,
            exclusive=True,
            auto_delete=True,
            arguments={"x-max-length": EVENT_QUEUE_MAX_LENGTH, "x-overflow": "drop-head"},
        )
        channel.queue_bind(queue, event_exchange, routing_key="#")
        channel.basic_consume(queue, no_ack=True)

    def receive(self) -> Sequence[Message]:
        with broker_errors(self._connection), suppress(TimeoutError):
            self._leave_to_library()
            self._keep_alive()
            data = self._socket.read()
            # The library takes any growth as a sign of life.
            self._link.bytes_recv += 1
            return self._reader.feed(data)
        return ()

    def _leave_to_library(self) -> None:
        """Let py-amqp act on what is no delivery, for instance that the queue was deleted."""
        others, self._reader.others = self._reader.others, []
        for frame in others:
            self._link.on_inbound_frame(frame)

    def _keep_alive(self) -> None:
        now = time.monotonic()
        if now - self._checked_mono >= AMQP_HEARTBEAT_SECONDS / 4:
            self._checked_mono = now
            self._connection.heartbeat_check()

    def close(self) -> None:
        with suppress(Exception):
            self._connection.collect(socket_timeout=0.5)
