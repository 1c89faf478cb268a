"""Messages out of AMQP 0-9-1 frames; pure, without I/O.

py-amqp reads each frame by two system calls and takes each method through its dispatcher, which
is three quarters of what an event costs on RabbitMQ. Here the frames of deliveries are taken
apart; every other frame is left to py-amqp. ``tests/conformance`` holds the two to the same
messages. Layout: AMQP 0-9-1 specification, sections 2.3.5 and 4.2.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import amqp
from amqp.basic_message import Message as AmqpMessage

from celeriac.brokers.contract import BareMessage, Message

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_END = 0xCE
# RabbitMQ's default is 128 KiB; more than this is not a frame but garbage.
MAX_FRAME_BYTES = 16 * 1024 * 1024
_DELIVER = struct.pack(">HH", 60, 60)
# A deliver frame's class, method and the length of the consumer's tag.
_DELIVER_HEAD_BYTES = 5
# The property flags of a message with a content type and an encoding, and what celery puts there.
_TYPE_AND_ENCODING = 0xC000
_USUAL = b"\x10application/json\x05utf-8"
_USUAL_TYPE, _USUAL_ENCODING = "application/json", "utf-8"

_frame_head = struct.Struct(">BHI").unpack_from
_content_head = struct.Struct(">HHQH").unpack_from
_tag_and_flags = struct.Struct(">QB").unpack_from
# A frame's head of seven octets; a content header's class, weight and body size.
_HEAD_BYTES, _CONTENT_HEAD_BYTES = 7, 12


class Frame(NamedTuple):
    """One frame as py-amqp's ``on_inbound_frame`` takes it."""

    kind: int
    channel: int
    payload: bytes


class Delivery(NamedTuple):
    """What a message is acknowledged by, and whether it has been delivered before."""

    tag: int
    is_redelivered: bool


class FrameReader:
    """Bytes in, the messages that they complete out; ``others`` collects all other frames.

    ``tag`` is that of the last complete message, 0 before the first. With ``notes_all``,
    ``deliveries`` has one for each message that the last feed returned.
    """

    def __init__(self, *, notes_all: bool = False) -> None:
        self.others: list[Frame] = []
        self.tag = 0
        self.notes_all = notes_all
        self.deliveries: list[Delivery] = []
        self._incomplete: list[Delivery] = []
        self._rest = b""
        self._header = b""
        self._parts: list[bytes] = []
        self._missing = 0

    def feed(self, data: memoryview) -> list[Message]:
        """Return the messages that *data* completes. Errors: UnexpectedFrame."""
        buffer = self._rest + data
        messages: list[Message] = []
        delivers: list[int] = []
        position, end = 0, len(buffer)
        while position + _HEAD_BYTES < end:
            kind, channel, size = _frame_head(buffer, position)
            start = position + _HEAD_BYTES
            stop = start + size
            if stop >= end:
                _check_size(size)
                break
            if buffer[stop] != FRAME_END:
                raise amqp.UnexpectedFrame("a frame does not end where it should")
            position = stop + 1
            if kind == BODY:
                self._take_body(buffer[start:stop], messages)
            elif kind == HEADER:
                self._take_header(buffer[start:stop], messages)
            elif kind == METHOD and buffer.startswith(_DELIVER, start):
                delivers.append(start)
            else:
                self.others.append(Frame(kind, channel, buffer[start:stop]))
        self._rest = buffer[position:]
        self._note(buffer, delivers, len(messages))
        return messages

    def _note(self, buffer: bytes, delivers: list[int], completed: int) -> None:
        """Read the deliver frames that matter: usually the last two, of which one is complete."""
        incomplete = len(self._incomplete) + len(delivers) - completed
        if incomplete not in (0, 1):
            raise amqp.UnexpectedFrame("deliveries and messages do not alternate")
        wanted = delivers if self.notes_all else delivers[-2:]
        begun = self._incomplete + [_delivery(buffer, start) for start in wanted]
        last = len(begun) - incomplete
        self.deliveries, self._incomplete = begun[:last], begun[last:]
        if self.deliveries:
            self.tag = self.deliveries[-1].tag

    def _take_header(self, header: bytes, messages: list[Message]) -> None:
        self._header = header
        self._parts = []
        self._missing = _content_head(header)[2]
        if self._missing == 0:
            messages.append(_message(header, b""))

    def _take_body(self, part: bytes, messages: list[Message]) -> None:
        self._missing -= len(part)
        if self._missing > 0 or self._parts:
            self._parts.append(part)
        if self._missing <= 0:
            messages.append(_message(self._header, b"".join(self._parts) or part))


def _delivery(buffer: bytes, start: int) -> Delivery:
    tag_at = start + _DELIVER_HEAD_BYTES + buffer[start + _DELIVER_HEAD_BYTES - 1]
    tag, flags = _tag_and_flags(buffer, tag_at)
    return Delivery(tag, bool(flags & 1))


def _check_size(size: int) -> None:
    if size > MAX_FRAME_BYTES:
        raise amqp.UnexpectedFrame(f"a frame of {size} bytes")


def _message(header: bytes, body: bytes) -> BareMessage:
    flags = _content_head(header)[3]
    is_usual = (
        flags & _TYPE_AND_ENCODING == _TYPE_AND_ENCODING
        and header.startswith(_USUAL, _CONTENT_HEAD_BYTES + 2)
        and b"compression" not in header
    )
    if is_usual:
        return BareMessage(body, _USUAL_TYPE, _USUAL_ENCODING, None)
    return _unusual_message(header, body)


def _unusual_message(header: bytes, body: bytes) -> BareMessage:
    """Read all properties; those that cannot be read are taken as missing."""
    message = AmqpMessage()
    try:
        message.inbound_header(header)
    except Exception:  # whatever py-amqp makes of untrusted bytes
        return BareMessage(body, None, None, None)
    headers = message.properties.get("application_headers")
    return BareMessage(
        body,
        message.properties.get("content_type"),
        message.properties.get("content_encoding"),
        headers.get("compression") if isinstance(headers, dict) else None,
    )
