"""The fleet of the benchmarks answers as Celery's workers do."""

from __future__ import annotations

import base64
import json
from typing import Any

import hiredis
import msgspec
import pytest

from bench.fleet import PID, PROCESSES, Crew, answers, command_in, heartbeat, pushed
from bench.load import Load, Shape
from celeriac.sources.answers import READERS, report

CREW = Crew(workers=4, tasks=6, queues=3, held=2)


def words(command: bytes) -> list[bytes]:
    """Return the one command that *command* is in Redis' protocol."""
    reader = hiredis.Reader()
    reader.feed(command)
    found = reader.gets()
    assert isinstance(found, list)
    assert reader.gets() is False
    return found


def body_in(envelope: bytes) -> Any:
    return json.loads(base64.b64decode(json.loads(envelope)["body"]))


@pytest.mark.parametrize("number", range(CREW.workers))
def test_the_exporter_can_read_every_answer(number: int) -> None:
    raw = {m: msgspec.Raw(json.dumps(said).encode()) for m, said in answers(CREW, number).items()}
    del raw["ping"]
    read, unreadable = report("worker", raw)
    assert unreadable == []
    assert raw.keys() == READERS.keys()
    assert read.stats is not None
    assert (read.stats.pid, read.stats.pool_processes) == (PID, PROCESSES)
    assert [len(held or ()) for held in (read.active, read.reserved, read.scheduled)] == [2, 2, 2]


def test_every_task_that_a_worker_holds_has_an_id_of_its_own() -> None:
    ids = [
        request.get("request", request)["id"]
        for number in range(CREW.workers)
        for method in ("active", "reserved", "scheduled")
        for request in json.loads(json.dumps(answers(CREW, number)[method]))
    ]
    assert len(set(ids)) == len(ids) == CREW.workers * 3 * CREW.held


def test_names_are_those_of_the_load() -> None:
    shape = Shape(CREW.workers, CREW.tasks, CREW.queues, executions=100)
    load = Load(shape)
    named = {load.task_and_queue(execution) for execution in range(shape.executions)}
    assert {task for task, _ in named} == set(CREW.tasks_of_all())
    assert {message.hostname for message in load} - {"gen4711@client.example.com"} == set(
        CREW.names()
    )
    consumed = {
        queue["name"]
        for number in range(CREW.workers)
        for queue in json.loads(json.dumps(answers(CREW, number)["active_queues"]))
    }
    assert {queue for _, queue in named} == consumed


def test_an_answer_stays_well_formed_when_it_is_addressed() -> None:
    oid, ticket = b"o" * 36, b"t" * 36
    push = pushed(b'{"worker-0@host-0": {"ok": "pong"}}').replace(b"<key>", b"$5\r\nqueue\r\n")
    command, key, envelope = words(push.replace(b"O" * 36, oid).replace(b"T" * 36, ticket))
    assert (command, key) == (b"LPUSH", b"queue")
    assert json.loads(envelope)["headers"]["ticket"] == ticket.decode()
    assert json.loads(envelope)["properties"]["delivery_info"]["routing_key"] == oid.decode()
    assert body_in(envelope) == {"worker-0@host-0": {"ok": "pong"}}


@pytest.mark.parametrize("kind", ["online", "heartbeat", "offline"])
def test_a_worker_tells_that_it_lives(kind: str) -> None:
    command, channel, envelope = words(heartbeat("worker-0@host-0", kind=kind))
    assert (command, channel) == (b"PUBLISH", f"/0.celeryev/worker.{kind}".encode())
    event = body_in(envelope)
    assert (event["type"], event["hostname"]) == (f"worker-{kind}", "worker-0@host-0")


def test_a_command_is_read_from_its_envelope() -> None:
    asked = {"method": "ping", "destination": None, "ticket": "t"}
    envelope = {"body": base64.b64encode(json.dumps(asked).encode()).decode()}
    assert command_in(json.dumps(envelope).encode()) == asked
