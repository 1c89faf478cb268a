"""Event messages as kombu's virtual transports put them on the wire (kombu 5.7)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

TASK_EVENT: dict[str, Any] = {
    "type": "task-received",
    "uuid": "5e8a1c1e-8f3c-4b39-9d53-5a9f0c7d3b11",
    "hostname": "celery@one",
    "timestamp": 1_700_000_000.25,
    "name": "app.add",
    "args": "(1, 2)",
    "kwargs": "{}",
    "root_id": "5e8a1c1e-8f3c-4b39-9d53-5a9f0c7d3b11",
    "parent_id": None,
    "retries": 0,
    "eta": None,
    "expires": None,
    "utcoffset": 0,
    "pid": 42,
    "clock": 7,
    "local_received": 1_700_000_000.26,
}
HEARTBEAT: dict[str, Any] = {
    "type": "worker-heartbeat",
    "hostname": "celery@one",
    "timestamp": 1_700_000_000.25,
    "freq": 2.0,
    "active": 1,
    "processed": 12,
    "loadavg": [0.5, 0.25, 0.125],
    "sw_ident": "py-celery",
    "sw_ver": "5.7.0",
    "sw_sys": "Linux",
    "utcoffset": 0,
    "pid": 42,
    "clock": 8,
}


def body(content: object) -> bytes:
    """Return *content* as JSON; NaN, infinities and lone surrogates as Python writes them."""
    return json.dumps(content).encode()


def task(**fields: Any) -> dict[str, Any]:
    return {**TASK_EVENT, **fields}


def heartbeat(**fields: Any) -> dict[str, Any]:
    return {**HEARTBEAT, **fields}


def without(event: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != field}


def envelope_fields(content: bytes) -> dict[str, Any]:
    return {
        "body": base64.b64encode(content).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"hostname": "celery@one"},
        "properties": {
            "delivery_mode": 1,
            "delivery_info": {"exchange": "celeryev", "routing_key": "task.multi"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "0f8d4f5e-6b43-4a4e-b0e2-0d6a7a4a5a77",
        },
    }


def envelope(content: bytes, **changes: Any) -> bytes:
    """Return the envelope around *content*; *changes* replace its fields, ``_`` is ``-``."""
    fields = envelope_fields(content)
    fields.update({name.replace("_", "-"): value for name, value in changes.items()})
    return json.dumps(fields).encode()


class Reader(Protocol):
    """Takes a stream's bytes as they come."""

    def feed(self, data: memoryview) -> Sequence[object]: ...


def fed(reader: Reader, data: bytes, cuts: Iterable[int]) -> list[object]:
    """Feed *data* in pieces that end at *cuts*, and return all that came out."""
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    found: list[object] = []
    for start, end in zip([0, *ends], ends, strict=False):
        found += reader.feed(memoryview(data)[start:end])
    return found
