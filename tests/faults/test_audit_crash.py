"""Nothing happens unrecorded: a kill at every step, a disk that is full, locked or gone."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from celeriac.sidecar.audit import verify
from parts.acting import Acting
from parts.postgresql import PostgreSQL
from parts.processes import wait_for
from parts.valkey import Valkey
from parts.workers import Worker
from workload.app import make_app

pytestmark = pytest.mark.slow

# Two chunks, so that there is something between the first and the last.
IDS_IN_TWO_CHUNKS = 300
# Two looks for whoever has not been told what holds.
TOLD_AGAIN_WITHIN_SECONDS = 3.0
NOTHING: list[tuple[str, str]] = []
LOST = [("intent", ""), ("outcome", "unknown")]
DONE = [("intent", ""), ("outcome", "done")]
# What the records say when the sidecar is back, and whether the worker may have been told.
STEPS = {
    "before the intent": (NOTHING, "no"),
    "intent not committed": (NOTHING, "no"),
    "after the intent": (LOST, "no"),
    "before the first chunk": (LOST, "no"),
    "after the first chunk": (LOST, "in part"),
    "after the last chunk": (LOST, "yes"),
    "before the outcome": (LOST, "yes"),
    "outcome not committed": (LOST, "yes"),
    "after the outcome": (DONE, "yes"),
}


class Stage:
    """A broker with one worker, for all tests of this file."""

    def __init__(self, broker: Valkey, worker: Worker) -> None:
        self.url = broker.url
        self.worker = worker
        self.app: Any = make_app(self.url)

    def revoked(self) -> set[str]:
        """Return the ids that the worker was told to revoke."""
        answers = self.app.control.inspect([self.worker.node], timeout=2.0).revoked() or {}
        return set(answers.get(self.worker.node, ()))


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Valkey() as broker, Worker(broker.url, "one") as worker:
        worker.ready()
        yield Stage(broker, worker)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that has nothing of ours."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/sidecar.db"
    return database_of(request.getfixturevalue("postgresql"))


def database_of(server: PostgreSQL) -> str:
    """Return the URL of a new database."""
    name = f"test_{uuid.uuid4().hex}"
    server.query(f"CREATE DATABASE {name}")
    return server.url.replace("/postgres?", f"/{name}?")


def new_ids(count: int) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(count)]


def said(acting: Acting) -> list[tuple[str, str]]:
    return [(record["kind"], record["result"]) for record in acting.records()]


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_leaves_one_intent_and_one_outcome(
    stage: Stage, database_url: str, step: str
) -> None:
    ids = new_ids(IDS_IN_TWO_CHUNKS)
    expected, was_told = STEPS[step]
    with Acting(stage.url, database_url=database_url, dies_at=step) as dying:
        with pytest.raises(httpx.TransportError):
            dying.revoke(ids)
        assert dying.child.wait() == -9
    told = {"no": 0, "in part": IDS_IN_TWO_CHUNKS - 100, "yes": IDS_IN_TWO_CHUNKS}[was_told]
    wait_for(lambda: len(stage.revoked() & set(ids)) == told, 30, f"{told} ids to be revoked")
    with Acting(stage.url, database_url=database_url) as acting:
        wait_for(lambda: said(acting) == expected, 30, f"the audit to say {expected}")
        assert verify(database_url).first_bad is None
        # What is lost is not done again, not even for whoever joins: nobody confirmed it.
        acting.revoke(["another"])
        if expected == LOST and was_told != "yes":
            time.sleep(TOLD_AGAIN_WITHIN_SECONDS)
        assert len(stage.revoked() & set(ids)) == told
    assert verify(database_url).first_bad is None


def test_what_was_lost_is_closed_once_however_often_it_is_started(
    stage: Stage, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/sidecar.db"
    dying = Acting(stage.url, database_url=url, dies_at="after the intent")
    with dying, pytest.raises(httpx.TransportError):
        dying.revoke(["a"])
    for _ in range(2):
        with Acting(stage.url, database_url=url) as acting:
            wait_for(lambda: said(acting) == LOST, 30, "the lost operation to be closed")
    assert verify(url) == (2, None, "")


def test_what_another_replica_does_is_not_closed(stage: Stage, postgresql: PostgreSQL) -> None:
    url = database_of(postgresql)
    dying = Acting(stage.url, database_url=url, dies_at="after the intent")
    with Acting(stage.url, database_url=url) as living:
        with dying, pytest.raises(httpx.TransportError):
            dying.revoke(["a"])
        with Acting(stage.url, database_url=url) as again:
            assert revoke_one(again)[1].status_code == 200
            # Whose intent it is, nobody knows: it is closed when no operation takes so long.
            assert said(living) == [LOST[0], *DONE]


# -- a disk that is full, locked, or may not be written --------------------------------------------


@contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[Path]:
    """Yield a folder on a file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    folder.mkdir()
    size = f"size={kibibytes}k"
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=False)
    if made.returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def revoke_one(acting: Acting) -> tuple[str, httpx.Response]:
    (task_id,) = new_ids(1)
    return task_id, acting.ask(
        "POST", "/tasks/batch", {"operation": "revoke", "task_ids": [task_id]}
    )


def test_a_full_disk_keeps_operations_from_happening(stage: Stage, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 600) as disk:
        url = f"sqlite:///{disk}/sidecar.db"
        with Acting(stage.url, database_url=url) as acting:
            (disk / "filler").write_bytes(b"x" * 300 * 1024)
            answers = fill(acting)
            assert [answer.status_code for _, answer in answers[-3:]] == [503, 503, 503]
            assert "nothing was done" in answers[-1][1].json()["detail"]
            accepted = {task_id for task_id, answer in answers if answer.status_code == 200}
            refused = {task_id for task_id, _ in answers} - accepted
            assert stage.revoked() >= accepted
            assert stage.revoked() & refused == set()
            (disk / "filler").unlink()
            assert revoke_one(acting)[1].status_code == 200
            assert verify(url).first_bad is None
            assert outcomes_of_intents(acting) == {("done",)}
            assert len(acting.records()) == 2 * (len(accepted) + 1)


def fill(acting: Acting) -> list[tuple[str, httpx.Response]]:
    """Revoke until the disk is full, and then some."""
    answers = []
    refusals = 0
    while refusals < 3 and len(answers) < 400:
        answers.append(revoke_one(acting))
        refusals += answers[-1][1].status_code != 200
    return answers


def outcomes_of_intents(acting: Acting) -> set[tuple[str, ...]]:
    """Return the results that operations ended with, each as often as it did."""
    by_operation: dict[str, list[str]] = {}
    for record in acting.records():
        results = by_operation.setdefault(record["operation_id"], [])
        results += [record["result"]] if record["kind"] == "outcome" else []
    return set(map(tuple, by_operation.values()))


def test_a_disk_that_may_only_be_read_keeps_operations_from_happening(
    stage: Stage, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 2000) as disk:
        url = f"sqlite:///{disk}/sidecar.db"
        with Acting(stage.url, database_url=url) as acting:
            assert revoke_one(acting)[1].status_code == 200
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with Acting(stage.url, database_url=url) as acting:
            task_id, answer = revoke_one(acting)
            assert answer.status_code == 503
            assert task_id not in stage.revoked()
            # The sidecar is not started again: it goes on with the next call.
            subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
            assert revoke_one(acting)[1].status_code == 200
            assert said(acting) == [*DONE, *DONE]
        assert verify(url).first_bad is None


def test_a_locked_database_is_waited_for_but_not_for_long(stage: Stage, tmp_path: Path) -> None:
    with Acting(stage.url, database_url=f"sqlite:///{tmp_path}/sidecar.db") as acting:
        assert revoke_one(acting)[1].status_code == 200
        with closing(sqlite3.connect(tmp_path / "sidecar.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            task_id, answer = revoke_one(acting)
            assert time.monotonic() - began < 30
            assert answer.status_code == 503
            assert task_id not in stage.revoked()
            assert acting.ask("GET", "/audit").status_code == 200
            other.execute("ROLLBACK")
        assert revoke_one(acting)[1].status_code == 200
        assert verify(acting.database_url).first_bad is None


def test_a_database_server_that_goes_away_keeps_operations_from_happening(stage: Stage) -> None:
    with PostgreSQL() as server, Acting(stage.url, database_url=server.url) as acting:
        assert revoke_one(acting)[1].status_code == 200
        server.child.kill()
        task_id, answer = revoke_one(acting)
        assert answer.status_code == 503
        assert task_id not in stage.revoked()
        assert acting.ask("GET", "/audit").status_code == 503
        server.start()
        assert revoke_one(acting)[1].status_code == 200
        assert verify(server.url).first_bad is None


def test_two_replicas_write_one_chain(stage: Stage) -> None:
    with (
        PostgreSQL() as server,
        Acting(stage.url, database_url=server.url) as one,
        Acting(stage.url, database_url=server.url) as two,
    ):
        for _ in range(10):
            assert revoke_one(one)[1].status_code == 200
            assert revoke_one(two)[1].status_code == 200
        assert verify(server.url) == (40, None, "")
        server.query("UPDATE audit_records SET actor = 'nobody' WHERE sequence = 7")
        assert verify(server.url).first_bad == 7
        assert said(one) == DONE * 20
