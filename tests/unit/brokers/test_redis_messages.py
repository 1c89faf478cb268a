"""What is read of the messages that wait in Redis, and of those that workers hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from celeriac.brokers.redis_heads import read_head
from celeriac.brokers.redis_unacked import Held, _read, _with_one
from celeriac.model.facts import Head

ETA = "2023-11-14T22:13:20+00:00"
ETA_AT = 1_700_000_000.0


def message(**headers: Any) -> bytes:
    return json.dumps({"body": "W10=", "headers": headers, "properties": {}}).encode()


def test_a_head_is_known_by_its_task_id() -> None:
    assert read_head(3, message(id="a", task="x")) == Head(3, "a")


def test_a_head_tells_its_eta() -> None:
    assert read_head(0, message(id="a", eta=ETA)).eta_at == ETA_AT


def test_a_message_that_came_back_says_so() -> None:
    assert read_head(0, message(id="a", redelivered=True)).is_redelivered


@pytest.mark.parametrize(
    "raw",
    [b"", b"not json", b"[]", b"{}", b'{"headers": null}', b'{"headers": {"id": 7}}', b"\xff"],
)
def test_a_head_that_cannot_be_read_is_known_by_its_bytes(raw: bytes) -> None:
    head = read_head(0, raw)
    assert head == read_head(0, raw)
    assert head.task_id != read_head(0, raw + b" ").task_id
    assert head.eta_at is None


@pytest.mark.parametrize("eta", [7, "soon", None, ["x"], "9" * 400])
def test_an_eta_that_is_none_is_left_out(eta: object) -> None:
    assert read_head(0, message(id="a", eta=eta)).eta_at is None


def test_a_held_message_tells_its_route_and_its_eta() -> None:
    raw = json.dumps([json.loads(message(id="a", eta=ETA)), "exchange", "key"]).encode()
    assert _read(raw) == ("exchange", "key", ETA_AT)


@pytest.mark.parametrize("one", [{}, {"headers": None}, {"headers": []}, 7, None])
def test_a_held_message_of_another_kind_still_has_a_route(one: object) -> None:
    assert _read(json.dumps([one, "exchange", "key"]).encode()) == ("exchange", "key", None)


def test_the_oldest_of_those_that_are_due_counts() -> None:
    held = Held()
    for due_at in (50.0, 20.0, 500.0):
        held = _with_one(held, due_at, 100.0, is_at_risk=due_at == 500.0)
    assert held == Held(messages=3, oldest_at=20.0, at_risk=1)
