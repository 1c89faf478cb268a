"""GET /audit: filters, pages, and who may read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from acting_scene import Scene

from celeriac.sidecar.audit import MAX_TARGET_CHARACTERS
from tokens import bearer


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path, "one@h")
    scene.revoke("a")
    scene.post("/workers/one@h/control", {"command": "enable_events"})
    headers = bearer("admin", sub="another")
    scene.client.post(
        "/celery-admin/tasks/batch",
        json={"operation": "revoke", "task_ids": ["b"]},
        headers=headers,
    )
    return scene


def sequences(scene: Scene, **query: str) -> list[int]:
    answer = scene.get("/audit", **query)
    assert answer.status_code == 200, answer.get_json()
    return [record["sequence"] for record in answer.get_json()["records"]]


def test_the_newest_is_the_first(scene: Scene) -> None:
    assert sequences(scene) == [6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"actor": "another"}, [6, 5]),
        ({"actor": "nobody"}, []),
        ({"actor": "nul\0"}, []),
        ({"action": "workers.enable_events"}, [4, 3]),
        ({"action": "tasks.revoke", "actor": "somebody"}, [2, 1]),
        ({"since": "2020-01-01T00:00:00Z"}, [6, 5, 4, 3, 2, 1]),
        ({"since": "2020-01-01T00:00:00"}, [6, 5, 4, 3, 2, 1]),
        ({"since": "2999-01-01T00:00:00+02:00"}, []),
        ({"until": "2020-01-01T00:00:00Z"}, []),
        ({"until": "2999-12-31"}, [6, 5, 4, 3, 2, 1]),
    ],
)
def test_a_filter_leaves_out_the_rest(
    scene: Scene, query: dict[str, str], expected: list[int]
) -> None:
    assert sequences(scene, **query) == expected


def test_since_is_included_and_until_is_not(scene: Scene) -> None:
    when = scene.records()[2]["time"]
    assert sequences(scene, since=when) == [6, 5, 4, 3]
    assert sequences(scene, until=when) == [2, 1]


def test_a_cursor_leads_through_all_pages(scene: Scene) -> None:
    found, query = [], {"limit": "4"}
    while True:
        page = scene.get("/audit", **query).get_json()
        found.append([record["sequence"] for record in page["records"]])
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == [[6, 5, 4, 3], [2, 1]]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "-1"},
        {"limit": "x"},
        {"limit": "٣"},
        {"limit": "9" * 5000},
        {"cursor": "x"},
        {"cursor": "0"},
        {"since": "yesterday"},
        {"since": "0001-01-01T00:00:00+23:00"},
        {"until": ""},
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(scene: Scene, query: dict[str, str]) -> None:
    assert scene.get("/audit", **query).status_code == 400


def test_a_long_target_is_whole_when_one_operation_is_asked_for(scene: Scene) -> None:
    ids = [f"id-{number}" for number in range(1000)]
    operation_id = scene.revoke(*ids).get_json()["operation_id"]
    assert len(scene.get("/audit").get_json()["records"][1]["target"]) == MAX_TARGET_CHARACTERS
    records = scene.get("/audit", operation_id=operation_id).get_json()["records"]
    assert "id-999" in records[1]["target"]
    assert len(records) == 2


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_an_admin_reads_it(scene: Scene, role: str) -> None:
    assert scene.get("/audit", role).status_code == 403


def test_a_database_that_is_away_is_a_503(scene: Scene, tmp_path: Path) -> None:
    scene.database.close()
    (tmp_path / "sidecar.db").write_bytes(b"no database at all" * 100)
    (tmp_path / "sidecar.db-wal").unlink(missing_ok=True)
    answer = scene.get("/audit")
    assert answer.status_code == 503
    assert "sqlite" not in answer.get_data(as_text=True).lower()
