"""Event messages as Celery's workers put them on the wire, good ones and raw ones."""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, Self

import amqp

from parts.rabbitmq import RabbitMQ
from parts.valkey import Valkey

IS_FULL = os.environ.get("CELERIAC_FULL") == "1"
EXCHANGE = "celeryev"
JSON = "application/json"
ABSENT = object()


@dataclass(frozen=True)
class EventMessage:
    """One message on the event exchange. ``raw`` replaces the whole envelope (Redis only)."""

    body: bytes = b""
    routing_key: str = "task.multi"
    content_type: str = JSON
    content_encoding: str = "utf-8"
    headers: Mapping[str, Any] = field(default_factory=dict)
    raw: bytes | None = None

    @cached_property
    def command(self) -> bytes:
        """The PUBLISH of this message in Redis' protocol, encoded once."""
        payload = envelope(self) if self.raw is None else self.raw
        channel = f"/0.{EXCHANGE}/{self.routing_key}".encode()
        words = (b"PUBLISH", channel, payload)
        return b"*3\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def encode(event: object, routing_key: str = "task.multi") -> EventMessage:
    """Return the message that carries *event*, one event or a list of them."""
    return EventMessage(json.dumps(event).encode(), routing_key)


def task_event(kind: str, **fields: object) -> dict[str, object]:
    """Return an event of a task; a field that is ``ABSENT`` is left out."""
    event: dict[str, object] = {
        "type": f"task-{kind}",
        "uuid": "00000000-0000-4000-8000-000000000000",
        "hostname": "poison@host",
        "timestamp": time.time(),
        "utcoffset": 0,
        "clock": 1,
        "pid": 1,
    }
    return _without_absent(event | fields)


def worker_event(kind: str, hostname: str, **fields: object) -> dict[str, object]:
    """Return a worker's greeting (online), heartbeat or goodbye (offline)."""
    event: dict[str, object] = {
        "type": f"worker-{kind}",
        "hostname": hostname,
        "timestamp": time.time(),
        "utcoffset": 0,
        "clock": 1,
        "pid": 1,
        "freq": 2.0,
        "active": 0,
        "processed": 0,
        "loadavg": [0.1, 0.2, 0.3],
        "sw_ident": "py-celery",
        "sw_ver": "5.5.0",
        "sw_sys": "Linux",
    }
    return _without_absent(event | fields)


def _without_absent(event: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in event.items() if value is not ABSENT}


def envelope(message: EventMessage, **replaced: object) -> bytes:
    """Return what kombu's virtual transports publish for *message*."""
    properties = {
        "delivery_mode": 1,
        "delivery_info": {"exchange": EXCHANGE, "routing_key": message.routing_key},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": "5d4ec2a5-5a2f-4e57-8a0c-0d1d93a0d3a4",
    }
    whole = {
        "body": base64.b64encode(message.body).decode(),
        "content-encoding": message.content_encoding,
        "content-type": message.content_type,
        "headers": dict(message.headers),
        "properties": properties,
    }
    return json.dumps(_without_absent(whole | replaced)).encode()


class Publisher(Protocol):
    """Publishes to Celery's event exchange exactly what it is given."""

    def publish(self, messages: Iterable[EventMessage]) -> None: ...


class RedisPublisher:
    """PUBLISH as pipelined commands over a plain socket: nothing is encoded on the way."""

    def __init__(self, server: Valkey) -> None:
        self._ends = ExitStack()
        address = ("127.0.0.1", server.port)
        self._socket = self._ends.enter_context(socket.create_connection(address))
        self._answers = self._ends.enter_context(self._socket.makefile("rb"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def publish(self, messages: Iterable[EventMessage]) -> None:
        """Publish *messages* and wait until the server has taken every one."""
        commands = [message.command for message in messages]
        self._socket.sendall(b"".join(commands))
        for _ in commands:
            answer = self._answers.readline()
            assert answer.startswith(b":"), answer


class AmqpPublisher:
    """basic_publish on the topic exchange; the exchange is declared by whoever subscribes."""

    def __init__(self, node: RabbitMQ) -> None:
        self._connection = amqp.Connection(f"127.0.0.1:{node.port}")

    def __enter__(self) -> Self:
        self._connection.connect()
        self._channel = self._connection.channel()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def publish(self, messages: Iterable[EventMessage]) -> None:
        """Publish *messages* in their order."""
        for message in messages:
            self._channel.basic_publish(
                self._message(message), exchange=EXCHANGE, routing_key=message.routing_key
            )

    @staticmethod
    def _message(message: EventMessage) -> amqp.Message:
        return amqp.Message(
            message.body,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            application_headers=dict(message.headers),
        )


def batches(events: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the bodies of ``task.multi`` messages, *size* encoded events in each."""
    batch: list[bytes] = []
    for event in events:
        batch.append(event)
        if len(batch) == size:
            yield b"[" + b",".join(batch) + b"]"
            batch.clear()
    if batch:
        yield b"[" + b",".join(batch) + b"]"
