"""The events of the benchmarks are those of workers, and add up to what is said about them."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from bench.load import FAILS_EVERY, Load, Message, Shape

SHAPE = Shape(workers=3, tasks=4, queues=5, executions=200, heartbeat_every=50)
STATES = ("task-sent", "task-received", "task-started")


@pytest.fixture(scope="module")
def load() -> Load:
    return Load(SHAPE)


@pytest.fixture(scope="module")
def messages(load: Load) -> list[Message]:
    return list(load)


@pytest.fixture(scope="module")
def events(messages: list[Message]) -> list[dict[str, Any]]:
    return [event for message in messages for event in events_in(message)]


def events_in(message: Message) -> list[dict[str, Any]]:
    body = json.loads(message.body)
    return body if isinstance(body, list) else [body]


def test_the_truth_is_what_the_messages_contain(load: Load, events: list[dict[str, Any]]) -> None:
    assert load.truth.by_type == Counter(event["type"] for event in events)


def test_every_execution_ends(load: Load) -> None:
    failed = SHAPE.executions // FAILS_EVERY
    for state in STATES:
        assert load.truth.by_type[state] == SHAPE.executions
    assert load.truth.by_type["task-failed"] == failed
    assert load.truth.by_type["task-succeeded"] == SHAPE.executions - failed


def test_a_message_knows_its_number_of_events(messages: list[Message]) -> None:
    assert [message.events for message in messages] == [len(events_in(m)) for m in messages]


def test_a_worker_sends_one_to_three_events_at_a_time(messages: list[Message]) -> None:
    batches = [message.events for message in messages if message.routing_key == "task.multi"]
    assert set(batches) == {1, 2, 3}


def test_a_message_is_of_one_sender(messages: list[Message]) -> None:
    for message in messages:
        assert {event["hostname"] for event in events_in(message)} == {message.hostname}


def test_each_task_goes_through_each_queue(events: list[dict[str, Any]]) -> None:
    sent = {(event["name"], event["queue"]) for event in events if event["type"] == "task-sent"}
    assert len(sent) == SHAPE.tasks * SHAPE.queues


def test_each_worker_runs_each_task(events: list[dict[str, Any]]) -> None:
    ran = {(e["hostname"], e["name"]) for e in events if e["type"] == "task-received"}
    assert len(ran) == SHAPE.workers * SHAPE.tasks


def test_the_events_of_a_task_come_in_their_order(events: list[dict[str, Any]]) -> None:
    by_id: dict[str, list[str]] = {}
    for event in events:
        if "uuid" in event:
            by_id.setdefault(event["uuid"], []).append(event["type"])
    assert len(by_id) == SHAPE.executions
    for states in by_id.values():
        assert tuple(states[:3]) == STATES
        assert states[3] in ("task-succeeded", "task-failed")


def test_a_heartbeat_tells_how_many_executions_began(events: list[dict[str, Any]]) -> None:
    told = [
        e["processed"] for e in events if e.get("hostname") == "worker-0@host-0" and "freq" in e
    ]
    assert len(told) > 2
    assert all(before <= after for before, after in pairwise(told))


def test_loads_with_other_first_ids_share_no_task() -> None:
    first, second = (ids(Load(Shape(executions=100, first_id=first_id))) for first_id in (1, 101))
    assert first.isdisjoint(second)


def ids(load: Load) -> set[str]:
    return {event["uuid"] for message in load for event in events_in(message) if "uuid" in event}
