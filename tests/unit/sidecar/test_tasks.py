"""GET /tasks/{task_id}: where a task is, as the workers tell it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from acting_scene import Scene

from tokens import bearer


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path, "one@h", "two@h")
    for worker in scene.workers.values():
        worker.answers |= {"query_task": {}, "revoked": []}
    return scene


def found(task_id: str, state: str) -> dict[str, Any]:
    return {task_id: [state, {"id": task_id, "name": "mail", "args": ["secret"]}]}


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("active", "active"),
        ("reserved", "reserved"),
        ("scheduled", "scheduled"),
        ("ready", "reserved"),
        ("of tomorrow", "unknown"),
    ],
)
def test_a_worker_has_it(scene: Scene, said: str, state: str) -> None:
    scene.workers["two@h"].answers["query_task"] = found("a", said)
    answer = scene.get("/tasks/a", "viewer")
    assert answer.get_json() == {
        "task_id": "a",
        "state": state,
        "worker": "two@h",
        "name": "mail",
        "silent": [],
    }
    assert "secret" not in answer.get_data(as_text=True)


def test_nobody_has_it(scene: Scene) -> None:
    answer = scene.get("/tasks/a").get_json()
    assert (answer["state"], answer["worker"]) == ("unknown", None)


def test_it_was_revoked_here(scene: Scene) -> None:
    scene.revoke("a")
    assert scene.get("/tasks/a").get_json()["state"] == "revoked"


def test_it_was_revoked_elsewhere(scene: Scene) -> None:
    scene.workers["one@h"].answers["revoked"] = ["x", "a"]
    answer = scene.get("/tasks/a").get_json()
    assert (answer["state"], answer["worker"]) == ("revoked", "one@h")


def test_a_worker_that_does_not_answer_is_named(scene: Scene) -> None:
    scene.fleet.look(scene.control)  # type: ignore[arg-type]
    scene.workers["two@h"].is_silent = True
    answer = scene.get("/tasks/a").get_json()
    assert (answer["state"], answer["silent"]) == ("unknown", ["two@h"])


@pytest.mark.parametrize("said", [5, [], {"a": "active"}, {"a": ["active"]}, {"a": None}])
def test_an_answer_that_makes_no_sense_is_nothing(scene: Scene, said: Any) -> None:
    scene.workers["one@h"].answers |= {"query_task": said, "revoked": said}
    assert scene.get("/tasks/a").get_json()["state"] == "unknown"


@pytest.mark.parametrize("task_id", ["a/b", "ü", "'", "%25", "x" * 255, "..", "batch"])
def test_an_id_is_any_text(scene: Scene, task_id: str) -> None:
    scene.workers["one@h"].answers["query_task"] = found(task_id, "active")
    answer = scene.client.get(
        "/celery-admin/tasks/" + quote(task_id, safe=""), headers=bearer("viewer")
    )
    assert answer.get_json()["task_id"] == task_id


def test_a_broker_that_is_away_is_a_503(scene: Scene) -> None:
    scene.control.is_broken = True
    assert scene.get("/tasks/a").status_code == 503
