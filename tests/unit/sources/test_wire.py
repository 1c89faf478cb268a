"""Bad event messages, one by one: what is rejected, by which reason, and what survives beside."""

from __future__ import annotations

import base64
import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import msgspec
import pytest
from messages_on_the_wire import (
    HEARTBEAT,
    TASK_EVENT,
    body,
    envelope,
    envelope_fields,
    heartbeat,
    task,
    without,
)

from celeriac.brokers.contract import BareMessage
from celeriac.sources.wire import (
    MAX_BODY_BYTES,
    MAX_ENVELOPE_BYTES,
    MAX_EVENTS_PER_MESSAGE,
    Decoded,
    TaskEvent,
    WorkerEvent,
    decode,
    decode_body,
)

GOOD = body(TASK_EVENT)


def properties(**changes: Any) -> dict[str, Any]:
    return {**envelope_fields(GOOD)["properties"], **changes}


class Trap:
    """Unpickling it writes the canary file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.canary, "sprung")


BAD_ENVELOPES = {
    "1 not json": (b"not json", "envelope"),
    "2 empty object": (b"{}", "envelope"),
    "3 list": (b"[]", "envelope"),
    "4 no delivery tag": (
        envelope(GOOD, properties=without(properties(), "delivery_tag")),
        "envelope",
    ),
    "4 no properties": (
        json.dumps(without(envelope_fields(GOOD), "properties")).encode(),
        "envelope",
    ),
    "5 body is not base64": (envelope(GOOD, body="%%%"), "envelope"),
    "6 unknown content type": (
        envelope(GOOD, content_type="application/x-unknown"),
        "content_type",
    ),
    "6 no content type": (envelope(GOOD, content_type=None), "content_type"),
    "8 yaml": (
        envelope(b"!!python/object/apply:os.system [id]", content_type="application/x-yaml"),
        "content_type",
    ),
    "8 yaml that says it is json": (envelope(b"!!python/object/apply:os.system [id]"), "body"),
    "9 unknown text encoding": (envelope(GOOD, content_encoding="zzz"), "content_encoding"),
    "9 unknown body encoding": (
        envelope(GOOD, properties=properties(body_encoding="zzz")),
        "content_encoding",
    ),
    "9 no body encoding": (
        envelope(GOOD, properties=properties(body_encoding=None)),
        "content_encoding",
    ),
    "10 not utf-8": (b"\xff\xfe", "envelope"),
    "10 body is not utf-8": (envelope(b"\xff\xfe"), "body"),
    "11 truncated": (envelope(GOOD)[:-20], "envelope"),
    "11 truncated body": (envelope(GOOD[:-20]), "body"),
    "12 compressed": (
        envelope(gzip.compress(GOOD), headers={"compression": "gzip"}),
        "compression",
    ),
    "13 body of 2 MiB": (envelope(b" " * MAX_BODY_BYTES), "too_large"),
    "13 envelope over its limit": (b" " * (MAX_ENVELOPE_BYTES + 1), "too_large"),
    "nested too deeply": (b'{"body":' + b"[" * 100_000, "envelope"),
    "nul bytes": (bytes(64), "envelope"),
    "empty": (b"", "envelope"),
}


@pytest.mark.parametrize(("raw", "reason"), BAD_ENVELOPES.values(), ids=BAD_ENVELOPES)
def test_a_bad_envelope_is_rejected_once_by_its_reason(raw: bytes, reason: str) -> None:
    assert decode(raw) == Decoded([], (reason,))


@pytest.mark.parametrize("content_type", ["application/x-python-serialize", "application/json"])
def test_7_a_pickle_is_never_loaded(content_type: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    trap = pickle.dumps(Trap(canary))
    for raw in (trap, envelope(trap, content_type=content_type)):
        decoded = decode(raw)
        assert (decoded.events, len(decoded.rejected)) == ([], 1)
    assert not canary.exists()
    pickle.loads(trap)
    assert canary.exists(), "the trap was none"


def test_a_good_envelope_gives_its_event() -> None:
    events, rejected = decode(envelope(GOOD))
    assert rejected == ()
    assert [event.uuid for event in events] == [TASK_EVENT["uuid"]]


@pytest.mark.parametrize("encoding", ["utf-8", "UTF-8", "utf8", "us-ascii"])
def test_every_spelling_of_plain_text_is_taken(encoding: str) -> None:
    assert len(decode(envelope(GOOD, content_encoding=encoding)).events) == 1


def test_a_delivery_tag_may_be_a_number() -> None:
    raw = envelope(GOOD, properties=properties(delivery_tag=7))
    assert len(decode(raw).events) == 1


def test_a_body_just_under_the_limit_is_read() -> None:
    padded = GOOD + b" " * (MAX_BODY_BYTES - 1 - len(GOOD))
    assert len(decode(envelope(padded)).events) == 1


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (BareMessage(GOOD, "text/plain", "utf-8", None), "content_type"),
        (BareMessage(GOOD, None, "utf-8", None), "content_type"),
        (BareMessage(GOOD, "application/json", "zzz", None), "content_encoding"),
        (BareMessage(GOOD, "application/json", None, None), "content_encoding"),
        (BareMessage(GOOD, "application/json", "utf-8", "application/x-gzip"), "compression"),
        (BareMessage(b" " * MAX_BODY_BYTES, "application/json", "utf-8", None), "too_large"),
        (BareMessage(b"\xff\xfe", "application/json", "utf-8", None), "body"),
    ],
)
def test_a_bad_message_without_envelope_is_rejected_by_its_reason(
    message: BareMessage, reason: str
) -> None:
    assert decode(message) == Decoded([], (reason,))


def test_a_good_message_without_envelope_gives_its_event() -> None:
    message = BareMessage(GOOD, "application/json", "utf-8", None)
    assert len(decode(message).events) == 1


# -- the shape of what is in the body, and its fields ----------------------------------------

BAD_EVENTS: dict[str, tuple[object, str]] = {
    "14 null": (None, "event"),
    "15 number": (1, "event"),
    "16 text": ("str", "event"),
    "22 no type": (without(TASK_EVENT, "type"), "event"),
    "23 type null": (task(type=None), "event"),
    "24 type a number": (task(type=7), "event"),
    "24 type a list": (task(type=["task-sent"]), "event"),
    "26 a type of the application's own": (task(type="task-custom"), "unknown_type"),
    "26 empty type": (task(type=""), "unknown_type"),
    "27 no uuid": (without(TASK_EVENT, "uuid"), "event"),
    "27 empty uuid": (task(uuid=""), "event"),
    "28 uuid a list": (task(uuid=[1]), "event"),
    "28 uuid too long": (task(uuid="x" * 256), "event"),
    "29 no hostname": (without(TASK_EVENT, "hostname"), "event"),
    "29 heartbeat without hostname": (without(HEARTBEAT, "hostname"), "event"),
    "30 hostname an object": (task(hostname={}), "event"),
    "30 heartbeat's hostname an object": (heartbeat(hostname={}), "event"),
    "32 hostname too long": (heartbeat(hostname="h" * 501), "event"),
    "33 clock a text": (task(clock="abc"), "event"),
    "33 heartbeat's clock a text": (heartbeat(clock="abc"), "event"),
    "35 clock 1e308": (task(clock=1e308), "event"),
    "37 utcoffset a text": (task(utcoffset="x"), "event"),
    "37 heartbeat's utcoffset a text": (heartbeat(utcoffset="x"), "event"),
    "39 timestamp a text": (task(timestamp="x"), "event"),
    "39 no timestamp": (without(TASK_EVENT, "timestamp"), "event"),
    "39 timestamp null": (task(timestamp=None), "event"),
    "40 timestamp NaN": (task(timestamp=float("nan")), "event"),
    "40 timestamp Infinity": (task(timestamp=float("inf")), "event"),
    "41 timestamp 1e300": (task(timestamp=1e300), "event"),
    "41 timestamp of 400 digits": (task(timestamp=10**400), "event"),
    "42 heartbeat's timestamp NaN": (heartbeat(timestamp=float("nan")), "event"),
    "42 heartbeat's timestamp 1e300": (heartbeat(timestamp=1e300), "event"),
    "44 timestamp -1": (task(timestamp=-1), "event"),
    "44 timestamp a boolean": (task(timestamp=True), "event"),
    "45 freq a text": (heartbeat(freq="x"), "event"),
    "49 parent_id a list": (task(parent_id=[1]), "event"),
    "49 root_id a number": (task(root_id=5), "event"),
    "52 name an object": (task(name={"a": 1}), "event"),
    "52 name too long": (task(name="n" * 501), "event"),
    "queue an object": (task(queue={}), "event"),
    "routing_key a number": (task(routing_key=5), "event"),
    "active negative": (heartbeat(active=-1), "event"),
    "active a boolean": (heartbeat(active=True), "event"),
    "processed 2**60": (heartbeat(processed=2**60), "event"),
    "pid a text": (heartbeat(pid="1"), "event"),
}

bad_event = pytest.mark.parametrize(("event", "reason"), BAD_EVENTS.values(), ids=BAD_EVENTS)


@bad_event
def test_a_bad_event_is_rejected_by_itself(event: object, reason: str) -> None:
    assert decode_body(body(event)) == Decoded([], (reason,))


@bad_event
def test_the_members_of_a_batch_beside_a_bad_one_survive(event: object, reason: str) -> None:
    batch = body([task(uuid="before"), event, task(uuid="after")])
    events, rejected = decode_body(batch)
    assert [event.uuid for event in events] == ["before", "after"]
    assert rejected == (reason,)


def test_17_an_empty_list_is_nothing() -> None:
    assert decode_body(b"[]") == Decoded([], ())


def test_18_two_good_ones_around_a_number_are_two() -> None:
    events, rejected = decode_body(body([TASK_EVENT, 5, TASK_EVENT]))
    assert (len(events), rejected) == (2, ("event",))


def test_every_bad_member_is_rejected_for_itself() -> None:
    members = [event for event, _ in BAD_EVENTS.values()]
    _, rejected = decode_body(body(members))
    assert rejected == tuple(reason for _, reason in BAD_EVENTS.values())


@pytest.mark.parametrize("last", [TASK_EVENT, 5], ids=["all good", "one bad"])
def test_20_a_list_of_too_many_is_rejected_whole(last: object) -> None:
    short = {"type": "task-sent", "uuid": "u", "hostname": "h", "timestamp": 1.0}
    members = [short] * MAX_EVENTS_PER_MESSAGE + [last]
    assert decode_body(body(members)) == Decoded([], ("too_many",))


def test_20_a_list_of_the_most_is_read() -> None:
    short = {"type": "task-sent", "uuid": "u", "hostname": "h", "timestamp": 1.0}
    members = [short] * MAX_EVENTS_PER_MESSAGE
    assert len(decode_body(body(members)).events) == MAX_EVENTS_PER_MESSAGE


def test_a_list_in_a_list_is_one_bad_member() -> None:
    events, rejected = decode_body(body([[TASK_EVENT], TASK_EVENT]))
    assert (len(events), rejected) == (1, ("event",))


def test_31_a_hostname_without_at_is_used_whole() -> None:
    assert only_task(hostname="just-a-name").hostname == "just-a-name"


def test_32_a_hostname_of_10_mb_makes_the_message_too_large() -> None:
    raw = envelope(body(heartbeat(hostname="h" * 10_000_000)))
    assert decode(raw) == Decoded([], ("too_large",))


ACCEPTED_TASKS = {
    "34 clock null": {"clock": None},
    "35 clock of 300 digits": {"clock": 10**300},
    "38 utcoffset null": {"utcoffset": None},
    "50 failed without exception": {"type": "task-failed"},
    "50 exception an object": {"type": "task-failed", "exception": {"a": 1}},
    "51 succeeded without runtime": {"type": "task-succeeded"},
    "53 eta garbage": {"type": "task-started", "eta": "garbage"},
    "53 eta a number": {"type": "task-sent", "eta": 5},
    "54 runtime -1": {"type": "task-succeeded", "runtime": -1},
    "54 runtime NaN": {"type": "task-succeeded", "runtime": float("nan")},
    "54 runtime Infinity": {"type": "task-succeeded", "runtime": float("inf")},
    "54 runtime a text": {"type": "task-succeeded", "runtime": "1"},
    "54 runtime of 400 digits": {"type": "task-succeeded", "runtime": 10**400},
    "name with a quote": {"name": 'a"b'},
    "name with a newline": {"name": "a\nb"},
    "name with NUL": {"name": "a\0b"},
    "name with a lone surrogate": {"name": "a\ud800b"},
    "name with a right-to-left mark": {"name": "a\u200fb"},
    "a field nobody knows": {"future": {"a": [1, 2]}},
    "eta a lone surrogate": {"eta": "\udfff"},
}


@pytest.mark.parametrize("fields", ACCEPTED_TASKS.values(), ids=ACCEPTED_TASKS)
def test_an_odd_task_event_is_accepted(fields: dict[str, Any]) -> None:
    events, rejected = decode_body(body(task(**fields)))
    assert rejected == ()
    assert [type(event) for event in events] == [TaskEvent]


def test_an_odd_name_arrives_unchanged() -> None:
    assert only_task(name='"\\\n\0\u200f').name == '"\\\n\0\u200f'


def test_a_lone_surrogate_arrives_as_it_can_be_written() -> None:
    assert only_task(name="a\ud800b").name == "a?b"


ACCEPTED_HEARTBEATS = {
    "34 clock null": {"clock": None},
    "38 utcoffset null": {"utcoffset": None},
    "46 freq 0": {"freq": 0},
    "46 freq negative": {"freq": -2.0},
    "loadavg a text": {"loadavg": "high"},
    "loadavg NaN": {"loadavg": [float("nan")]},
    "loadavg of 400 digits": {"loadavg": [10**400]},
    "active null": {"active": None},
}


@pytest.mark.parametrize("fields", ACCEPTED_HEARTBEATS.values(), ids=ACCEPTED_HEARTBEATS)
def test_an_odd_heartbeat_is_accepted(fields: dict[str, Any]) -> None:
    events, rejected = decode_body(body(heartbeat(**fields)))
    assert rejected == ()
    assert [type(event) for event in events] == [WorkerEvent]


@pytest.mark.parametrize("event", [TASK_EVENT, HEARTBEAT], ids=["task", "heartbeat"])
def test_a_field_whose_name_is_a_lone_surrogate_costs_at_most_its_event(
    event: dict[str, Any],
) -> None:
    batch = body([TASK_EVENT, {**event, "\ud800": 1}, TASK_EVENT])
    events, rejected = decode_body(batch)
    assert len(events) + len(rejected) == 3
    assert len(events) >= 2


@pytest.mark.parametrize(
    "kind", ["sent", "received", "started", "succeeded", "failed", "retried", "rejected", "revoked"]
)
def test_every_task_event_of_celery_is_known(kind: str) -> None:
    assert only_task(type=f"task-{kind}").type == f"task-{kind}"


@pytest.mark.parametrize("kind", ["online", "heartbeat", "offline"])
def test_every_worker_event_of_celery_is_known(kind: str) -> None:
    event = {"type": f"worker-{kind}", "hostname": "celery@one", "timestamp": 1.0}
    events, rejected = decode_body(body(event))
    assert ([event.type for event in events], rejected) == ([f"worker-{kind}"], ())


def test_a_heartbeat_arrives_with_all_its_fields() -> None:
    (event,) = decode_body(body(HEARTBEAT)).events
    known = {name: HEARTBEAT[name] for name in WorkerEvent.__struct_fields__}
    assert msgspec.structs.asdict(event) == known


def test_a_task_event_arrives_with_all_its_fields() -> None:
    sent = task(type="task-sent", queue="mail", exchange="", routing_key="mail", runtime=0.5)
    event = only_task(**sent)
    known = {name: sent.get(name) for name in TaskEvent.__struct_fields__}
    assert msgspec.structs.asdict(event) == known


def test_a_body_in_url_safe_base64_is_no_body() -> None:
    content = body(task(name="\u00ff\u00fe?>~~~"))
    altered = base64.urlsafe_b64encode(b"\xfb\xff" + content).decode()
    assert decode(envelope(GOOD, body=altered)).rejected == ("envelope",)


def only_task(**fields: Any) -> TaskEvent:
    events, rejected = decode_body(body(task(**fields)))
    assert rejected == ()
    (event,) = events
    assert isinstance(event, TaskEvent)
    return event
