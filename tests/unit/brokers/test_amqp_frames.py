"""The reader of AMQP frames: however the bytes are cut, the same messages come out."""

from __future__ import annotations

import struct

import amqp
import pytest
from amqp.basic_message import Message as AmqpMessage
from amqp.serialization import dumps
from hypothesis import given
from hypothesis import strategies as st
from messages_on_the_wire import fed

from celeriac.brokers.amqp_frames import MAX_FRAME_BYTES, Frame, FrameReader
from celeriac.brokers.contract import BareMessage

DELIVER = struct.pack(">HH", 60, 60) + dumps("sLbss", ("1", 7, False, "celeryev", "task.multi"))
FRAME_MAX = 4096

texts = st.text(max_size=20)
headers = st.dictionaries(texts, texts | st.integers(0, 2**31 - 1) | st.booleans(), max_size=3)
properties = st.fixed_dictionaries(
    {},
    optional={
        "content_type": st.just("application/json") | texts,
        "content_encoding": st.just("utf-8") | texts,
        "application_headers": headers | st.just({"compression": "application/x-gzip"}),
        "delivery_mode": st.integers(1, 2),
        "priority": st.integers(0, 9),
        "message_id": texts,
    },
)
messages = st.builds(AmqpMessage, st.binary(max_size=10_000)) | st.builds(
    lambda body, given: AmqpMessage(body, **given), st.binary(max_size=300), properties
)


def frame(kind: int, payload: bytes, channel: int = 1) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def delivered(message: AmqpMessage) -> bytes:
    """Return the frames of one delivery; a long body is split as RabbitMQ splits it."""
    head = struct.pack(">HHQ", 60, 0, len(message.body)) + message._serialize_properties()
    pieces = range(0, len(message.body), FRAME_MAX)
    bodies = [frame(3, message.body[start : start + FRAME_MAX]) for start in pieces]
    return frame(1, DELIVER) + frame(2, head) + b"".join(bodies)


def as_read(message: AmqpMessage) -> BareMessage:
    """Return what py-amqp says of a message."""
    again = AmqpMessage()
    again.inbound_header(
        struct.pack(">HHQ", 60, 0, len(message.body)) + message._serialize_properties()
    )
    found = again.properties
    compression = (found.get("application_headers") or {}).get("compression")
    return BareMessage(
        message.body, found.get("content_type"), found.get("content_encoding"), compression
    )


@given(st.lists(messages, max_size=4), st.lists(st.integers(0, 45_000), max_size=8))
def test_messages_are_those_of_py_amqp_wherever_the_bytes_are_cut(
    sent: list[AmqpMessage], cuts: list[int]
) -> None:
    reader = FrameReader()
    assert fed(reader, b"".join(map(delivered, sent)), cuts) == [as_read(one) for one in sent]
    assert reader.others == []


def test_other_frames_are_left_to_the_library() -> None:
    reader = FrameReader()
    cancel = struct.pack(">HH", 60, 30) + dumps("sb", ("1", True))
    data = frame(8, b"", 0) + delivered(AmqpMessage(b"x")) + frame(1, cancel)
    assert len(fed(reader, data, [])) == 1
    assert reader.others == [Frame(8, 0, b""), Frame(1, 1, cancel)]


def test_properties_that_are_no_utf_8_are_missing_ones() -> None:
    head = struct.pack(">HHQH", 60, 0, 1, 0x8000) + b"\x02\xff\xfe"
    data = frame(1, DELIVER) + frame(2, head) + frame(3, b"x")
    found = fed(FrameReader(), data + delivered(AmqpMessage(b"y")), [])
    assert found == [BareMessage(b"x", None, None, None), BareMessage(b"y", None, None, None)]


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(struct.pack(">BHI", 3, 1, 1) + b"x!", id="no end"),
        pytest.param(struct.pack(">BHI", 3, 1, MAX_FRAME_BYTES + 1) + b"xx", id="endless"),
    ],
)
def test_what_is_no_frame_is_an_error(garbage: bytes) -> None:
    with pytest.raises(amqp.UnexpectedFrame):
        FrameReader().feed(memoryview(garbage))
