"""Messages as the bytes that a client writes to a broker's socket to publish them."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from bench.load import Message

EXCHANGE = "celeryev"
MESSAGES_PER_CHUNK = 50


class Chunk(NamedTuple):
    """Bytes that go out in one write."""

    data: bytes
    events: int


def chunks(messages: Iterable[Message], encode: Callable[[Message], bytes]) -> Iterator[Chunk]:
    """Yield *messages*, encoded, some fifty at a time."""
    waiting: list[bytes] = []
    events = 0
    for message in messages:
        waiting.append(encode(message))
        events += message.events
        if len(waiting) == MESSAGES_PER_CHUNK:
            yield Chunk(b"".join(waiting), events)
            waiting, events = [], 0
    if waiting:
        yield Chunk(b"".join(waiting), events)


def redis_publish(message: Message) -> bytes:
    """Return PUBLISH with the envelope of kombu's virtual transports."""
    channel = f"/0.{EXCHANGE}/{message.routing_key}".encode()
    words = (b"PUBLISH", channel, _envelope(message))
    return b"*3\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _envelope(message: Message) -> bytes:
    return json.dumps(
        {
            "body": base64.b64encode(message.body).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"hostname": message.hostname},
            "properties": {
                "delivery_mode": 1,
                "delivery_info": {"exchange": EXCHANGE, "routing_key": message.routing_key},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": "5d4ec2a5-5a2f-4e57-8a0c-0d1d93a0d3a4",
            },
        }
    ).encode()


def amqp_publish(message: Message) -> bytes:
    """Return basic.publish, content header and body as AMQP 0-9-1 frames of channel 1."""
    method = struct.pack(">HHH", 60, 40, 0) + _short(EXCHANGE) + _short(message.routing_key) + b"\0"
    hostname = message.hostname.encode()
    headers = _short("hostname") + struct.pack(">cI", b"S", len(hostname)) + hostname
    # content-type, content-encoding, headers, delivery-mode and priority, in this order.
    properties = (
        _short("application/json") + _short("utf-8")
        + struct.pack(">I", len(headers)) + headers + bytes((1, 0))
    )  # fmt: skip
    header = struct.pack(">HHQH", 60, 0, len(message.body), 0xF800) + properties
    return _frame(1, method) + _frame(2, header) + _frame(3, message.body)


def _short(text: str) -> bytes:
    return bytes((len(text),)) + text.encode()


def _frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, 1, len(payload)) + payload + b"\xce"
