"""RabbitMQ by AMQP 0-9-1, and its management API when its URL is given."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import amqp
import msgspec
import requests
from celery import Celery
from kombu import Connection

from celeriac.brokers.amqp_events import BrokerEventStream
from celeriac.brokers.event_queue import EVENT_QUEUE_PREFIX
from celeriac.celery_app import AMQP_HEARTBEAT_SECONDS, COMMAND_TIMEOUT_SECONDS
from celeriac.errors import BrokerError, BrokerRefusedError, BrokerUnavailableError
from celeriac.model.facts import BrokerInfo, QueueDepth, QueueSample
from celeriac.session import Session

__all__ = ["BrokerEventStream", "BrokerQueues"]

# A queue that was not there is asked for again after this long: asking costs a channel.
ASK_AGAIN_AFTER_SECONDS = 15.0

logger = logging.getLogger(__name__)

# kombu.transport.native_delayed_delivery: one queue per level, 28 levels.
DELAYED_QUEUES = tuple(f"celery_delayed_{level}" for level in range(28))


class BrokerQueues:
    """Depth by passive declare, which any permission allows; the API adds unacked messages."""

    def __init__(self, app: Celery, management_url: str | None = None) -> None:
        self._session = Session(app, _Opened, heartbeat=AMQP_HEARTBEAT_SECONDS)
        self._api = management_url and _ManagementApi(app, management_url)
        self._by_api: dict[str, QueueDepth] | None = None
        self._missing_since: dict[str, float] = {}

    def fetch_info(self) -> BrokerInfo:
        with self._session.use() as opened:
            properties = opened.connection.connection.server_properties
        return BrokerInfo("amqp", str(properties.get("version", "")))

    def discover(self) -> set[str] | None:
        self._by_api = self._api.try_depths() if self._api else None
        return None if self._by_api is None else set(self._by_api)

    def fetch(
        self, queues: Collection[str], visibility_timeout_seconds: float | None = None
    ) -> QueueSample:
        with self._session.use() as opened:
            opened.keep_alive()
            depths = {
                name: self._with_unacked(name, depth)
                for name in queues
                if (depth := self._declare(opened, name)) is not None
            }
            return QueueSample(depths, self._delayed(opened))

    def _with_unacked(self, queue: str, depth: QueueDepth) -> QueueDepth:
        """Add what only the API knows; the depth itself is newer by passive declare."""
        by_api = (self._by_api or {}).get(queue)
        if by_api is None:
            return depth
        return depth._replace(
            unacked=by_api.unacked, head_sent_at=by_api.head_sent_at if depth.ready else None
        )

    def _delayed(self, opened: _Opened) -> int | None:
        """Return what all levels hold, None where native delayed delivery is not in use."""
        if self._declare(opened, DELAYED_QUEUES[-1]) is None:
            return None
        depths = [self._declare(opened, name) for name in DELAYED_QUEUES]
        return sum(depth.ready for depth in depths if depth is not None)

    def _declare(self, opened: _Opened, queue: str) -> QueueDepth | None:
        now = time.monotonic()
        if now - self._missing_since.get(queue, float("-inf")) < ASK_AGAIN_AFTER_SECONDS:
            return None
        depth = opened.depth(queue)
        if depth is None:
            self._missing_since[queue] = now
        else:
            self._missing_since.pop(queue, None)
        return depth

    def close(self) -> None:
        self._session.close()


class _Opened:
    """One connection with one channel, which a question for a missing queue costs."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._channel: Any = None
        # Of levels that are not in use nothing is said.
        self._told = set(DELAYED_QUEUES)

    def keep_alive(self) -> None:
        """Send and check AMQP heartbeats; nobody else reads this connection in between."""
        with suppress(TimeoutError):
            self.connection.drain_events(timeout=0.001)
        self.connection.heartbeat_check()

    def depth(self, queue: str) -> QueueDepth | None:
        if self._channel is None or not self._channel.is_open:
            self._channel = self.connection.channel()
        try:
            declared = self._channel.queue_declare(queue, passive=True)
        except amqp.exceptions.NotFound:
            return None
        except amqp.exceptions.ResourceLocked:
            # Exclusive to another connection: not a queue of tasks.
            return None
        except amqp.exceptions.AccessRefused as error:
            self._tell_once(queue, error)
            return None
        return QueueDepth(declared.message_count, None, declared.consumer_count)

    def _tell_once(self, queue: str, error: Exception) -> None:
        """Since RabbitMQ 4.2.6, who has no permission on a queue may not know how long it is."""
        if queue not in self._told:
            self._told.add(queue)
            logger.warning("queue %s is not shown: any permission on it will do (%s)", queue, error)


class _ApiQueue(msgspec.Struct, gc=False):
    name: str
    messages_ready: int = 0
    messages_unacknowledged: int = 0
    consumers: int = 0
    head_message_timestamp: Any = None


class _ManagementApi:
    """The queues of one virtual host by ``GET /api/queues/{vhost}``, up to 5 s old."""

    def __init__(self, app: Celery, url: str) -> None:
        connection = app.connection_for_write(app.conf.first("broker_url"))
        vhost = connection.virtual_host or "/"
        columns = "name,messages_ready,messages_unacknowledged,consumers,head_message_timestamp"
        self._url = f"{url.rstrip('/')}/api/queues/{quote(vhost, safe='')}?columns={columns}"
        self._session = requests.Session()
        self._session.trust_env = False
        if "@" not in url:
            self._session.auth = (connection.userid or "guest", connection.password or "guest")
        self._decode = msgspec.json.Decoder(list[_ApiQueue]).decode
        self._has_failed = False

    def try_depths(self) -> dict[str, QueueDepth] | None:
        """Return the depths; None if the API does not answer, which is logged once."""
        try:
            depths = self.depths()
        except BrokerError as error:
            if not self._has_failed:
                logger.warning("%s: no unacked messages until it answers", error)
            self._has_failed = True
            return None
        self._has_failed = False
        return depths

    def depths(self) -> dict[str, QueueDepth]:
        return {
            queue.name: QueueDepth(
                queue.messages_ready,
                queue.messages_unacknowledged,
                queue.consumers,
                head_sent_at=_head_sent_at(queue),
            )
            for queue in self._fetch()
            if not _is_internal(queue)
        }

    def _fetch(self) -> list[_ApiQueue]:
        try:
            answer = self._session.get(self._url, timeout=COMMAND_TIMEOUT_SECONDS)
            if answer.status_code in {401, 403, 404}:
                raise BrokerRefusedError(f"management API: HTTP {answer.status_code}")
            answer.raise_for_status()
            return self._decode(answer.content)
        except (requests.RequestException, msgspec.MsgspecError) as error:
            # The text of requests' errors holds the URL, which may hold a password.
            raise BrokerUnavailableError(f"management API: {type(error).__name__}") from error


def _is_internal(queue: _ApiQueue) -> bool:
    return (
        queue.name in DELAYED_QUEUES
        or queue.name.endswith(".pidbox")
        or queue.name.startswith(("celeryev.", EVENT_QUEUE_PREFIX, "amq.gen-"))
    )


def _head_sent_at(queue: _ApiQueue) -> float | None:
    """Return the AMQP timestamp of a queue's first message, if its publisher set one.

    RabbitMQ 3.10 takes the first of those that wait and those that are unacknowledged: while
    there are any of these, nobody knows which it is.
    """
    stamp = queue.head_message_timestamp
    is_of_waiting = queue.messages_ready > 0 and queue.messages_unacknowledged == 0
    return float(stamp) if is_of_waiting and isinstance(stamp, int) and stamp > 0 else None
