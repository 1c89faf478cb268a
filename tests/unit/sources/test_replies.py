"""Replies to remote control, one mailbox on kombu's in-memory transport: which are taken."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from celeriac.celery_app import BrokerOptions, make_app
from celeriac.control import Command, Question, RemoteControl, Replies, _Mailbox
from celeriac.replies import MAX_REPLY_BYTES

PING = Command("ping")
STATS = Command("stats")
WORKERS = ("celery@one", "celery@two")

Reply = tuple[str | None, bytes]
"""A ticket, None for that of the question, and a body."""


class Answering:
    """Puts replies into a mailbox as soon as it has asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *replies: Reply) -> None:
        self.asked: list[str] = []

        def send(mailbox: _Mailbox, tickets: Mapping[str, Question]) -> None:
            self.asked += [question.command.method for question in tickets.values()]
            for ticket, (other_ticket, body) in itertools.product(tickets, replies):
                headers = {"ticket": other_ticket or ticket}
                mailbox._replies._take(SimpleNamespace(headers=headers, body=body))

        monkeypatch.setattr(_Mailbox, "send", send)


@pytest.fixture
def control() -> Iterator[RemoteControl]:
    control = RemoteControl(make_app(BrokerOptions("memory://")))
    yield control
    control.close()


def reply(worker: str, answer: object, ticket: str | None = None) -> Reply:
    return ticket, json.dumps({worker: answer}).encode()


def ask(control: RemoteControl, *commands: Command, timeout: float = 5.0) -> Replies:
    questions = [Question(command, WORKERS) for command in commands or (PING,)]
    return control.ask(questions, timeout)


def answers_of(replies: Replies) -> dict[str, Any]:
    return {worker: json.loads(bytes(raw)) for (worker, _), raw in replies.answers.items()}


def test_an_ask_ends_when_all_have_answered(
    control: RemoteControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    Answering(monkeypatch, reply("celery@one", 1), reply("celery@two", 2))
    replies = ask(control, timeout=3_600)
    assert answers_of(replies) == {"celery@one": 1, "celery@two": 2}
    assert replies.rejected == []
    assert replies.workers() == set(WORKERS)


def test_all_questions_are_asked_at_once(
    control: RemoteControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering = Answering(monkeypatch, reply("celery@one", 1), reply("celery@two", 2))
    replies = ask(control, PING, STATS)
    assert answering.asked == ["ping", "stats"]
    assert len(replies.answers) == 4


def test_the_silent_are_left_out(control: RemoteControl, monkeypatch: pytest.MonkeyPatch) -> None:
    Answering(monkeypatch, reply("celery@one", 1))
    replies = ask(control, timeout=0.01)
    assert answers_of(replies) == {"celery@one": 1}


def test_63_two_replies_of_one_name_are_neithers(
    control: RemoteControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    Answering(monkeypatch, reply("celery@one", 1), reply("celery@one", 3), reply("celery@two", 2))
    replies = ask(control)
    assert answers_of(replies) == {"celery@two": 2}
    assert replies.rejected == ["duplicate"]


def test_64_a_reply_with_a_foreign_ticket_is_rejected(
    control: RemoteControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    Answering(
        monkeypatch,
        reply("celery@one", "forged", ticket="foreign"),
        reply("celery@one", 1),
        reply("celery@two", 2),
    )
    replies = ask(control)
    assert answers_of(replies) == {"celery@one": 1, "celery@two": 2}
    assert replies.rejected == ["ticket"]


def test_69_a_reply_of_50_mb_is_too_large(
    control: RemoteControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = (None, b'{"celery@one":"' + b"x" * 50_000_000 + b'"}')
    Answering(monkeypatch, large, reply("celery@two", 2))
    replies = ask(control, timeout=0.01)
    assert answers_of(replies) == {"celery@two": 2}
    assert replies.rejected == ["too_large"]


def test_a_reply_just_under_the_limit_is_taken(
    control: RemoteControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = b'{"celery@one":""}'
    body = b'{"celery@one":"' + b"x" * (MAX_REPLY_BYTES - len(frame)) + b'"}'
    Answering(monkeypatch, (None, body), reply("celery@two", 2))
    assert len(ask(control).answers) == 2


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"5", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' + b"[" * 100_000],
    ids=lambda body: repr(body[:8]),
)
def test_a_reply_that_is_no_object_is_malformed(
    control: RemoteControl, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    Answering(monkeypatch, (None, body), reply("celery@two", 2))
    replies = ask(control, timeout=0.01)
    assert answers_of(replies) == {"celery@two": 2}
    assert replies.rejected == ["malformed"]


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN"])
def test_a_number_that_only_python_knows_is_null(
    control: RemoteControl, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    """``inspect conf`` with defaults has one (celery 5.7)."""
    odd = json.dumps({"a": float(number), "c": f"x{number}"}).encode()
    assert number.encode() in odd
    Answering(monkeypatch, (None, b'{"celery@one": ' + odd + b"}"), reply("celery@two", 2))
    replies = ask(control)
    assert answers_of(replies)["celery@one"] == {"a": None, "c": f"x{number}"}
    assert replies.rejected == []


def test_an_ask_starts_with_nothing_of_the_last_one(
    control: RemoteControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    Answering(monkeypatch, reply("celery@one", 1), reply("celery@one", 1))
    ask(control, timeout=0.01)
    Answering(monkeypatch, reply("celery@one", 5), reply("celery@two", 2))
    replies = ask(control)
    assert answers_of(replies) == {"celery@one": 5, "celery@two": 2}
    assert replies.rejected == []
