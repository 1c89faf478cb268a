"""POST /workers/{worker}/control: the table of commands, and what a worker said to one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from acting_scene import Scene
from celery.worker.control import Panel

from celeriac.sidecar.workers import COMMANDS

GOOD: dict[str, dict[str, Any]] = {
    "pool_grow": {"n": 2},
    "pool_shrink": {},
    "autoscale": {"max": 10, "min": 3},
    "add_consumer": {"queue": "mail", "routing_key": "m.*", "exchange_type": "topic"},
    "cancel_consumer": {"queue": "mail"},
    "rate_limit": {"task_name": "t", "rate_limit": "10/m"},
    "time_limit": {"task_name": "t", "soft": 1.5, "hard": 3},
    "enable_events": {},
    "disable_events": {},
    "pool_restart": {},
    "shutdown": {},
}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, "one@h", "two@h")


def tell(scene: Scene, worker: str, command: str, **arguments: Any) -> Any:
    body = {"command": command, "arguments": arguments, "reason": "why"}
    return scene.post(f"/workers/{worker}/control", body)


def heard(scene: Scene, worker: str, method: str) -> list[dict[str, Any]]:
    commands = scene.workers[worker].heard
    return [dict(c.arguments) for c in commands if c.method == method]


def test_every_command_of_the_contract_is_in_the_table() -> None:
    assert set(COMMANDS) == set(GOOD)


@pytest.mark.parametrize("command", GOOD)
def test_celery_has_every_command_of_the_table(command: str) -> None:
    assert command in Panel.data


@pytest.mark.parametrize("command", GOOD)
def test_a_command_reaches_the_worker_it_is_for(scene: Scene, command: str) -> None:
    answer = tell(scene, "one@h", command, **GOOD[command])
    assert answer.status_code == 200
    (arguments,) = heard(scene, "one@h", command)
    assert GOOD[command].items() <= arguments.items()
    assert heard(scene, "two@h", command) == []
    assert scene.records()[0]["action"] == f"workers.{command}"


@pytest.mark.parametrize("command", GOOD)
def test_a_command_goes_to_every_worker_where_that_makes_sense(scene: Scene, command: str) -> None:
    answer = tell(scene, "*", command, **GOOD[command])
    if command in {"shutdown", "pool_restart"}:
        assert answer.status_code == 400
        assert scene.records() == []
    else:
        assert answer.get_json()["workers"] == dict.fromkeys(scene.workers, "acknowledged")


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("pool_grow", {"n": 0}),
        ("pool_grow", {"n": "1"}),
        ("pool_grow", {"n": 1.5}),
        ("pool_grow", {"n": True}),
        ("pool_grow", {"processes": 1}),
        ("autoscale", {}),
        ("autoscale", {"max": -1}),
        ("add_consumer", {}),
        ("add_consumer", {"queue": ""}),
        ("add_consumer", {"queue": "q", "exchange_type": "x"}),
        ("rate_limit", {"task_name": "t", "rate_limit": "fast"}),
        ("rate_limit", {"task_name": "t"}),
        ("time_limit", {"soft": 1}),
        ("time_limit", {"task_name": "t", "soft": -1}),
        ("shutdown", {"msg": "x"}),
        ("pool_restart", {"modules": ["os"]}),
        ("revoke", {"task_id": "a"}),
        ("", {}),
    ],
)
def test_what_is_not_of_the_table_is_refused(
    scene: Scene, command: str, arguments: dict[str, Any]
) -> None:
    assert tell(scene, "one@h", command, **arguments).status_code == 400
    assert scene.records() == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"command": 5},
        {"command": "shutdown", "arguments": []},
        {"command": "shutdown", "reason": None},
        {"command": "shutdown", "more": 1},
    ],
)
def test_a_bad_body_is_refused(scene: Scene, body: dict[str, Any]) -> None:
    assert scene.post("/workers/one@h/control", body).status_code == 400


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_an_admin_may(scene: Scene, role: str) -> None:
    answer = scene.post("/workers/one@h/control", {"command": "shutdown"}, role)
    assert answer.status_code == 403


def test_the_workers_own_words_are_passed_on(scene: Scene) -> None:
    scene.workers["one@h"].answers["rate_limit"] = {"error": "unknown task"}
    scene.workers["two@h"].answers["rate_limit"] = {"ok": "new rate limit set successfully"}
    answer = tell(scene, "*", "rate_limit", **GOOD["rate_limit"]).get_json()
    assert answer["workers"] == {"one@h": "refused", "two@h": "acknowledged"}
    assert answer["details"] == {
        "one@h": "unknown task",
        "two@h": "new rate limit set successfully",
    }
    assert (answer["total"], answer["successful"], answer["failed"]) == (2, 1, 1)
    assert scene.records()[-1]["result"] == "incomplete"


@pytest.mark.parametrize("said", ["ValueError('canary')", "x" * 500, {"canary": 1}, "a\nb"])
def test_an_exceptions_words_are_not(scene: Scene, said: Any) -> None:
    scene.workers["one@h"].answers["pool_restart"] = {"error": said}
    answer = tell(scene, "one@h", "pool_restart").get_json()
    assert answer["details"] == {"one@h": "refused; the worker's log says why"}
    assert "canary" not in json.dumps(answer)


def test_a_worker_that_does_not_answer_is_said_so(scene: Scene) -> None:
    scene.fleet.look(scene.control)  # type: ignore[arg-type]
    scene.workers["one@h"].is_silent = True
    answer = tell(scene, "one@h", "pool_grow").get_json()
    assert answer["workers"] == {"one@h": "no_reply"}
    assert answer["details"] == {"one@h": "no answer"}


def test_a_worker_that_nobody_knows_is_a_404(scene: Scene) -> None:
    assert tell(scene, "nobody@h", "pool_grow").status_code == 404
    assert [record["result"] for record in scene.records()] == ["", "failed"]


def test_without_a_worker_nothing_is_claimed(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    answer = tell(scene, "*", "enable_events").get_json()
    assert (answer["total"], answer["workers"]) == (0, {})
    assert scene.records()[-1]["result"] == "incomplete"


def test_a_worker_that_stops_answering_has_stopped(scene: Scene) -> None:
    worker = scene.workers["one@h"]
    answer_before = worker.answer

    def answer(command: Any) -> Any:
        said = answer_before(command)
        worker.is_silent = worker.is_silent or command.method == "shutdown"
        return said

    worker.answer = answer  # type: ignore[method-assign]
    answered = tell(scene, "one@h", "shutdown").get_json()
    assert answered["workers"] == {"one@h": "acknowledged"}
    assert answered["details"] == {"one@h": "it has stopped"}
    assert list(scene.fleet.lives()) == ["two@h"]


def test_a_worker_that_goes_on_answering_has_not_stopped(scene: Scene) -> None:
    answer = tell(scene, "one@h", "shutdown").get_json()
    assert answer["workers"] == {"one@h": "no_reply"}


def test_a_broker_that_is_away_is_a_503_and_audited_as_failed(scene: Scene) -> None:
    scene.control.is_broken = True
    assert tell(scene, "one@h", "pool_grow").status_code == 503
    assert scene.records()[-1]["result"] == "failed"
