"""POST /tasks/batch: what it takes, what it sends, and what it claims."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from acting_scene import MAX_BODY_BYTES, Scene

from celeriac.sidecar.batch import Limits
from celeriac.sidecar.revoking import IDS_AT_ONCE
from tokens import bearer

URL = "/celery-admin/tasks/batch"
GOOD = {"operation": "revoke", "task_ids": ["a"]}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, "one@h", "two@h")


def refused(**changed: Any) -> dict[str, Any]:
    return GOOD | changed


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="70-empty"),
        pytest.param(b"[]", 400, id="71-list"),
        pytest.param(b"{", 400, id="not-json"),
        pytest.param(b"\xff\xfe", 400, id="not-utf-8"),
        pytest.param(b'"\\ud800"', 400, id="lone-surrogate"),
        pytest.param(b"[" * 100_000, 400, id="deep"),
        pytest.param({"operation": "revoke"}, 400, id="72-no-ids"),
        pytest.param(refused(task_ids=[]), 400, id="72-empty-ids"),
        pytest.param(refused(task_ids=[5]), 400, id="73-number"),
        pytest.param(refused(task_ids=[None]), 400, id="73-null"),
        pytest.param(refused(task_ids=[["a"]]), 400, id="73-nested"),
        pytest.param(refused(task_ids="a"), 400, id="ids-a-string"),
        pytest.param(refused(task_ids=[""]), 400, id="empty-id"),
        pytest.param(refused(task_ids=["x" * 256]), 400, id="long-id"),
        pytest.param(refused(task_ids=[f"{n}" for n in range(21)]), 413, id="75-too-many"),
        pytest.param(refused(parameters={"terminate": "true"}), 400, id="77-terminate-text"),
        pytest.param(refused(parameters={"terminate": 1}), 400, id="77-terminate-number"),
        pytest.param(refused(parameters={"dry_run": "no"}), 400, id="dry-run-text"),
        pytest.param(
            refused(parameters={"terminate": True, "signal": "KILL; rm"}), 400, id="78-signal"
        ),
        pytest.param(refused(parameters={"signal": 9}), 400, id="78-signal-number"),
        pytest.param(refused(parameters={"reason": "x" * 1001}), 400, id="long-reason"),
        pytest.param(refused(parameters=None), 400, id="parameters-null"),
        pytest.param(refused(parameters={"what": 1}), 400, id="80-unknown-parameter"),
        pytest.param(refused(what=1), 400, id="80-unknown-field"),
        pytest.param(refused(operation="purge"), 400, id="unknown-operation"),
        pytest.param(refused(operation=None), 400, id="no-operation"),
        pytest.param(refused(parameters={"filter": {"task": "t"}}), 400, id="ids-beside-filter"),
        pytest.param(refused(operation="revoke_by_filter"), 400, id="filter-with-ids"),
        pytest.param({"operation": "revoke_by_filter"}, 400, id="no-filter"),
        pytest.param(
            {"operation": "revoke_by_filter", "parameters": {"filter": {}}}, 400, id="empty-filter"
        ),
        pytest.param(
            {"operation": "revoke_by_filter", "parameters": {"filter": {"state": "lost"}}},
            400,
            id="unknown-state",
        ),
        pytest.param(
            refused(task_ids=[f"{n}" for n in range(6)], parameters={"terminate": True}),
            413,
            id="75-too-many-to-terminate",
        ),
    ],
)
def test_a_bad_body_is_refused_and_nothing_is_sent(tmp_path: Path, body: Any, status: int) -> None:
    scene = Scene(tmp_path, "one@h", limits=Limits(20, 5, 0.01))
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = scene.client.post(URL, data=data, headers=bearer("admin") | JSON)
    assert answer.status_code == status, answer.get_data()
    assert answer.content_type == "application/problem+json"
    assert scene.workers["one@h"].revoked() == []
    assert scene.records() == []


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Content-Type": "text/plain"}, id="82-type"),
        pytest.param(JSON | {"Content-Encoding": "gzip"}, id="85-gzip"),
    ],
)
def test_a_body_of_another_kind_is_refused(scene: Scene, headers: dict[str, str]) -> None:
    data = gzip.compress(json.dumps(GOOD).encode())
    answer = scene.client.post(URL, data=data, headers=bearer("admin") | headers)
    assert answer.status_code == 415


def test_83_a_body_that_is_too_large_is_refused(scene: Scene) -> None:
    body = b" " * (MAX_BODY_BYTES + 1)
    answer = scene.client.post(URL, data=body, headers=bearer("admin") | JSON)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("role", "terminate", "status"),
    [
        ("viewer", False, 403),
        ("operator", False, 200),
        pytest.param("operator", True, 403, id="79"),
        ("admin", True, 200),
    ],
)
def test_to_terminate_takes_an_admin(scene: Scene, role: str, terminate: bool, status: int) -> None:
    body = GOOD | {"parameters": {"terminate": terminate}}
    assert scene.post("/tasks/batch", body, role).status_code == status
    assert bool(scene.records()) is (status == 200)


def test_ids_are_any_text(scene: Scene) -> None:
    ids = ["x" * 255, "' or 1=1; --", "{}", "tab\t", "nul\0", "\u202e", "ü/../..", " ", "*"]
    answer = scene.revoke(*ids)
    assert answer.status_code == 200
    assert scene.workers["one@h"].revoked() == ids
    assert [result["task_id"] for result in answer.get_json()["results"]] == ids


def test_76_duplicates_count_once(scene: Scene) -> None:
    answer = scene.revoke("a", "b", "a", "a").get_json()
    assert scene.workers["one@h"].revoked() == ["a", "b"]
    assert (answer["total"], answer["duplicates"]) == (2, 2)
    assert "2 duplicates counted once" in answer["summary"]


def test_what_all_have_acknowledged_is_successful(scene: Scene) -> None:
    answer = scene.revoke("a", "b").get_json()
    assert answer["workers"] == {"one@h": "acknowledged", "two@h": "acknowledged"}
    assert (answer["total"], answer["successful"], answer["failed"]) == (2, 2, 0)
    assert answer["results"][0] == {
        "task_id": "a",
        "status": "successful",
        "detail": "acknowledged by every live worker",
        "acknowledged_by": 2,
    }


def test_the_ids_go_out_in_chunks(scene: Scene) -> None:
    ids = [str(n) for n in range(2 * IDS_AT_ONCE + 1)]
    scene.revoke(*ids)
    worker = scene.workers["one@h"]
    sizes = [len(c.arguments["task_id"]) for c in worker.heard if c.method == "revoke"]
    assert sizes == [IDS_AT_ONCE, IDS_AT_ONCE, 1]
    assert worker.revoked() == ids


def test_what_a_silent_worker_did_not_acknowledge_failed(scene: Scene) -> None:
    scene.revoke("before")
    scene.workers["two@h"].is_silent = True
    answer = scene.revoke("a").get_json()
    assert answer["workers"] == {"one@h": "acknowledged", "two@h": "no_reply"}
    assert (answer["successful"], answer["failed"]) == (0, 1)
    assert answer["results"][0] | {"task_id": "a"} == {
        "task_id": "a",
        "status": "failed",
        "detail": "not confirmed by two@h",
        "acknowledged_by": 1,
    }


def test_chunks_that_all_have_acknowledged_are_successful_beside_others(scene: Scene) -> None:
    answers_left = 1

    class Falling(dict[str, Any]):
        def get(self, _method: str, default: Any = None) -> Any:
            nonlocal answers_left
            answers_left -= 1
            return default if answers_left >= 0 else None

    scene.workers["two@h"].answers = Falling()
    answer = scene.revoke(*(str(n) for n in range(IDS_AT_ONCE + 50))).get_json()
    assert (answer["successful"], answer["failed"]) == (IDS_AT_ONCE, 50)
    assert answer["workers"]["two@h"] == "no_reply"
    assert "not confirmed by two@h" in answer["summary"]


def test_what_a_worker_refuses_is_not_acknowledged(scene: Scene) -> None:
    scene.workers["two@h"].answers["revoke"] = {"error": "NotImplementedError()"}
    answer = scene.revoke("a", terminate=True).get_json()
    assert answer["workers"]["two@h"] == "refused"
    assert answer["failed"] == 1
    assert "NotImplementedError" not in json.dumps(answer)


@pytest.mark.parametrize("said", [5, [], "ok", {"error": {}}])
def test_an_answer_that_makes_no_sense_confirms_nothing(scene: Scene, said: Any) -> None:
    scene.workers["two@h"].answers["revoke"] = said
    assert scene.revoke("a").get_json()["workers"]["two@h"] == "refused"


def test_without_a_worker_nothing_is_claimed(tmp_path: Path) -> None:
    answer = Scene(tmp_path).revoke("a").get_json()
    assert (answer["successful"], answer["failed"], answer["workers"]) == (0, 1, {})
    assert "no live worker" in answer["summary"]


def test_many_names_are_cut_short(tmp_path: Path) -> None:
    scene = Scene(tmp_path, *(f"w{n}@h" for n in range(9)))
    scene.revoke("before")
    for worker in scene.workers.values():
        worker.is_silent = True
    detail = scene.revoke("a").get_json()["results"][0]["detail"]
    assert detail == "not confirmed by w0@h, w1@h, w2@h, w3@h, w4@h and 4 more"


def test_a_signal_is_sent_only_to_terminate(scene: Scene) -> None:
    scene.revoke("a", signal="SIGKILL")
    scene.revoke("b", signal="SIGKILL", terminate=True)
    sent = [c.arguments for c in scene.workers["one@h"].heard if c.method == "revoke"]
    assert sent == [
        {"task_id": ["a"]},
        {"task_id": ["b"], "terminate": True, "signal": "SIGKILL"},
    ]


def test_a_dry_run_sends_nothing(scene: Scene) -> None:
    answer = scene.revoke("a", "b", dry_run=True).get_json()
    assert answer["dry_run"] is True
    assert (answer["total"], answer["successful"], answer["failed"]) == (2, 0, 0)
    assert answer["workers"] == {"one@h": "not_asked", "two@h": "not_asked"}
    assert answer["results"][0]["status"] == "not_sent"
    assert scene.workers["one@h"].revoked() == []
    assert scene.records() == []


def test_89_a_broker_that_is_away_is_a_503_and_audited_as_failed(scene: Scene) -> None:
    scene.control.is_broken = True
    answer = scene.revoke("a", reason="why not")
    assert answer.status_code == 503
    intent, outcome = scene.records()
    assert (intent["kind"], intent["reason"]) == ("intent", "why not")
    assert (outcome["kind"], outcome["result"]) == ("outcome", "failed")
    assert "canary" not in json.dumps([intent, outcome]) + answer.get_data(as_text=True)
    assert scene.standing.task_ids() == []


def test_a_broker_that_goes_away_in_the_middle_leaves_what_was_confirmed(scene: Scene) -> None:
    scene.revoke("before")
    scene.control.breaks_after_answers = 3
    answer = scene.revoke(*(str(n) for n in range(2 * IDS_AT_ONCE))).get_json()
    assert (answer["successful"], answer["failed"]) == (IDS_AT_ONCE, IDS_AT_ONCE)
    assert scene.records()[-1]["result"] == "incomplete"


def test_the_audit_says_who_did_what_to_what_and_why(scene: Scene) -> None:
    scene.revoke("a", "b", reason="flooded", terminate=True, signal="SIGKILL")
    intent, outcome = scene.records()
    expected = {
        "action": "tasks.terminate",
        "actor": "somebody",
        "role": "admin",
        "address": "127.0.0.1",
        "target": '["a","b"]',
        "reason": "flooded",
    }
    assert expected.items() <= intent.items()
    assert expected.items() <= outcome.items()
    assert (intent["result"], outcome["result"]) == ("", "done")


# -- by filter -------------------------------------------------------------------------------------


def request(task_id: str, name: str, routing_key: str, exchange: str = "") -> dict[str, Any]:
    delivery = {"exchange": exchange, "routing_key": routing_key, "priority": 0}
    return {"id": task_id, "name": name, "args": ["secret"], "delivery_info": delivery}


@pytest.fixture
def busy(scene: Scene) -> Scene:
    scene.workers["one@h"].answers |= {
        "active": [request("a1", "mail", "celery")],
        "reserved": [request("r1", "mail", "celery"), request("r2", "report", "slow.in", "topic")],
        "scheduled": [{"eta": "2030", "request": request("s1", "mail", "slow")}],
        "active_queues": [
            {"name": "celery", "routing_key": "celery", "exchange": {"name": "celery"}},
            {"name": "slow", "routing_key": "slow.in", "exchange": {"name": "topic"}},
        ],
    }
    scene.workers["two@h"].answers |= {
        "active": [request("a2", "report", "celery")],
        "reserved": [],
        "scheduled": "what",
        "active_queues": None,
    }
    return scene


def by_filter(scene: Scene, wanted: dict[str, str], **parameters: Any) -> Any:
    body = {"operation": "revoke_by_filter", "parameters": {"filter": wanted, **parameters}}
    return scene.post("/tasks/batch", body)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"task": "mail"}, {"a1", "r1", "s1"}),
        ({"queue": "celery"}, {"a1", "r1", "a2"}),
        ({"queue": "slow"}, {"r2", "s1"}),
        ({"state": "active"}, {"a1", "a2"}),
        ({"state": "reserved", "task": "mail"}, {"r1"}),
        ({"task": "mail", "queue": "slow", "state": "scheduled"}, {"s1"}),
        ({"task": "none"}, set()),
    ],
)
def test_a_filter_finds_what_the_workers_hold(
    busy: Scene, wanted: dict[str, str], found: set[str]
) -> None:
    answer = by_filter(busy, wanted).get_json()
    assert {result["task_id"] for result in answer["results"]} == found
    assert set(busy.workers["two@h"].revoked()) == found
    assert answer["operation"] == "revoke_by_filter"


def test_what_matches_nothing_is_not_an_operation(busy: Scene) -> None:
    answer = by_filter(busy, {"task": "none"}).get_json()
    assert (answer["total"], answer["dry_run"]) == (0, False)
    assert "no task matches" in answer["summary"]
    assert busy.records() == []


def test_the_audit_names_the_tasks_that_a_filter_found(busy: Scene) -> None:
    by_filter(busy, {"state": "reserved"})
    assert busy.records()[0]["target"] == '["r1","r2"]'


def test_a_worker_that_does_not_tell_its_tasks_is_named(busy: Scene) -> None:
    busy.revoke("before")
    busy.workers["two@h"].is_silent = True
    answer = by_filter(busy, {"task": "mail"}).get_json()
    assert "two@h did not tell which tasks it has" in answer["summary"]


def test_a_dry_run_shows_what_a_filter_finds(busy: Scene) -> None:
    answer = by_filter(busy, {"task": "report"}, dry_run=True).get_json()
    assert {result["task_id"] for result in answer["results"]} == {"r2", "a2"}
    assert busy.workers["one@h"].revoked() == []


def test_a_filter_that_finds_too_many_is_refused(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "one@h", limits=Limits(1, 1, 0.01))
    scene.workers["one@h"].answers["active"] = [request("a", "t", "q"), request("b", "t", "q")]
    assert by_filter(scene, {"state": "active"}).status_code == 413


def test_a_filter_while_the_broker_is_away_is_audited_as_failed(busy: Scene) -> None:
    busy.control.is_broken = True
    assert by_filter(busy, {"task": "mail"}).status_code == 503
    intent, outcome = busy.records()
    assert json.loads(intent["target"])["task"] == "mail"
    assert outcome["result"] == "failed"


def test_a_dry_run_while_the_broker_is_away_is_no_operation(busy: Scene) -> None:
    busy.control.is_broken = True
    assert by_filter(busy, {"task": "mail"}, dry_run=True).status_code == 503
    assert busy.records() == []
