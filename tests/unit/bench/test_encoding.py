"""Loads on the wire: read back by the protocols' own parsers, and by the exporter's decoder."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import hiredis
import pytest
from amqp.basic_message import Message as AmqpMessage
from amqp.serialization import loads

from bench.encoding import (
    EXCHANGE,
    MESSAGES_PER_CHUNK,
    amqp_publish,
    chunks,
    redis_publish,
)
from bench.load import Load, Message, Shape
from celeriac.brokers.contract import BareMessage
from celeriac.sources.wire import decode

METHOD, HEADER, BODY = 1, 2, 3
BASIC_PUBLISH = (60, 40)
FRAME_END = 0xCE


class Frame(NamedTuple):
    kind: int
    channel: int
    payload: bytes


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    return list(Load(Shape(workers=3, tasks=4, queues=5, executions=100, heartbeat_every=20)))


def test_redis_reads_one_publish_for_each_message(messages: list[Message]) -> None:
    reader = hiredis.Reader()
    for message in messages:
        reader.feed(redis_publish(message))
        command, channel, _ = reader.gets()
        assert command == b"PUBLISH"
        assert channel.decode() == f"/0.celeryev/{message.routing_key}"
    assert reader.gets() is False


def test_the_exporter_reads_every_event_in_an_envelope(messages: list[Message]) -> None:
    for message in messages:
        decoded = decode(envelope(message))
        assert decoded.rejected == ()
        assert [event.type for event in decoded.events] == types(message)


def test_the_exporter_reads_every_event_in_a_body(messages: list[Message]) -> None:
    for message in messages:
        decoded = decode(BareMessage(message.body, "application/json", "utf-8", None))
        assert decoded.rejected == ()
        assert [event.type for event in decoded.events] == types(message)


def test_amqp_reads_three_frames_for_each_message(messages: list[Message]) -> None:
    for message in messages:
        read = list(frames(amqp_publish(message)))
        assert [(frame.kind, frame.channel) for frame in read] == [
            (METHOD, 1),
            (HEADER, 1),
            (BODY, 1),
        ]
        assert read[2].payload == message.body


def test_amqp_reads_where_a_message_goes(messages: list[Message]) -> None:
    for message in messages:
        method = next(frames(amqp_publish(message))).payload
        assert struct.unpack(">HH", method[:4]) == BASIC_PUBLISH
        (_, exchange, routing_key, mandatory, immediate), _ = loads("Bssbb", method, 4)
        assert (exchange, routing_key) == (EXCHANGE, message.routing_key)
        assert (mandatory, immediate) == (False, False)


def test_amqp_reads_what_a_message_is(messages: list[Message]) -> None:
    for message in messages:
        _, header, body = frames(amqp_publish(message))
        class_id, _, size = struct.unpack(">HHQ", header.payload[:12])
        assert (class_id, size) == (60, len(body.payload))
        assert properties(header.payload) == {
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "application_headers": {"hostname": message.hostname},
            "delivery_mode": 1,
            "priority": 0,
        }


def test_chunks_hold_every_message_in_order(messages: list[Message]) -> None:
    made = list(chunks(messages, redis_publish))
    assert len(made) == -(-len(messages) // MESSAGES_PER_CHUNK)
    assert b"".join(chunk.data for chunk in made) == b"".join(map(redis_publish, messages))
    assert sum(chunk.events for chunk in made) == sum(message.events for message in messages)


def envelope(message: Message) -> bytes:
    reader = hiredis.Reader()
    reader.feed(redis_publish(message))
    found = reader.gets()[2]
    assert isinstance(found, bytes)
    return found


def types(message: Message) -> list[str]:
    body = json.loads(message.body)
    return [event["type"] for event in (body if isinstance(body, list) else [body])]


def frames(data: bytes) -> Iterator[Frame]:
    while data:
        kind, channel, size = struct.unpack(">BHI", data[:7])
        assert data[7 + size] == FRAME_END
        yield Frame(kind, channel, data[7 : 7 + size])
        data = data[8 + size :]


def properties(header: bytes) -> dict[str, Any]:
    message = AmqpMessage()
    message._load_properties(60, header, 12)
    found: dict[str, Any] = message.properties
    return found
