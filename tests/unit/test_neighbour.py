"""The neighbour answers a worker that starts, and nobody else; on kombu's in-memory transport."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from celeriac import neighbour
from celeriac.celery_app import BrokerOptions, make_app
from celeriac.neighbour import Neighbour

TIMEOUT_SECONDS = 0.5


class Street:
    """A neighbour that runs, and an application that asks it as workers do."""

    def __init__(self) -> None:
        options = BrokerOptions(
            "memory://", event_exchange=f"e{uuid.uuid4()}", control_exchange=f"c{uuid.uuid4()}"
        )
        self.app: Celery = make_app(options)
        self.revoked: list[str] = ["a", "b"]
        self.goodbyes: list[str] = []
        self.heard = threading.Event()
        self.neighbour = Neighbour(self.app, lambda: self.revoked, self._take_goodbye)

    def _take_goodbye(self, worker: str) -> None:
        self.goodbyes.append(worker)
        self.heard.set()

    def ask(self, method: str, **arguments: Any) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = self.app.control.broadcast(
            method, arguments=arguments, reply=True, timeout=TIMEOUT_SECONDS
        )
        return answers


@pytest.fixture
def street(monkeypatch: pytest.MonkeyPatch) -> Iterator[Street]:
    monkeypatch.setattr(neighbour, "DRAIN_SECONDS", 0.05)
    street = Street()
    is_listening = threading.Event()
    consumers = street.neighbour._consumers

    def tell_consumers(connection: Any) -> Any:
        first, second = consumers(connection)
        consume = second.consume
        second.consume = lambda: (consume(), is_listening.set())
        return first, second

    monkeypatch.setattr(street.neighbour, "_consumers", tell_consumers)
    street.neighbour.start()
    assert is_listening.wait(5)
    yield street
    street.neighbour.stop()
    assert not street.neighbour.is_running


def test_a_worker_that_starts_learns_what_is_revoked(street: Street) -> None:
    (answer,) = street.ask("hello", from_node="new@h", revoked=None)
    assert list(answer.values()) == [{"revoked": ["a", "b"]}]


def test_there_is_no_answer_while_nothing_is_revoked(street: Street) -> None:
    street.revoked.clear()
    assert street.ask("hello", from_node="new@h", revoked=None) == []


@pytest.mark.parametrize("method", ["ping", "stats", "revoke", "shutdown", "nothing"])
def test_nothing_else_is_answered(street: Street, method: str) -> None:
    assert street.ask(method) == []


def test_a_command_that_wants_no_answer_gets_none(street: Street) -> None:
    street.app.control.broadcast("hello", arguments={"from_node": "x", "revoked": None})
    assert len(street.ask("hello", from_node="new@h", revoked=None)) == 1


def test_a_goodbye_is_heard(street: Street) -> None:
    with street.app.connection_for_write() as connection:
        dispatcher = street.app.events.Dispatcher(connection, hostname="one@h")
        dispatcher.send("worker-offline")
    assert street.heard.wait(5)
    assert street.goodbyes == ["one@h"]


@pytest.mark.parametrize("body", [b"", b"null", b"5", b"{}", b"\xff", b"[" * 100_000])
def test_what_makes_no_sense_is_nothing(street: Street, body: bytes) -> None:
    with street.app.connection_for_write() as connection:
        mailbox = street.app.control.mailbox(connection)
        producer = connection.Producer()
        producer.publish(
            body,
            exchange=mailbox.exchange,
            declare=[mailbox.exchange],
            content_type="application/json",
            content_encoding="utf-8",
        )
    assert len(street.ask("hello", from_node="new@h", revoked=None)) == 1
