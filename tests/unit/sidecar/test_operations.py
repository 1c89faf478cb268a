"""Operations: recorded before and after, and done once under one key."""

from __future__ import annotations

from pathlib import Path

import pytest
from acting_scene import Scene

from celeriac.sidecar import first_answers
from celeriac.sidecar.audit import verify
from tokens import bearer

URL = "/celery-admin/tasks/batch"
KEY = {"Idempotency_Key": "one"}
BODY = {"operation": "revoke", "task_ids": ["a"]}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, "one@h")


def test_a_repeat_gets_the_first_answer(scene: Scene) -> None:
    first = scene.post("/tasks/batch", BODY, **KEY)
    again = scene.post("/tasks/batch", BODY, **KEY)
    assert again.status_code == 200
    assert again.get_data() == first.get_data()
    assert scene.workers["one@h"].revoked() == ["a"]
    assert len(scene.records()) == 2


def test_a_repeat_gets_the_first_answer_from_another_process(scene: Scene, tmp_path: Path) -> None:
    first = scene.post("/tasks/batch", BODY, **KEY)
    later = Scene(tmp_path, "one@h")
    assert later.post("/tasks/batch", BODY, **KEY).get_data() == first.get_data()
    assert later.workers["one@h"].revoked() == []


def test_the_same_body_may_be_written_in_another_way(scene: Scene) -> None:
    first = scene.post("/tasks/batch", BODY, **KEY)
    spaced = b'{ "task_ids":["a"], "operation" : "revoke", "parameters": {} }'
    headers = bearer("admin") | {"Idempotency-Key": "one", "Content-Type": "application/json"}
    again = scene.client.post(URL, data=spaced, headers=headers)
    assert again.get_data() == first.get_data()


def test_88_the_same_key_with_another_body_is_a_conflict(scene: Scene) -> None:
    scene.post("/tasks/batch", BODY, **KEY)
    answer = scene.post("/tasks/batch", BODY | {"task_ids": ["b"]}, **KEY)
    assert answer.status_code == 409
    assert "another request" in answer.get_json()["detail"]
    assert scene.workers["one@h"].revoked() == ["a"]


def test_the_same_key_for_another_route_is_a_conflict(scene: Scene) -> None:
    scene.post("/tasks/batch", BODY, **KEY)
    answer = scene.post("/workers/one@h/control", {"command": "enable_events"}, **KEY)
    assert answer.status_code == 409


def test_another_subject_has_keys_of_its_own(scene: Scene) -> None:
    scene.post("/tasks/batch", BODY, **KEY)
    headers = bearer("admin", sub="another") | {"Idempotency-Key": "one"}
    assert scene.client.post(URL, json=BODY, headers=headers).status_code == 200
    assert scene.workers["one@h"].revoked() == ["a", "a"]


def test_without_a_key_every_request_is_a_new_one(scene: Scene) -> None:
    scene.revoke("a")
    scene.revoke("a")
    assert scene.workers["one@h"].revoked() == ["a", "a"]


def test_a_repeat_while_the_first_still_runs_is_a_conflict(scene: Scene) -> None:
    during = []

    class Slow(dict[str, object]):
        def get(self, method: str, default: object = None) -> object:
            if method == "revoke":
                during.append(scene.post("/tasks/batch", BODY, **KEY))
            return default

    scene.workers["one@h"].answers = Slow()
    assert scene.post("/tasks/batch", BODY, **KEY).status_code == 200
    assert [answer.status_code for answer in during] == [409]
    assert "still runs" in during[0].get_json()["detail"]


def test_a_key_is_free_again_if_nothing_was_done(scene: Scene) -> None:
    scene.control.is_broken = True
    assert scene.post("/tasks/batch", BODY, **KEY).status_code == 503
    scene.control.is_broken = False
    assert scene.post("/tasks/batch", BODY, **KEY).status_code == 200


def test_a_key_whose_first_request_was_lost_says_so(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.audit, "outcome", lambda *_: None)
    scene.post("/tasks/batch", BODY, **KEY)
    scene.database.close()
    later = Scene(tmp_path, "one@h")
    answer = later.post("/tasks/batch", BODY, **KEY)
    assert answer.status_code == 409
    operation_id = later.records()[0]["operation_id"]
    assert operation_id in answer.get_json()["detail"]
    assert later.workers["one@h"].revoked() == []


def test_an_answer_is_kept_for_a_day(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.post("/tasks/batch", BODY, **KEY)
    monkeypatch.setattr(first_answers, "KEPT_SECONDS", -1.0)
    scene.post("/tasks/batch", BODY, **KEY)
    assert scene.workers["one@h"].revoked() == ["a", "a"]


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "ü"])
def test_a_key_that_is_none_is_refused(scene: Scene, key: str) -> None:
    assert scene.post("/tasks/batch", BODY, Idempotency_Key=key).status_code == 400
    assert scene.records() == []


def test_what_fails_unexpectedly_is_recorded_as_unknown(scene: Scene) -> None:
    scene.workers["one@h"].answers = None  # type: ignore[assignment]
    answer = scene.revoke("a")
    assert answer.status_code == 500
    assert "NoneType" not in answer.get_data(as_text=True)
    assert [record["result"] for record in scene.records()] == ["", "unknown"]
    assert scene.standing.task_ids() == []


def test_an_intent_that_cannot_be_written_keeps_the_operation_from_happening(
    scene: Scene, tmp_path: Path
) -> None:
    (tmp_path / "sidecar.db").unlink()
    scene.database.close()
    (tmp_path / "sidecar.db").mkdir()
    answer = scene.revoke("a")
    assert answer.status_code == 503
    assert "nothing was done" in answer.get_json()["detail"]
    assert scene.workers["one@h"].revoked() == []


def test_every_operation_leaves_a_chain_that_verifies(scene: Scene) -> None:
    scene.revoke("a")
    scene.control.is_broken = True
    scene.revoke("b")
    scene.control.is_broken = False
    scene.post("/workers/one@h/control", {"command": "shutdown"})
    kinds = [(record["kind"], record["result"]) for record in scene.records()]
    assert kinds == [
        ("intent", ""),
        ("outcome", "done"),
        ("intent", ""),
        ("outcome", "failed"),
        ("intent", ""),
        ("outcome", "incomplete"),
    ]
    assert verify(scene.database_url) == (6, None, "")
