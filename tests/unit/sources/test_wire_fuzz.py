"""Whatever bytes come: the decoder never raises, and what it accepts can be counted on."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from cluster import Cluster
from hypothesis import given, settings
from hypothesis import strategies as st
from messages_on_the_wire import HEARTBEAT, TASK_EVENT, body, envelope, envelope_fields

from celeriac.brokers.contract import BareMessage
from celeriac.sources.wire import (
    Batch,
    TaskEvent,
    TaskEventType,
    WorkerEvent,
    WorkerEventType,
    decode,
    decode_all,
    decode_body,
)

TASK_TYPES = set(TaskEventType.__args__)  # type: ignore[attr-defined]
WORKER_TYPES = set(WorkerEventType.__args__)  # type: ignore[attr-defined]

any_text = st.text(st.characters(), max_size=20) | st.sampled_from(["", "\0", "\ud800", "a\udfff"])
numbers = (
    st.integers()
    | st.sampled_from([0, -1, 2**53, 2**63, 2**64, 10**400])
    | st.floats()
    | st.sampled_from([1e300, 1e308, -0.0, 5e-324])
)
scalars = st.none() | st.booleans() | numbers | any_text
nasty = st.sampled_from(
    [10**400, -(10**400), float("nan"), float("inf"), -1, True, "", "0", "\ud800", "9999-12-31"]
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=10,
)
types = st.sampled_from(sorted(TASK_TYPES | WORKER_TYPES))

LENIENT = ("runtime", "exception", "eta", "terminated", "expired", "loadavg", "freq", "name")
FIELDS = (*TASK_EVENT, *HEARTBEAT, "runtime", "exception", "queue", "exchange", "routing_key")


@st.composite
def almost_events(draw: st.DrawFn) -> Any:
    """An event with up to three fields changed, taken away, or added."""
    event = dict(draw(st.sampled_from([TASK_EVENT, HEARTBEAT])))
    if draw(st.booleans()):
        event["type"] = draw(types)
    for name in draw(st.lists(st.sampled_from(FIELDS) | any_text, max_size=3)):
        event[name] = draw(anything)
    for name in draw(st.lists(st.sampled_from(FIELDS), max_size=1)):
        event.pop(name, None)
    return event


members = almost_events() | anything


def assert_sound(event: object) -> None:
    assert isinstance(event, (TaskEvent, WorkerEvent))
    assert type(event.timestamp) is float
    assert math.isfinite(event.timestamp)
    assert event.timestamp >= 0
    assert isinstance(event.hostname, str)
    assert 1 <= len(event.hostname) <= 500
    if isinstance(event, TaskEvent):
        assert event.type in TASK_TYPES
        assert isinstance(event.uuid, str)
        assert event.uuid
        assert event.name is None or (isinstance(event.name, str) and event.name)
        assert event.queue is None or (isinstance(event.queue, str) and event.queue)
    else:
        assert event.type in WORKER_TYPES
        for count in (event.active, event.processed):
            assert count is None or (type(count) is int and 0 <= count <= 2**53)
        assert event.freq is None or type(event.freq) is float


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_raise(raw: bytes) -> None:
    for events, rejected in (
        decode(raw),
        decode(envelope(raw)),
    ):
        assert not events
        assert rejected or raw.strip() == b"[]"


@st.composite
def odd_envelopes(draw: st.DrawFn) -> dict[str, Any]:
    """A good event in an envelope some of whose fields are arbitrary."""
    fields = envelope_fields(body(TASK_EVENT))
    for name in draw(st.lists(st.sampled_from(sorted(fields)) | any_text, max_size=3)):
        fields[name] = draw(anything)
    for field in draw(st.lists(st.sampled_from(sorted(envelope_fields(b"")["properties"])))):
        if isinstance(fields["properties"], dict):
            fields["properties"][field] = draw(scalars)
    return fields


@given(odd_envelopes())
def test_an_envelope_with_arbitrary_fields_never_raises(fields: dict[str, Any]) -> None:
    events, rejected = decode(json.dumps(fields).encode())
    assert len(events) + len(rejected) == 1 or fields["body"] in ("W10=", "")


@given(st.data())
def test_a_damaged_message_never_raises(data: st.DataObject) -> None:
    raw = bytearray(envelope(body([TASK_EVENT, TASK_EVENT])))
    positions = st.integers(0, len(raw) - 1)
    for position in data.draw(st.lists(positions, min_size=1, max_size=5)):
        raw[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.none() | positions)
    for event in decode(bytes(raw[:cut])).events:
        assert_sound(event)


@settings(max_examples=400)
@given(members)
def test_an_arbitrary_body_is_one_event_or_one_rejection(member: Any) -> None:
    events, rejected = decode_body(body(member))
    expected = len(member) if isinstance(member, list) else 1
    assert len(events) + len(rejected) == expected
    for event in events:
        assert_sound(event)


@settings(max_examples=400)
@given(st.lists(members, max_size=5))
def test_a_batch_equals_its_members_decoded_one_by_one(batch: list[Any]) -> None:
    whole = decode_body(body(batch))
    single = [decode_body(body([member])) for member in batch]
    assert _plain(whole.events) == _plain([event for one in single for event in one.events])
    assert whole.rejected == tuple(reason for one in single for reason in one.rejected)


@settings(max_examples=300)
@given(st.lists(members, max_size=5))
def test_the_quick_way_and_the_careful_way_agree(batch: list[Any]) -> None:
    messages = [envelope(body(member)) for member in batch]
    messages += [BareMessage(body(m), "application/json", "utf-8", None) for m in batch]
    quick = decode_all(messages)
    careful = [decode(message) for message in messages]
    assert _plain(_events(quick)) == _plain([event for one in careful for event in one.events])
    assert quick.rejected == [reason for one in careful for reason in one.rejected]


@given(odd_envelopes())
def test_they_agree_about_odd_envelopes(fields: dict[str, Any]) -> None:
    message = json.dumps(fields).encode()
    quick, careful = decode_all([message]), decode(message)
    assert _plain(_events(quick)) == _plain(careful.events)
    assert tuple(quick.rejected) == careful.rejected


def _events(batch: Batch) -> list[object]:
    """Return all events of *batch* in their order."""
    return [event for run in batch.runs for event in (run if isinstance(run, list) else [run])]


@st.composite
def hardly_changed_events(draw: st.DrawFn) -> Any:
    """An event whose only oddities are in what is read leniently, so that most are accepted."""
    kind = draw(types)
    event = {**(TASK_EVENT if kind in TASK_TYPES else HEARTBEAT), "type": kind}
    for name in draw(st.lists(st.sampled_from(LENIENT), max_size=2)):
        event[name] = draw(nasty | st.lists(nasty, max_size=2))
    return event


@settings(max_examples=400)
@given(st.lists(hardly_changed_events(), max_size=5))
def test_whatever_is_accepted_can_be_counted(batch: list[Any]) -> None:
    cluster = Cluster()
    for event in decode_body(body(batch)).events:
        if isinstance(event, TaskEvent):
            cluster.sent(event.uuid)
            cluster.tasks([event])
        else:
            cluster.state.apply_worker_event(event, cluster.now)
    cluster.wait(10)
    cluster.snapshot()


@pytest.mark.parametrize("depth", [10, 500, 990, 1_000, 5_000, 200_000])
def test_no_depth_of_nesting_raises(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    event = body(TASK_EVENT)[:-1] + b', "eta": ' + nested + b"}"
    for raw in (nested, event, b"[5," + event + b"]"):
        for one in decode_body(raw).events:
            assert_sound(one)


def _plain(events: list[Any]) -> list[str]:
    """Return the events as text: NaN does not equal itself."""
    return [repr(event) for event in events]
