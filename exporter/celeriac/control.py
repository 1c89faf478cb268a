"""Typed remote control: broadcast once, collect replies, stop when all who were asked answered.

The protocol is kombu's pidbox (``kombu.pidbox``): commands go to a fanout exchange, answers come
to a queue of our own, each with the ticket of its command. Asking workers by name is what lets
an ask end early: without names, one never knows whether another answer is still on its way.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple, Protocol

import msgspec
from celery import Celery
from kombu import Connection

from celeriac.celery_app import AMQP_HEARTBEAT_SECONDS
from celeriac.outbox import open_outbox
from celeriac.replies import Reply, open_reply_queue
from celeriac.session import Session

MAX_MENDED_BYTES = 1024 * 1024

EVERYBODY: tuple[str, ...] = ()


class Command(NamedTuple):
    """A control command by its name in ``celery.worker.control``."""

    method: str
    arguments: Mapping[str, Any] = {}


class Question(NamedTuple):
    """A command and the names of the workers whose answers are waited for."""

    command: Command
    workers: Collection[str]
    is_for_all: bool = False
    """Ask whoever listens: a thousand names would be read by each of a thousand workers."""


@dataclass(slots=True)
class Replies:
    """What came back in time."""

    answers: dict[tuple[str, str], msgspec.Raw] = field(default_factory=dict)
    """The undecoded answer by (worker, method)."""
    rejected: list[str] = field(default_factory=list)
    """A reason for each reply that was not taken: too_large, malformed, ticket, duplicate."""
    namesakes: set[str] = field(default_factory=set)
    """Names under which two workers have answered; the answers of neither can be used."""

    def workers(self) -> set[str]:
        """Return who has answered anything at all."""
        return {worker for worker, _ in self.answers}


class Conversation(Protocol):
    """Questions that depend on the answers before them."""

    def wait_seconds(self) -> float:
        """Return how long to listen at most before asking on; 0 when the conversation is over."""

    def next_questions(self) -> Sequence[Question]:
        """Return what is to be asked now, perhaps nothing."""

    def hear(self, question: Question, worker: str, answer: msgspec.Raw) -> None:
        """Take note of an answer to one of the questions."""


class RemoteControl:
    """One connection, one reply queue. Not for use by two threads at once.

    Every call may raise BrokerUnavailableError or BrokerRefusedError.
    """

    def __init__(self, app: Celery) -> None:
        self._session = Session(
            app, lambda connection: _Mailbox(app, connection), heartbeat=AMQP_HEARTBEAT_SECONDS
        )

    def ask(self, questions: Sequence[Question], timeout_seconds: float) -> Replies:
        """Send all *questions* at once; return when all were answered or time is up.

        A question for all may also bring answers of workers that it does not name.
        """
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

    def converse(self, conversation: Conversation) -> None:
        """Ask what *conversation* wants to know, until it is over.

        If the broker fails meanwhile, *conversation* has what was heard before.
        """
        with self._session.use() as mailbox:
            mailbox.converse(conversation)

    def tell(self, command: Command, workers: Collection[str]) -> None:
        """Send *command* to *workers* and wait for nothing."""
        with self._session.use() as mailbox:
            mailbox.tell(Question(command, workers))

    def close(self) -> None:
        self._session.close()


class _Mailbox:
    """The pidbox of one open connection."""

    def __init__(self, app: Celery, connection: Connection) -> None:
        self._mailbox = app.control.mailbox(connection)
        self._outbox = open_outbox(connection, self._mailbox.exchange)
        self._queue = self._mailbox.reply_queue(connection.default_channel)
        self._queue.declare()
        self._replies = open_reply_queue(connection, self._queue)

    def ask(
        self,
        questions: Sequence[Question],
        expected: set[tuple[str, str]] | None,
        timeout_seconds: float,
    ) -> Replies:
        """Send *questions*; return when all *expected* pairs are there, None is the timeout."""
        # kombu lets the reply queue's binding expire (Redis) unless it is declared again.
        self._queue.declare()
        desk = _Desk(questions, expected)
        for reply in self._replies.receive(0.0):
            # Late answers to an earlier ask.
            desk.take(reply)
        self.send(desk.tickets)
        deadline_mono = time.monotonic() + timeout_seconds
        while not desk.is_complete and (remaining := deadline_mono - time.monotonic()) > 0:
            for reply in self._replies.receive(remaining):
                desk.take(reply)
        return desk.close()

    def converse(self, conversation: Conversation) -> None:
        """Ask and listen by turns until *conversation* is over."""
        self._queue.declare()
        tickets: dict[str, Question] = {}
        while (wait := conversation.wait_seconds()) > 0:
            if questions := conversation.next_questions():
                asked = {str(uuid.uuid4()): question for question in questions}
                tickets |= asked
                self.send(asked)
            for reply in self._replies.receive(wait):
                _pass_on(reply, tickets, conversation)

    def send(self, tickets: Mapping[str, Question]) -> None:
        """Send every question, to be answered under its ticket."""
        reply_to = {
            "exchange": self._mailbox.reply_exchange.name,
            # Not the mailbox's own: that is another one in every thread.
            "routing_key": self._queue.routing_key,
        }
        self._publish(
            [
                _message(question) | {"ticket": ticket, "reply_to": reply_to}
                for ticket, question in tickets.items()
            ]
        )

    def tell(self, question: Question) -> None:
        """Send *question* and do not wait for an answer."""
        self._publish([_message(question)])

    def _publish(self, messages: Sequence[Mapping[str, Any]]) -> None:
        self._outbox.send(messages, {"clock": self._mailbox.clock.forward(), "expires": 0})


def _message(question: Question) -> dict[str, Any]:
    command, workers = question.command, question.workers
    return {
        "method": command.method,
        "arguments": dict(command.arguments),
        "destination": None if question.is_for_all else list(workers) or None,
        "pattern": None,
        "matcher": None,
    }


def _pass_on(reply: Reply, tickets: Mapping[str, Question], conversation: Conversation) -> None:
    """Tell *conversation* what *reply* says, if it is one to its questions that can be read."""
    question = tickets.get(reply.ticket) if isinstance(reply.ticket, str) else None
    if question is None or reply.refusal is not None:
        return
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        for worker, answer in _decoded(reply.body).items():
            conversation.hear(question, worker, answer)


class _Desk:
    """Sorts the replies to one ask by worker and command."""

    def __init__(
        self, questions: Sequence[Question], expected: set[tuple[str, str]] | None
    ) -> None:
        self.tickets = {str(uuid.uuid4()): question for question in questions}
        self._expected = expected
        self._replies = Replies()
        self._duplicates: set[tuple[str, str]] = set()

    @property
    def is_complete(self) -> bool:
        return self._expected is not None and self._expected <= self._replies.answers.keys()

    def take(self, reply: Reply) -> None:
        question = self.tickets.get(reply.ticket) if isinstance(reply.ticket, str) else None
        if reply.refusal is not None:
            self._replies.rejected.append(reply.refusal)
        elif question is None:
            self._replies.rejected.append("ticket")
        else:
            self._sort(reply.body, question)

    def _sort(self, body: bytes, question: Question) -> None:
        try:
            answers = _decoded(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._replies.rejected.append("malformed")
            return
        for worker, answer in answers.items():
            key = (worker, question.command.method)
            if not question.is_for_all and self._expected and key not in self._expected:
                self._replies.rejected.append("ticket")
                continue
            if key in self._replies.answers:
                self._duplicates.add(key)
                self._replies.rejected.append("duplicate")
            self._replies.answers[key] = answer

    def close(self) -> Replies:
        """Return everything that can be used: of two workers with one name, neither can."""
        for key in self._duplicates:
            self._replies.answers.pop(key, None)
            self._replies.namesakes.add(key[0])
        return self._replies


WorkerName = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
_decode_reply = msgspec.json.Decoder(dict[WorkerName, msgspec.Raw]).decode
# What Python writes as a value although JSON does not have it.
_NO_NUMBERS = (b": Infinity", b": -Infinity", b": NaN")


def _decoded(body: bytes) -> dict[str, msgspec.Raw]:
    """Return the undecoded answer by worker. Errors: msgspec.MsgspecError and its like."""
    try:
        return _decode_reply(body)
    except msgspec.DecodeError:
        # One of Celery's defaults is Infinity (5.7). A pattern would be a hundred times as slow.
        if len(body) > MAX_MENDED_BYTES or not any(text in body for text in _NO_NUMBERS):
            raise
        for text in _NO_NUMBERS:
            body = body.replace(text, b": null")
        return _decode_reply(body)
