"""Bad events, and what each of them has to cost: nothing but itself."""

from __future__ import annotations

import json
import math
import pickle
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from faults.wire_format import ABSENT, EventMessage, encode, envelope, task_event, worker_event

CANARY = "canary"
MEBIBYTE = 1024 * 1024
ODD_NAMES = {
    "a quote": 'poison."',
    "a backslash": "poison.\\",
    "a newline": "poison.\n",
    "a NUL": "poison.\0",
    "a lone surrogate": "poison.\ud800",
    "a right-to-left mark": "poison.\u200f",
}
ODD_RUNTIMES = {"-1": -1, "NaN": math.nan, "Infinity": math.inf, "a string": "1", "true": True}


@dataclass(frozen=True)
class Case:
    """A message, the reasons it is rejected for, the types of the events in it that are good."""

    name: str
    message: EventMessage
    rejected: tuple[str, ...] = ()
    received: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


class Canary:
    """Unpickled, it leaves a file in the working directory."""

    def __reduce__(self) -> tuple[object, ...]:
        return open, (CANARY, "w")


PLAIN = encode(task_event("received", name="poison.task", queue="poison"))
PICKLE = pickle.dumps(Canary())


def _raw(name: str, raw: bytes, reason: str = "envelope") -> Case:
    return Case(name, EventMessage(raw=raw), (reason,))


def _bad_envelopes() -> Iterator[Case]:
    """Yield what only a broker that wraps its messages can carry."""
    whole = envelope(PLAIN)
    properties = json.loads(whole)["properties"]
    untagged = {key: value for key, value in properties.items() if key != "delivery_tag"}
    yield _raw("1 not JSON", b"not json")
    yield _raw("2 an empty envelope", b"{}")
    yield _raw("3 a list for an envelope", b"[]")
    yield _raw("4 no delivery tag", envelope(PLAIN, properties=untagged))
    yield _raw("5 a body that is no base64", envelope(PLAIN, body="%%%"))
    yield _raw(
        "9 an unknown body encoding",
        envelope(PLAIN, properties=properties | {"body_encoding": "zzz"}),
        "content_encoding",
    )
    yield _raw("10 a byte order mark", b"\xff\xfe")
    yield _raw("11 a truncated envelope", whole[: len(whole) // 2])
    yield _raw("11 an empty message", b"")
    yield _raw("no body in the envelope", envelope(PLAIN, body=ABSENT))
    yield _raw("an envelope in an envelope", b'{"body":' * 5000 + b"1" + b"}" * 5000)


def _bad_contents() -> Iterator[Case]:
    """Yield what every broker can carry beside or instead of a JSON body."""

    def case(name: str, reason: str, /, **fields: object) -> Case:
        message = EventMessage(**({"body": PLAIN.body} | fields))  # type: ignore[arg-type]
        return Case(name, message, (reason,))

    pickled = "application/x-python-serialize"
    yield case("6 an unknown content type", "content_type", content_type="application/x-unknown")
    yield case("7 a pickle", "content_type", content_type=pickled, body=PICKLE)
    yield case("7 a pickle that says it is JSON", "body", body=PICKLE)
    yaml = b"!!python/object/apply:builtins.open [canary, w]"
    yield case("8 a YAML object", "content_type", content_type="application/x-yaml", body=yaml)
    yield case("8 a YAML object that says it is JSON", "body", body=yaml)
    yield case("9 an unknown content encoding", "content_encoding", content_encoding="zzz")
    yield case("10 a body of a byte order mark", "body", body=b"\xff\xfe")
    yield case("11 a truncated body", "body", body=PLAIN.body[:-9])
    yield case("11 an empty body", "body", body=b"")
    yield case("12 a compressed body", "compression", headers={"compression": "gzip"})
    yield case("13 a body of 2 MiB", "too_large", body=b'"' + b"x" * (2 * MEBIBYTE) + b'"')
    yield case("a list in a list, 100,000 deep", "body", body=b"[" * 100_000 + b"]" * 100_000)
    yield case("a number of 5,000 digits", "body", body=b"1" * 5000)


def _bad_shapes(routing_key: str) -> Iterator[Case]:
    """Yield bodies that are JSON and no event."""

    def case(number: str, event: object, *reasons: str) -> Case:
        return Case(f"{number} on {routing_key}", encode(event, routing_key), reasons)

    of_task = routing_key.startswith("task")
    good = task_event("received") if of_task else worker_event("heartbeat", "poison@host")

    def event(**fields: object) -> dict[str, object]:
        return {name: v for name, v in (good | fields).items() if v is not ABSENT}

    yield case("14 null", None, "event")
    yield case("15 a number", 1, "event")
    yield case("16 a string", "str", "event")
    yield case("17 an empty list", [])
    yield case("20 too many members", [1] * 10_001, "too_many")
    yield case("22 no type", event(type=ABSENT), "event")
    yield case("23 a type of null", event(type=None), "event")
    yield case("24 a type of 7", event(type=7), "event")
    yield case("26 an unknown type", event(type="task-custom"), "unknown_type")
    yield case("29 no hostname", event(hostname=ABSENT), "event")
    yield case("30 an object for a hostname", event(hostname={}), "event")
    yield case("32 a hostname of 10 MB", event(hostname="x" * 10_000_000), "too_large")
    yield case("33 a clock of letters", event(clock="abc"), "event")
    yield case("35 a clock of 1e308", event(clock=1e308), "event")
    yield case("37 a utcoffset of letters", event(utcoffset="x"), "event")
    yield case("39 a timestamp of letters", event(timestamp="x"), "event")
    yield case("40 a timestamp that is no number", event(timestamp=math.nan), "event")
    yield case("41 a timestamp of 1e300", event(timestamp=1e300), "event")
    yield case("44 a timestamp of -1", event(timestamp=-1), "event")
    yield case("44 a timestamp of true", event(timestamp=True), "event")


def _bad_fields() -> Iterator[Case]:
    """Yield events of which one field is bad."""

    def task(name: str, /, **fields: object) -> Case:
        return Case(name, encode(task_event("received", name="poison.task") | fields), ("event",))

    good = task_event("received", name="poison.task", queue="poison")
    yield Case("18 a 5 between two events", encode([good, 5, good]), ("event",), (RECEIVED,) * 2)
    valid = [task_event("received")] * 10_001
    yield Case("20 too many events", encode(valid), ("too_many",))
    yield Case("27 no uuid", encode(task_event("received", uuid=ABSENT)), ("event",))
    yield task("28 a list for a uuid", uuid=[1])
    yield task("49 a list for a parent", parent_id=[1])
    yield task("52 an object for a name", name={"a": 1})
    beat = worker_event("heartbeat", "poison@host", freq="x")
    yield Case("45 a freq of letters", encode(beat, "worker.heartbeat"), ("event",))


RECEIVED = "task-received"


def _odd_but_good() -> Iterator[Case]:
    """Yield events that look wrong and count; their tasks are told apart by their names."""

    def task(name: str, kind: str, /, **fields: object) -> Case:
        named = {"name": f"odd.{name}", "queue": "odd", "uuid": f"odd-{name}"} | fields
        return Case(name, encode(task_event(kind, **named)), (), (f"task-{kind}",))

    def worker(name: str, /, **fields: object) -> Case:
        fields = {"hostname": "odd@host"} | fields
        event = worker_event("heartbeat", **fields)  # type: ignore[arg-type]
        return Case(name, encode(event, "worker.heartbeat"), (), ("worker-heartbeat",))

    yield task("31 a task on a host without @", "received", hostname="nameless")
    yield worker("31 a worker without @", hostname="nameless")
    yield task("34 a clock of null", "received", clock=None)
    yield worker("34 a worker's clock of null", clock=None)
    yield task("38 a utcoffset of null", "received", utcoffset=None)
    yield worker("46 a freq of 0", freq=0)
    yield worker("46 a negative freq", freq=-3)
    yield task("50 no exception", "failed")
    yield task("51 no runtime", "succeeded")
    yield task("53 an eta of letters", "started", eta="garbage")
    yield task("53 an eta of letters when sent", "sent", eta="garbage")
    for text, runtime in ODD_RUNTIMES.items():
        yield task(f"54 a runtime of {text}", "succeeded", runtime=runtime)
    for kind in ("started", "received", "received", "succeeded", "started"):
        yield task("55 out of order", kind)
    for text, name in ODD_NAMES.items():
        yield task(f"56 {text}", "received", name=name)
    goodbye = encode(worker_event("offline", "stranger@host"), "worker.offline")
    yield Case("59 a stranger's goodbye", goodbye, (), ("worker-offline",))


WRAPPED = tuple(_bad_envelopes())
CASES = (
    *_bad_contents(),
    *_bad_shapes("task.multi"),
    *_bad_shapes("worker.heartbeat"),
    *_bad_fields(),
    *_odd_but_good(),
)


def rejections(cases: tuple[Case, ...]) -> Counter[str]:
    """Return how often each reason is due for *cases*."""
    return Counter(reason for case in cases for reason in case.rejected)


def receptions(cases: tuple[Case, ...]) -> Counter[str]:
    """Return how many events of each type are due for *cases*."""
    return Counter(kind for case in cases for kind in case.received)
