"""Bytes of an event message in, typed events out; pure, strict, without I/O.

The shapes are those of celery 5 (``celery.events.dispatcher``) and, for brokers that need an
envelope around the body, of kombu's virtual transports (``kombu.transport.virtual.base``).
Events are untrusted: whatever does not fit is rejected by itself and named by a reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import msgspec

from celeriac.brokers.contract import BareMessage, Message
from celeriac.model.facts import (
    TASK_EVENT_TYPES,
    WORKER_EVENT_TYPES,
    EventRefusal,
    TaskEventType,
    WorkerEventType,
)

MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_ENVELOPE_BYTES = MAX_BODY_BYTES * 4 // 3 + 64 * 1024
MAX_EVENTS_PER_MESSAGE = 10_000

# Seconds since the epoch, up to the year 9999; NaN and infinities fall outside too.
Timestamp = Annotated[float, msgspec.Meta(ge=0, lt=253_402_300_800)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Text = Annotated[str, msgspec.Meta(max_length=500)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class TaskEvent(msgspec.Struct, gc=False):
    """One state of one task. Fields typed ``Any`` are read leniently where they are used."""

    type: TaskEventType
    uuid: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    hostname: Name
    timestamp: Timestamp
    name: Name | None = None
    queue: Name | None = None
    exchange: Text | None = None
    routing_key: Text | None = None
    eta: Any = None
    runtime: Any = None
    exception: Any = None
    traceback: Any = None
    terminated: Any = None
    expired: Any = None
    utcoffset: float | None = None
    clock: int | None = None
    pid: int | None = None
    parent_id: str | None = None
    root_id: str | None = None


class WorkerEvent(msgspec.Struct, gc=False):
    """A worker's greeting, heartbeat or goodbye."""

    type: WorkerEventType
    hostname: Name
    timestamp: Timestamp
    pid: int | None = None
    active: Count | None = None
    processed: Count | None = None
    freq: float | None = None
    loadavg: Any = None
    sw_ver: Text | None = None
    utcoffset: float | None = None
    clock: int | None = None


Event: TypeAlias = TaskEvent | WorkerEvent


class Decoded(NamedTuple):
    """The good events of one message, in order, and a reason for each rejected part."""

    events: list[Event]
    rejected: tuple[EventRefusal, ...] = ()


class Batch(NamedTuple):
    """The same of many messages: between the workers' own events, runs of task events."""

    runs: list[list[TaskEvent] | WorkerEvent]
    rejected: list[EventRefusal]


class _Properties(msgspec.Struct, gc=False):
    delivery_tag: str | int
    body_encoding: str | None = None


class _Headers(msgspec.Struct, gc=False):
    compression: str | None = None


class _Envelope(msgspec.Struct, gc=False, rename="kebab"):
    # Declared as bytes, the base64 body is decoded in the same pass over the text.
    body: bytes
    properties: _Properties
    content_type: str | None = None
    content_encoding: str | None = None
    headers: _Headers | None = None


class _UsualProperties(msgspec.Struct, gc=False):
    delivery_tag: str | int
    body_encoding: Literal["base64"]


class _UsualHeaders(msgspec.Struct, gc=False):
    compression: None = None


class _UsualEnvelope(msgspec.Struct, gc=False, rename="kebab"):
    """What every Celery sends; whatever differs is looked at by ``_Envelope``, to name a reason."""

    body: Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_BODY_BYTES - 1)]
    properties: _UsualProperties
    content_type: Literal["application/json"]
    content_encoding: Literal["utf-8"]
    headers: _UsualHeaders | None = None


_SomeTaskEvents = Annotated[list[TaskEvent], msgspec.Meta(max_length=MAX_EVENTS_PER_MESSAGE)]
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_usual_envelope = msgspec.json.Decoder(_UsualEnvelope).decode
_decode_task_events = msgspec.json.Decoder(_SomeTaskEvents | TaskEvent).decode
_decode_worker_event = msgspec.json.Decoder(WorkerEvent).decode

_TEXT_ENCODINGS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
# As kombu writes it, the last word of a heartbeat. Elsewhere it costs a second look, no more.
_WORKERS_OWN = b'"type": "worker-'
_OBJECT = ord("{")
_USUAL_PROPERTIES = ("application/json", "utf-8", None)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decode_all(messages: Iterable[Message]) -> Batch:
    """Return the events in *messages*; never raise.

    Nearly every message is a usual envelope of task events, which two calls decode. Whatever is
    not, a heartbeat or poison, fails here and is looked at by itself.
    """
    events: list[TaskEvent] = []
    batch = Batch([events], [])
    for message in messages:
        try:
            usual = (
                _decode_usual_envelope(message) if isinstance(message, bytes) else _usual(message)
            )
            body = usual.body
            if body[0] == _OBJECT and _WORKERS_OWN in body:
                batch.runs.extend([_decode_worker_event(body), events := []])
                continue
            found = _decode_task_events(body)
        except _UNREADABLE:
            events = _take_unusual(decode(message), batch, events)
        else:
            if type(found) is list:
                events += found
            else:
                events.append(found)
    return batch


def _take_unusual(one: Decoded, batch: Batch, run: list[TaskEvent]) -> list[TaskEvent]:
    """Add *one* to *batch*, whose last run is *run*; return its last run from now on."""
    batch.rejected.extend(one.rejected)
    for event in one.events:
        if isinstance(event, TaskEvent):
            run.append(event)
        else:
            run = []
            batch.runs.extend([event, run])
    return run


def _usual(message: BareMessage) -> BareMessage:
    if message[1:] != _USUAL_PROPERTIES or not 0 < len(message.body) < MAX_BODY_BYTES:
        raise msgspec.ValidationError("unusual")
    return message


def decode(message: Message) -> Decoded:
    """Return the events in *message*; never raise."""
    if isinstance(message, bytes):
        return decode_envelope(message)
    if refusal := _refusal(message.content_type, message.content_encoding, message.compression):
        return Decoded([], (refusal,))
    return decode_body(message.body)


def decode_envelope(raw: bytes) -> Decoded:
    """Return the events in kombu's JSON envelope *raw*."""
    if len(raw) > MAX_ENVELOPE_BYTES:
        return Decoded([], ("too_large",))
    try:
        envelope = _decode_envelope(raw)
    except _UNREADABLE:
        return Decoded([], ("envelope",))
    if envelope.properties.body_encoding != "base64":
        return Decoded([], ("content_encoding",))
    compression = envelope.headers.compression if envelope.headers else None
    if refusal := _refusal(envelope.content_type, envelope.content_encoding, compression):
        return Decoded([], (refusal,))
    return decode_body(envelope.body)


def _refusal(
    content_type: str | None, content_encoding: str | None, compression: str | None
) -> EventRefusal | None:
    if content_type != "application/json":
        return "content_type"
    if content_encoding is None or content_encoding.lower() not in _TEXT_ENCODINGS:
        return "content_encoding"
    return "compression" if compression else None


def decode_body(body: bytes) -> Decoded:
    """Return the events in *body*: one JSON object, or a list of them (``task.multi``)."""
    if len(body) >= MAX_BODY_BYTES:
        return Decoded([], ("too_large",))
    for read in (_decode_task_events, _decode_worker_event):
        with suppress(*_UNREADABLE):
            found = read(body)
            return Decoded(found if isinstance(found, list) else [found])
    return _salvage(body)


def _salvage(body: bytes) -> Decoded:
    """Decode member by member, so that one bad event costs only itself.

    The standard library's parser is used because it takes NaN, infinities and lone surrogates,
    for which msgspec refuses the whole text.
    """
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return Decoded([], ("body",))
    members = parsed if isinstance(parsed, list) else [parsed]
    if len(members) > MAX_EVENTS_PER_MESSAGE:
        return Decoded([], ("too_many",))
    outcomes = [_salvage_one(member) for member in members]
    return Decoded(
        [outcome for outcome in outcomes if not isinstance(outcome, str)],
        tuple(outcome for outcome in outcomes if isinstance(outcome, str)),
    )


def _salvage_one(member: object) -> Event | EventRefusal:
    if not isinstance(member, dict) or not isinstance(member.get("type"), str):
        return "event"
    if member["type"] in TASK_EVENT_TYPES:
        shape: type[Event] = TaskEvent
    elif member["type"] in WORKER_EVENT_TYPES:
        shape = WorkerEvent
    else:
        return "unknown_type"
    try:
        return msgspec.convert(_clean(member), shape)
    except (msgspec.ValidationError, RecursionError):
        return "event"


def _clean(member: dict[object, object]) -> dict[object, object]:
    """Return *member* as it can be written in UTF-8: a lone surrogate cannot."""
    return {_printable(name): _printable(value) for name, value in member.items()}


def _printable(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
