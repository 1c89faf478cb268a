"""Typed remote control: broadcast once, collect replies, stop when all who were asked answered.

The protocol is kombu's pidbox (``kombu.pidbox``): commands go to a fanout exchange, answers come
to a queue of our own, each with the ticket of its command. Asking workers by name is what lets
an ask end early: without names, one never knows whether another answer is still on its way.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from celery import Celery
from kombu import Connection, Consumer, Producer

from celeriac.celery_app import AMQP_HEARTBEAT_SECONDS
from celeriac.session import Session

MAX_REPLY_BYTES = 8 * 1024 * 1024
EVERYBODY: tuple[str, ...] = ()


class Command(NamedTuple):
    """A control command by its name in ``celery.worker.control``."""

    method: str
    arguments: Mapping[str, Any] = {}


class Question(NamedTuple):
    """A command and the names of the workers it is for."""

    command: Command
    workers: Collection[str]


@dataclass(slots=True)
class Replies:
    """What came back in time."""

    answers: dict[tuple[str, str], msgspec.Raw] = field(default_factory=dict)
    """The undecoded answer by (worker, method)."""
    rejected: list[str] = field(default_factory=list)
    """A reason for each reply that was not taken: too_large, malformed, ticket, duplicate."""

    def workers(self) -> set[str]:
        """Return who has answered anything at all."""
        return {worker for worker, _ in self.answers}


class RemoteControl:
    """One connection, one reply queue. Not for use by two threads at once.

    Every call may raise BrokerUnavailableError or BrokerRefusedError.
    """

    def __init__(self, app: Celery) -> None:
        self._session = Session(
            app, lambda connection: _Mailbox(app, connection), heartbeat=AMQP_HEARTBEAT_SECONDS
        )

    def ask(self, questions: Sequence[Question], timeout_seconds: float) -> Replies:
        """Send all *questions* at once; return when all were answered or time is up."""
        expected = {
            (worker, question.command.method)
            for question in questions
            for worker in question.workers
        }
        with self._session.use() as mailbox:
            return mailbox.ask(questions, expected, timeout_seconds)

    def ask_everybody(self, command: Command, timeout_seconds: float) -> Replies:
        """Send *command* to whoever listens; always takes the whole *timeout_seconds*."""
        with self._session.use() as mailbox:
            return mailbox.ask([Question(command, EVERYBODY)], None, timeout_seconds)

    def tell(self, command: Command, workers: Collection[str]) -> None:
        """Send *command* to *workers* and wait for nothing."""
        with self._session.use() as mailbox:
            mailbox.send(Question(command, workers), None)

    def close(self) -> None:
        self._session.close()


class _Mailbox:
    """The pidbox of one open connection."""

    def __init__(self, app: Celery, connection: Connection) -> None:
        self._connection = connection
        self._channel = connection.default_channel
        self._mailbox = app.control.mailbox(connection)
        self._mailbox.serializer = "json"
        self._producer = Producer(self._channel, serializer="json")
        self._tickets: dict[str, str] = {}
        self._replies = Replies()
        self._duplicates: set[tuple[str, str]] = set()
        self._reply_queue = self._mailbox.reply_queue(self._channel)
        self._consumer = Consumer(
            self._channel, [self._reply_queue], on_message=self._take, no_ack=True
        )
        self._consumer.consume()

    def ask(
        self,
        questions: Sequence[Question],
        expected: set[tuple[str, str]] | None,
        timeout_seconds: float,
    ) -> Replies:
        self._forget_the_last_ask()
        self._tickets = {str(uuid.uuid4()): question.command.method for question in questions}
        for ticket, question in zip(self._tickets, questions, strict=True):
            self.send(question, ticket)
        self._collect(expected, time.monotonic() + timeout_seconds)
        for key in self._duplicates:
            # Two workers share this name; which of them said what cannot be told.
            self._replies.answers.pop(key, None)
        return self._replies

    def send(self, question: Question, ticket: str | None) -> None:
        command, workers = question
        message: dict[str, Any] = {
            "method": command.method,
            "arguments": dict(command.arguments),
            "destination": list(workers) or None,
            "pattern": None,
            "matcher": None,
        }
        if ticket is not None:
            message["ticket"] = ticket
            message["reply_to"] = {
                "exchange": self._mailbox.reply_exchange.name,
                "routing_key": self._mailbox.oid,
            }
        exchange = self._mailbox.exchange
        headers = {"clock": self._mailbox.clock.forward(), "expires": 0}
        self._producer.publish(
            message, exchange=exchange.name, declare=[exchange], headers=headers, retry=False
        )

    def _forget_the_last_ask(self) -> None:
        # kombu lets the reply queue's binding expire (Redis) unless it is declared again.
        self._reply_queue.declare()
        self._replies, self._duplicates, self._tickets = Replies(), set(), {}
        self._connection.heartbeat_check()
        with suppress(TimeoutError):
            while True:
                self._connection.drain_events(timeout=0.001)

    def _collect(self, expected: set[tuple[str, str]] | None, deadline_mono: float) -> None:
        while expected is None or not expected <= self._replies.answers.keys():
            remaining = deadline_mono - time.monotonic()
            if remaining <= 0:
                return
            with suppress(TimeoutError):
                self._connection.drain_events(timeout=remaining)

    def _take(self, message: Any) -> None:
        method = self._tickets.get(message.headers.get("ticket"))
        if method is None:
            self._replies.rejected.append("ticket")
            return
        for worker, answer in self._read(message.body):
            key = (worker, method)
            if key in self._replies.answers:
                self._duplicates.add(key)
                self._replies.rejected.append("duplicate")
            self._replies.answers[key] = answer

    def _read(self, body: str | bytes) -> Iterator[tuple[str, msgspec.Raw]]:
        if len(body) > MAX_REPLY_BYTES:
            self._replies.rejected.append("too_large")
            return
        try:
            yield from _decode_reply(body).items()
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._replies.rejected.append("malformed")


_decode_reply = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
