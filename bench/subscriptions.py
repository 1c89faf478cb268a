"""Does anybody listen to events yet? Asked of the broker, as the others do not tell."""

from __future__ import annotations

import json
import time
from urllib.parse import urlsplit

import amqp
import redis

from bench.encoding import EXCHANGE


def is_subscribed(broker_url: str) -> bool:
    """Return True once an event published now would reach somebody."""
    is_redis = urlsplit(broker_url).scheme == "redis"
    return (_redis if is_redis else _rabbitmq)(broker_url)


def _redis(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        return bool(client.pubsub_numpat())


def _rabbitmq(url: str) -> bool:
    """Publish a heartbeat that comes back if no queue is bound to the event exchange.

    A queue cannot be asked for: its name is random, and the management plugin costs CPU.
    """
    address = urlsplit(url)
    host = f"{address.hostname}:{address.port}"
    with amqp.Connection(host, confirm_publish=True) as connection:
        channel = connection.channel()
        channel.exchange_declare(EXCHANGE, "topic", durable=True, auto_delete=False)
        try:
            channel.basic_publish(_heartbeat(), EXCHANGE, "worker.heartbeat", mandatory=True)
        except amqp.AMQPError:
            return False
        return True


def _heartbeat() -> amqp.Message:
    event = {
        "type": "worker-heartbeat", "hostname": "probe@host", "timestamp": time.time(),
        "utcoffset": 0, "pid": 1, "clock": 1, "freq": 2.0, "active": 0, "processed": 0,
    }  # fmt: skip
    content = {"content_type": "application/json", "content_encoding": "utf-8"}
    return amqp.Message(json.dumps(event), **content)
