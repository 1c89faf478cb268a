"""What is read of the messages that wait in Redis, and of those that workers hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from celeriac.brokers import redis_heads, redis_unacked
from celeriac.brokers.redis_heads import BYTES_PER_SECOND, MAX_PAUSE_SECONDS, Heads, read_head
from celeriac.brokers.redis_unacked import Held, UnackedMessages, _read, _with_one
from celeriac.model.facts import Head

ETA = "2023-11-14T22:13:20+00:00"
ETA_AT = 1_700_000_000.0


def message(**headers: Any) -> bytes:
    return json.dumps({"body": "W10=", "headers": headers, "properties": {}}).encode()


def test_a_head_is_known_by_its_task_id() -> None:
    head = read_head(3, message(id="a", task="x"))
    assert head._replace(digest=0) == Head(3, "a")


def test_two_messages_of_one_task_are_told_apart() -> None:
    one, other = (read_head(0, message(id="a", retries=retries)) for retries in (1, 2))
    assert one.digest != other.digest


def test_a_retry_is_not_as_old_as_its_task() -> None:
    assert read_head(0, message(id="a", retries=1)).is_redelivered
    assert not read_head(0, message(id="a", retries=0)).is_redelivered


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


class Redis:
    """As much of a server as is asked, with a clock that stands until it is told."""

    unacked = "unacked"
    unacked_index = "unacked_index"

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000.0
        self.tails: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.held: dict[bytes, tuple[float, bytes]] = {}
        for module in (redis_heads, redis_unacked):
            monkeypatch.setattr(module, "time", self)

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def lists(self, queue: str) -> list[str]:
        return [queue, f"{queue}/3"]

    def pipeline(self, *, transaction: bool) -> Redis:
        self.asked = []
        return self

    def lindex(self, key: str, place: int) -> None:
        self.asked.append(key)

    def execute(self, *, raise_on_error: bool) -> list[bytes | None]:
        return [self.tails.get(key) for key in self.asked]

    def zcard(self, key: str) -> int:
        return len(self.held)

    def zrange(self, key: str, start: int, stop: int, *, withscores: bool) -> Any:
        return [(tag, score) for tag, (score, _) in self.held.items()]

    def hmget(self, key: str, tags: list[bytes]) -> list[bytes]:
        return [self.held[tag][1] for tag in tags]

    def hold(self, tag: bytes, delivered_at: float, **headers: Any) -> None:
        raw = json.dumps([json.loads(message(id="a", **headers)), "", "celery"]).encode()
        self.held[tag] = (delivered_at, raw)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    return Redis(monkeypatch)


LARGE = message(id="large", filling="x" * 10 * BYTES_PER_SECOND)


def test_the_heads_of_all_lists_that_are_not_empty_are_looked_at(server: Any) -> None:
    server.tails = {"q": message(id="a"), "q/3": message(id="b"), "r": message(id="c")}
    heads = Heads().fetch(server, server, {"q": [1, 2], "r": [0, 0]})
    assert {queue: [head.task_id for head in some] for queue, some in heads.items()} == {
        "q": ["a", "b"]
    }


def test_a_list_that_was_emptied_meanwhile_has_no_head(server: Any) -> None:
    assert Heads().fetch(server, server, {"q": [1, 0]}) == {}


def test_a_large_message_is_looked_at_less_often(server: Any) -> None:
    heads, server.tails = Heads(), {"q": LARGE}
    asked = 0
    for _ in range(60):
        server.asked = []
        assert heads.fetch(server, server, {"q": [1, 0]})
        asked += len(server.asked)
        server.now += 1
    assert asked * len(LARGE) / 60 <= 1.2 * BYTES_PER_SECOND


def test_a_large_message_tells_when_it_was_looked_at(server: Any) -> None:
    heads, server.tails = Heads(), {"q": LARGE}
    for seconds_ago in (0, 4, 8, 0):
        ((head,),) = heads.fetch(server, server, {"q": [1, 0]}).values()
        assert head.seconds_ago == seconds_ago
        server.now += 4


def test_a_large_message_whose_list_became_shorter_may_be_gone(server: Any) -> None:
    heads, server.tails = Heads(), {"q": LARGE}
    heads.fetch(server, server, {"q": [2, 0]})
    assert heads.fetch(server, server, {"q": [1, 0]}) == {}
    server.now += MAX_PAUSE_SECONDS
    assert heads.fetch(server, server, {"q": [1, 0]})


def held(messages: UnackedMessages, server: Any, timeout: float = 3600) -> Held:
    by_queue = messages.by_queue(server, server, lambda _, key: key, timeout)
    assert by_queue is not None
    return by_queue["celery"]


def test_a_held_message_is_as_old_as_its_delivery(server: Any) -> None:
    server.hold(b"one", server.now - 100)
    server.hold(b"two", server.now - 50)
    assert held(UnackedMessages(), server) == Held(2, server.now - 100, 0)


def test_a_held_message_whose_eta_is_to_come_has_no_age(server: Any) -> None:
    server.now = ETA_AT - 100
    server.hold(b"one", server.now - 100, eta=ETA)
    assert held(UnackedMessages(), server) == Held(1, None, 0)


def test_a_held_message_is_as_old_as_its_eta(server: Any) -> None:
    server.now = ETA_AT + 100
    server.hold(b"one", server.now - 1000, eta=ETA)
    assert held(UnackedMessages(), server).oldest_at == ETA_AT


def test_a_message_held_past_the_timeout_is_at_risk(server: Any) -> None:
    server.hold(b"one", server.now - 100)
    server.hold(b"two", server.now - 50)
    assert held(UnackedMessages(), server, timeout=60).at_risk == 1


def test_a_message_due_past_the_timeout_is_at_risk(server: Any) -> None:
    server.now = ETA_AT - 100
    server.hold(b"one", server.now, eta=ETA)
    assert held(UnackedMessages(), server, timeout=60).at_risk == 1
    assert held(UnackedMessages(), server, timeout=101).at_risk == 0


def test_a_delivery_since_the_last_look_is_not_from_before_it(server: Any) -> None:
    messages = UnackedMessages()
    server.hold(b"one", server.now - 100)
    held(messages, server)
    looked_at, server.now = server.now, server.now + 5
    server.held.clear()
    # By the clock of a worker that is ten minutes slow.
    server.hold(b"two", server.now - 600)
    for _ in range(2):
        assert held(messages, server).oldest_at == looked_at


def test_a_message_that_is_delivered_again_is_held_anew(server: Any) -> None:
    messages = UnackedMessages()
    server.hold(b"one", server.now - 100)
    held(messages, server)
    server.now += 5
    server.hold(b"one", server.now - 1)
    assert held(messages, server).oldest_at == server.now - 1
