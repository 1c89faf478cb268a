"""The event stream of RabbitMQ: a queue of this exporter's own, read frame by frame."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from amqp import spec
from celery import Celery

from celeriac.brokers.amqp_frames import FrameReader
from celeriac.brokers.amqp_subscription import open_subscription
from celeriac.brokers.contract import Message
from celeriac.brokers.event_queue import EventQueue, Redelivery
from celeriac.brokers.gathering import GatheringSocket
from celeriac.celery_app import AMQP_HEARTBEAT_SECONDS, broker_errors, connect

# How long the broker may take to confirm that everything is acknowledged.
GOODBYE_SECONDS = 1.0
_CLOSE_OK = struct.pack(">HH", *spec.Connection.CloseOk)


class BrokerEventStream:
    """The consumer of one event queue; what has been counted is acknowledged, one ack a read.

    Each message of a durable queue is counted once, over lost connections and orderly restarts of
    this process. If it is killed, its successor counts again what was counted and not acknowledged
    yet: the messages of one read, which is at most RECEIVE_BYTES, and of reads before it whose
    acknowledgement was still under way; together never more than PREFETCH_COUNT messages.
    """

    def __init__(self, app: Celery, queue: EventQueue) -> None:
        self._recent = queue.recent
        self._redelivery = Redelivery(queue.recent.counted())
        self._reader = FrameReader(notes_all=self._redelivery.is_expected)
        self._connection = connect(app, heartbeat=AMQP_HEARTBEAT_SECONDS)
        try:
            with broker_errors(self._connection):
                self._subscription = open_subscription(
                    self._connection, app.conf.event_exchange, queue
                )
        except BaseException:
            self._drop_connection()
            raise
        self._link: Any = self._connection.connection
        # py-amqp reads exactly what it was answered: all that follows is ours.
        self._socket = GatheringSocket(self._link.transport.sock)
        self._checked_mono = time.monotonic()
        self._returned_tag = self._acknowledged_tag = 0
        self._unfinished_bytes = 0

    @property
    def has_kept_events(self) -> bool:
        return self._subscription.has_kept_events

    def receive(self) -> Sequence[Message]:
        with broker_errors(self._connection):
            self._acknowledge()
            self._leave_to_library()
            self._keep_alive()
            try:
                messages = self._read()
            except TimeoutError:
                return ()
            self._returned_tag = self._reader.tag
            return messages

    def _read(self) -> list[Message]:
        data = self._socket.read()
        # The library takes any growth as a sign of life.
        self._link.bytes_recv += 1
        messages = self._reader.feed(data)
        if not self._subscription.is_acknowledged:
            return messages
        new = self._new(messages) if self._redelivery.is_expected else messages
        self._remember(messages, len(data))
        return new

    def _remember(self, messages: list[Message], size_bytes: int) -> None:
        self._unfinished_bytes += size_bytes
        if messages:
            self._recent.add(messages, self._unfinished_bytes)
            self._unfinished_bytes = 0

    def _new(self, messages: list[Message]) -> list[Message]:
        """Return what has not been counted on an earlier connection."""
        flags = [delivery.is_redelivered for delivery in self._reader.deliveries]
        new = self._redelivery.new(messages, flags)
        self._reader.notes_all = self._redelivery.is_expected
        return new

    def _acknowledge(self) -> None:
        """Acknowledge everything that was returned, as whoever asks for more has counted it."""
        if self._subscription.is_acknowledged and self._returned_tag != self._acknowledged_tag:
            self._subscription.channel.basic_ack(self._returned_tag, multiple=True)
            self._acknowledged_tag = self._returned_tag

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
        if self._subscription.is_acknowledged:
            with suppress(Exception):
                self._say_goodbye()
        self._drop_connection()

    def _say_goodbye(self) -> None:
        """Acknowledge, and wait for the broker's word: a connection just dropped may lose it."""
        self._acknowledge()
        self._link.send_method(spec.Connection.Close, "BsBB", (0, "", 0, 0))
        deadline_mono = time.monotonic() + GOODBYE_SECONDS
        while time.monotonic() < deadline_mono:
            self._reader.feed(self._socket.read())
            if any(frame.payload.startswith(_CLOSE_OK) for frame in self._reader.others):
                return

    def _drop_connection(self) -> None:
        with suppress(Exception):
            self._connection.collect(socket_timeout=0.5)
