"""Revokes that still hold are told to whoever joins later, once, and again before it forgets."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from acting_scene import FakeWorker, Scene

from celeriac.sidecar import orders, standing
from celeriac.sidecar.standing import BUSY_SECONDS, IDLE_SECONDS


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, "one@h")


def test_a_worker_that_joins_later_is_told_once(scene: Scene) -> None:
    scene.revoke("a", "b")
    scene.workers["new@h"] = FakeWorker()
    for _ in range(3):
        scene.standing.tell_once()
    assert scene.workers["new@h"].revoked() == ["a", "b"]
    assert scene.workers["one@h"].revoked() == ["a", "b"]


@pytest.mark.parametrize("change", [{"pid": 2}, {"uptime": 3}], ids=["pid", "uptime"])
def test_a_worker_that_was_started_anew_is_told(scene: Scene, change: dict[str, int]) -> None:
    scene.revoke("a")
    scene.workers["one@h"] = FakeWorker(**change)
    scene.standing.tell_once()
    assert scene.workers["one@h"].revoked() == ["a"]


def test_a_worker_that_did_not_confirm_is_told_when_it_speaks_again(scene: Scene) -> None:
    scene.revoke("before")
    scene.workers["one@h"].is_silent = True
    scene.revoke("a")
    scene.standing.tell_once()
    assert scene.workers["one@h"].revoked() == ["before"]
    scene.workers["one@h"].is_silent = False
    scene.standing.tell_once()
    assert scene.workers["one@h"].revoked() == ["before", "a"]


def test_a_worker_that_is_being_told_is_not_told_twice(scene: Scene) -> None:
    class Telling(dict[str, object]):
        def get(self, method: str, default: object = None) -> object:
            if method == "revoke":
                self.get = dict[str, object]().get  # type: ignore[assignment]
                scene.standing.tell_once()
            return default

    scene.workers["one@h"].answers = Telling()
    scene.revoke("a")
    assert scene.workers["one@h"].revoked() == ["a"]


def test_a_newcomer_is_told_how_as_well_the_newest_first(scene: Scene) -> None:
    scene.revoke("a")
    scene.revoke("b", terminate=True, signal="SIGKILL")
    scene.workers["new@h"] = FakeWorker()
    scene.standing.tell_once()
    told = [c.arguments for c in scene.workers["new@h"].heard if c.method == "revoke"]
    assert told == [
        {"task_id": ["b"], "terminate": True, "signal": "SIGKILL"},
        {"task_id": ["a"]},
    ]


def test_what_was_not_carried_out_is_told_to_nobody(scene: Scene) -> None:
    scene.control.is_broken = True
    scene.revoke("a")
    scene.control.is_broken = False
    scene.standing.tell_once()
    assert scene.workers["one@h"].revoked() == []


def test_a_restart_of_the_sidecar_forgets_nothing(scene: Scene, tmp_path: Path) -> None:
    scene.revoke("a")
    later = Scene(tmp_path, "new@h")
    later.standing.tell_once()
    assert later.workers["new@h"].revoked() == ["a"]
    assert later.standing.task_ids() == ["a"]


def test_a_replica_tells_what_another_was_asked(scene: Scene, tmp_path: Path) -> None:
    other = Scene(tmp_path, "two@h")
    other.standing.tell_once()
    scene.revoke("a")
    other.standing.tell_once()
    assert other.workers["two@h"].revoked() == ["a"]


def test_an_order_ends(scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scene.revoke("a")
    now = standing.time.time()
    monkeypatch.setattr(standing.time, "time", lambda: now + 3601)
    scene.workers["new@h"] = FakeWorker()
    scene.standing.tell_once()
    assert scene.workers["new@h"].revoked() == []
    assert scene.standing.task_ids() == []
    later = Scene(tmp_path, "new@h")
    later.standing.tell_once()
    assert later.workers["new@h"].revoked() == []


def test_a_worker_is_told_again_before_it_forgets(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.revoke("a")
    monkeypatch.setattr(standing, "TOLD_AGAIN_AFTER_SECONDS", -1.0)
    scene.standing.tell_once()
    assert scene.workers["one@h"].revoked() == ["a", "a"]


def test_more_than_a_worker_holds_is_not_kept(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in (standing, orders):
        monkeypatch.setattr(module, "MAX_IDS", 3)
    for task_id in "abcd":
        scene.revoke(task_id)
    assert scene.standing.task_ids() == ["b", "c", "d"]
    scene.standing.tell_once()
    assert scene.standing.task_ids() == ["b", "c", "d"]
    later = Scene(tmp_path)
    later.standing.tell_once()
    assert later.standing.task_ids() == ["b", "c", "d"]


def test_it_looks_often_only_while_something_holds(scene: Scene) -> None:
    assert scene.standing.tell_once() == IDLE_SECONDS
    scene.revoke("a")
    assert scene.standing.tell_once() < 2 * BUSY_SECONDS


def test_it_asks_many_workers_less_often(tmp_path: Path) -> None:
    scene = Scene(tmp_path, *(f"w{n}@h" for n in range(1000)))
    scene.revoke("a")
    assert 5 < scene.standing.tell_once() <= IDLE_SECONDS


def test_a_broker_that_is_away_is_tried_again(scene: Scene) -> None:
    scene.revoke("a")
    scene.control.is_broken = True
    assert scene.standing.tell_once() == BUSY_SECONDS


def test_an_order_outlives_a_database_that_is_away(scene: Scene, tmp_path: Path) -> None:
    scene.revoke("a")
    scene.database.close()
    (tmp_path / "sidecar.db").unlink()
    scene.workers["new@h"] = FakeWorker()
    scene.standing.tell_once()
    assert scene.workers["new@h"].revoked() == ["a"]


def test_lives_that_have_ended_are_forgotten(scene: Scene) -> None:
    scene.revoke("a")
    for pid in range(2, 50):
        scene.workers["one@h"].pid = pid
        scene.standing.tell_once()
    assert len(scene.standing._told) == 1


def test_an_order_names_its_ids_once(scene: Scene) -> None:
    scene.revoke("a", "b")
    scene.revoke("b", "c")
    assert scene.standing.task_ids() == ["a", "b", "c"]


def row(number: int) -> dict[str, object]:
    return {
        "operation_id": f"op{number}",
        "task_ids": f'["id{number}"]'.encode(),
        "terminate": False,
        "signal": "SIGTERM",
        "until": time.time() + 1000 + number,
    }


def test_thousands_of_orders_take_little_time(scene: Scene, tmp_path: Path) -> None:
    with scene.database.write() as connection:
        connection.execute(sa.insert(orders.ORDERS), list(map(row, range(60_000))))
    began = time.monotonic()
    scene.standing.tell_once()
    # The worker is told again of what it does not confirm, only.
    scene.standing.tell_once()
    assert time.monotonic() - began < 20
    ids = scene.standing.task_ids()
    assert (len(ids), ids[0], ids[-1]) == (50_000, "id10000", "id59999")
    assert len(scene.workers["one@h"].revoked()) == 50_000
