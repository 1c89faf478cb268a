"""Any other transport of kombu, as far as it can tell a size and carry events."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

from celery import Celery
from celery.events.event import get_exchange
from kombu import Connection, Consumer, Queue
from kombu.transport.virtual.base import AbstractChannel

from celeriac.brokers.contract import BareMessage, Message
from celeriac.brokers.event_queue import EventQueue
from celeriac.celery_app import broker_errors, connect
from celeriac.model.facts import BrokerInfo, QueueDepth, QueueSample
from celeriac.session import Session

POLL_SECONDS = 0.5

logger = logging.getLogger(__name__)


class BrokerQueues:
    """Depth by kombu's own count, where the transport has one."""

    def __init__(self, app: Celery, _management_url: str | None = None) -> None:
        self._session = Session(app, _Opened)
        self._has_told = False

    def fetch_info(self) -> BrokerInfo:
        with self._session.use() as opened:
            transport = opened.connection.transport
            return BrokerInfo(transport.driver_type, str(transport.driver_version()))

    def discover(self) -> None:
        return None

    def fetch(
        self, queues: Collection[str], visibility_timeout_seconds: float | None = None
    ) -> QueueSample:
        with self._session.use() as opened:
            if not opened.can_tell_sizes:
                self._tell(opened.connection.transport.driver_type)
                return QueueSample({})
            return QueueSample({queue: QueueDepth(opened.size(queue)) for queue in queues})

    def _tell(self, transport: str) -> None:
        if not self._has_told:
            self._has_told = True
            logger.warning(
                "transport %s cannot tell how long a queue is: there will be no "
                "celery_queue_length; everything else works",
                transport,
            )

    def close(self) -> None:
        self._session.close()


class _Opened:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._channel: Any = connection.default_channel

    @property
    def can_tell_sizes(self) -> bool:
        """The base class of kombu's virtual channels answers 0 for want of anything better."""
        own = getattr(type(self._channel), "_size", None)
        return own is not None and own is not AbstractChannel._size  # noqa: SLF001

    def size(self, queue: str) -> int:
        return int(self._channel._size(queue))  # noqa: SLF001


class BrokerEventStream:
    """Events through kombu's consumer, undecoded."""

    has_kept_events = False

    def __init__(self, app: Celery, _queue: EventQueue) -> None:
        self._arrived: list[Message] = []
        self._connection = connect(app)
        with broker_errors(self._connection):
            channel = self._connection.default_channel
            queue = Queue(
                f"celeryev.celeriac.{uuid.uuid4()}",
                exchange=get_exchange(self._connection, app.conf.event_exchange),
                routing_key="#",
                auto_delete=True,
                durable=False,
            )
            self._consumer = Consumer(channel, [queue], on_message=self._take, no_ack=True)
            self._consumer.consume()

    def _take(self, message: Any) -> None:
        body = message.body
        self._arrived.append(
            BareMessage(
                body if isinstance(body, bytes) else str(body).encode(),
                message.content_type,
                message.content_encoding,
                (message.headers or {}).get("compression"),
            )
        )

    def receive(self) -> Sequence[Message]:
        with broker_errors(self._connection), suppress(TimeoutError):
            self._connection.drain_events(timeout=POLL_SECONDS)
        arrived, self._arrived = self._arrived, []
        return arrived

    def close(self) -> None:
        with suppress(Exception):
            self._consumer.cancel()
        with suppress(Exception):
            self._connection.collect(socket_timeout=0.5)
