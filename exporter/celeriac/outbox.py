"""How commands go out to the workers: as kombu publishes them, on Redis all in one write."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import redis
from kombu import Connection, Exchange, Producer


class Outbox(Protocol):
    """The way to the exchange that every worker listens to."""

    def send(self, commands: Sequence[Mapping[str, Any]], headers: Mapping[str, Any]) -> None:
        """Publish the bodies of *commands*, in their order."""


def open_outbox(connection: Connection, exchange: Exchange) -> Outbox:
    """Return the way to *exchange* that costs this transport least."""
    channel = connection.default_channel
    if connection.transport.driver_type == "redis":
        return _RedisOutbox(channel, exchange)
    return _KombuOutbox(channel, exchange)


class _KombuOutbox:
    def __init__(self, channel: Any, exchange: Exchange) -> None:
        self._producer = Producer(channel, serializer="json")
        self._exchange = exchange

    def send(self, commands: Sequence[Mapping[str, Any]], headers: Mapping[str, Any]) -> None:
        for command in commands:
            self._producer.publish(
                command,
                exchange=self._exchange.name,
                declare=[self._exchange],
                headers=headers,
                retry=False,
            )


class _RedisOutbox:
    """Five commands to a thousand workers are five thousand writes of the server, or one each."""

    def __init__(self, channel: Any, exchange: Exchange) -> None:
        self._client = redis.Redis(connection_pool=channel.pool)
        self._exchange = exchange.name
        # A fanout exchange has a channel of its own (kombu.transport.redis 5.7).
        self._topic = f"{channel.global_keyprefix}{channel.keyprefix_fanout}{exchange.name}"

    def send(self, commands: Sequence[Mapping[str, Any]], headers: Mapping[str, Any]) -> None:
        pipe = self._client.pipeline(transaction=False)
        for command in commands:
            pipe.publish(self._topic, self._envelope(command, headers))
        pipe.execute()

    def _envelope(self, command: Mapping[str, Any], headers: Mapping[str, Any]) -> str:
        """Return what kombu's virtual transports put around a body."""
        return json.dumps(
            {
                "body": base64.b64encode(json.dumps(command).encode()).decode(),
                "content-encoding": "utf-8",
                "content-type": "application/json",
                "headers": dict(headers),
                "properties": {
                    "delivery_mode": 2,
                    "delivery_info": {"exchange": self._exchange, "routing_key": ""},
                    "priority": 0,
                    "body_encoding": "base64",
                    "delivery_tag": str(uuid.uuid4()),
                },
            }
        )
