"""A worker that is none: it sends heartbeats and answers commands in whatever way it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from celery import Celery
from celery.events.event import get_exchange
from kombu import Connection, Producer

from faults.wire_format import JSON, worker_event

HEARTBEAT_SECONDS = 0.5
POLL_SECONDS = 0.1
GOOD_ANSWERS: Mapping[str, object] = {
    "ping": {"ok": "pong"},
    "stats": {
        "pid": 7,
        "uptime": 100,
        "clock": "1",
        "pool": {"implementation": "prefork", "max-concurrency": 3, "processes": [8, 9, 10]},
        "total": {"fake.task": 5},
        "prefetch_count": 12,
        "rusage": {"utime": 1.0, "stime": 1.0, "maxrss": 1000},
    },
    "active": [],
    "reserved": [],
    "scheduled": [],
    "active_queues": [{"name": "fake", "routing_key": "fake", "exchange": {"name": "fake"}}],
    "registered": ["fake.task"],
    "revoked": [],
    "conf": {"task_default_queue": "fake"},
}


@dataclass(frozen=True)
class Reply:
    """What goes back for one command; ``ticket`` is the one asked with."""

    body: bytes
    ticket: object
    headers: Mapping[str, object] = field(default_factory=dict)


def reply(node: str, answer: object, ticket: object) -> Reply:
    """Return a well-formed reply."""
    return Reply(json.dumps({node: answer}).encode(), ticket)


Distort = Callable[[str, Any, str], Iterable[Reply]]
"""Takes the node, the good answer and the ticket; returns what is sent in its place."""


class FakeWorker:
    """Known while entered; says goodbye on leaving. ``distorted`` is by command."""

    def __init__(self, broker_url: str, node: str, distorted: Mapping[str, Distort]) -> None:
        self.node = node
        self._distorted = distorted
        self._app = Celery("fake", broker=broker_url, set_as_current=False)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=node, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(30)

    def _run(self) -> None:
        with self._app.connection_for_write() as connection:
            self._producer = Producer(connection.channel())
            self._events = get_exchange(connection)
            mailbox = self._app.control.mailbox(connection)
            node = mailbox.Node(self.node, channel=connection.channel())
            with node.listen(callback=self._answer):
                self._serve(connection)
            self._send_event("offline")

    def _serve(self, connection: Connection) -> None:
        due = 0.0
        while not self._stopping.is_set():
            if time.monotonic() >= due:
                due = time.monotonic() + HEARTBEAT_SECONDS
                self._send_event("heartbeat")
            try:
                connection.drain_events(timeout=POLL_SECONDS)
            except TimeoutError:
                continue

    def _answer(self, command: dict[str, Any], _message: object) -> None:
        if self.node not in (command["destination"] or [self.node]) or "ticket" not in command:
            return
        method, ticket = command["method"], command["ticket"]
        distort = self._distorted.get(method, _truthful)
        for answer in distort(self.node, GOOD_ANSWERS[method], ticket):
            self._publish(answer, command["reply_to"])

    def _publish(self, answer: Reply, to: Mapping[str, str]) -> None:
        self._producer.publish(
            answer.body,
            exchange=to["exchange"],
            routing_key=to["routing_key"],
            content_type=JSON,
            content_encoding="utf-8",
            headers={"ticket": answer.ticket, "clock": 1} | dict(answer.headers),
        )

    def _send_event(self, kind: str) -> None:
        event = worker_event(kind, self.node, pid=7, freq=HEARTBEAT_SECONDS * 4)
        self._producer.publish(
            json.dumps(event),
            exchange=self._events,
            declare=[self._events],
            routing_key=f"worker.{kind}",
            content_type=JSON,
            content_encoding="utf-8",
        )


def _truthful(node: str, answer: object, ticket: str) -> Iterable[Reply]:
    return [reply(node, answer, ticket)]
