"""Batches on real brokers with real workers: what is revoked does not run, told by the tasks."""

from __future__ import annotations

import itertools
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from parts.acting import Acting
from parts.processes import wait_for
from parts.valkey import Valkey
from parts.workers import Worker
from workload.app import make_app
from workload.journal import Journal
from workload.recorder import Recorder

pytestmark = pytest.mark.slow

HEARTBEAT_SECONDS = 2.0
PREFETCHED = 8
# Whoever hangs here, hangs: every limit of the sidecar's own is far below.
PATIENCE_SECONDS = 30.0


@dataclass
class Yard:
    """A broker with the sidecar beside it; workers are started as they are needed."""

    url: str
    acting: Acting
    folder: Path

    def __post_init__(self) -> None:
        self.journal = Journal(self.folder / "journal")
        self.app: Any = make_app(self.url)

    def worker(self, name: str, *queues: str, **options: Any) -> Worker:
        env = {"WORKLOAD_JOURNAL": str(self.journal.path)}
        return Worker(self.url, name, queues=queues, env=env, **options)

    def publish(self, task: str, queue: str, count: int) -> list[str]:
        """Publish so many tasks and return their ids."""
        ids = [str(uuid.uuid4()) for _ in range(count)]
        with self.app.producer_or_acquire() as producer:
            for task_id in ids:
                self.app.send_task(
                    f"workload.{task}", task_id=task_id, queue=queue, producer=producer
                )
        return ids

    def told(self, words: Counter[str], timeout_seconds: float = 60.0) -> Counter[str]:
        """Return how often the tasks said each word, as soon as they said *words*."""
        said: Counter[str] = Counter()

        def has_said() -> bool:
            said.update(entry.word for entry in self.journal.read_new())
            return said >= words

        wait_for(has_said, timeout_seconds, f"the journal to say {words}, it says {said}")
        return said

    def occupy(self, queue: str, slots: int = 2) -> list[str]:
        """Fill every slot of a worker with a task that runs until it is terminated."""
        ids = self.publish("terminate", queue, slots)
        self.told(Counter(running=slots))
        return ids

    def revoked_ids(self, worker: Worker) -> set[str]:
        answers = self.app.control.inspect([worker.node], timeout=1.0).revoked() or {}
        return set(answers.get(worker.node, ()))


@pytest.fixture
def yard(valkey: Valkey, tmp_path: Path) -> Iterator[Yard]:
    with Acting(valkey.url) as acting:
        yield Yard(valkey.url, acting, tmp_path)


@pytest.fixture
def rabbit_yard(rabbitmq_url: str, tmp_path: Path) -> Iterator[Yard]:
    with Acting(rabbitmq_url) as acting:
        yield Yard(rabbitmq_url, acting, tmp_path)


def test_5000_queued_tasks_that_are_revoked_do_not_run(yard: Yard) -> None:
    with yard.worker("one", "mail") as one, yard.worker("two", "reports") as two:
        one.ready()
        two.ready()
        running = yard.occupy("mail")
        queued = yard.publish("succeed", "mail", 5000)
        answer = yard.acting.revoke(queued, reason="a flood")
        assert answer["successful"] == 5000
        assert answer["workers"] == {one.node: "acknowledged", two.node: "acknowledged"}
        ended = yard.acting.revoke(running, terminate=True, signal="SIGKILL")
        assert ended["successful"] == 2
        said = yard.told(Counter(revoked=5002))
    assert said["ended"] == 0


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_running_tasks_that_are_terminated_end(yard: Yard, name: str) -> None:
    with yard.worker("one", "mail") as one:
        one.ready()
        running = yard.occupy("mail")
        answer = yard.acting.revoke(running, terminate=True, signal=name)
        assert answer["successful"] == 2
        yard.told(Counter(revoked=2), 30)


def test_a_slot_is_free_again_after_its_task_was_terminated(yard: Yard) -> None:
    with yard.worker("one", "mail") as one:
        one.ready()
        yard.acting.revoke(yard.occupy("mail"), terminate=True, signal="SIGKILL")
        yard.publish("succeed", "mail", 1)
        yard.told(Counter(ended=1), 30)


def test_a_stopped_worker_is_named_in_time(yard: Yard) -> None:
    with yard.worker("one", "mail") as one, yard.worker("two", "reports") as two:
        one.ready()
        two.ready()
        yard.acting.revoke(["a first look"])
        two.child.pause()
        queued = yard.publish("succeed", "exports", 1000)
        began = time.monotonic()
        answer = yard.acting.revoke(queued)
        took = time.monotonic() - began
        assert took < PATIENCE_SECONDS
        assert answer["workers"] == {one.node: "acknowledged", two.node: "no_reply"}
        assert (answer["successful"], answer["failed"]) == (0, 1000)
        assert {result["detail"] for result in answer["results"]} == {
            f"not confirmed by {two.node}"
        }
        assert {result["acknowledged_by"] for result in answer["results"]} == {1}
        two.child.resume()
        wait_for(
            lambda: yard.revoked_ids(two) >= set(queued), PATIENCE_SECONDS, "the others to be told"
        )


@pytest.mark.parametrize("others", [0, 1], ids=["alone", "beside another"])
def test_a_worker_that_starts_later_runs_none_of_them(yard: Yard, others: int) -> None:
    queued = yard.publish("succeed", "mail", 2000)
    with yard.worker("first", "reports") as first:
        if others:
            first.ready()
        else:
            first.stop()
        yard.acting.revoke(queued)
        with yard.worker("late", "mail"):
            said = yard.told(Counter(revoked=2000))
    assert said["ended"] == 0


def test_a_worker_that_is_started_anew_runs_none_of_them(yard: Yard) -> None:
    with yard.worker("one", "mail") as one:
        one.ready()
        yard.occupy("mail")
        queued = yard.publish("succeed", "mail", 500)
        yard.acting.revoke(queued)
        one.child.kill()
        one.child.start()
        # What it had fetched when it was killed, the broker gives out again much later.
        said = yard.told(Counter(revoked=500 - PREFETCHED))
    assert said["ended"] == 0


def test_a_worker_that_asks_nobody_is_told_soon(yard: Yard) -> None:
    ids = [str(uuid.uuid4()) for _ in range(2000)]
    yard.acting.revoke(ids)
    extra = ("--without-mingle", "--without-gossip")
    with yard.worker("loner", "mail", extra=extra) as loner:
        loner.ready()
        wait_for(
            lambda: yard.revoked_ids(loner) >= set(ids), PATIENCE_SECONDS, "the loner to be told"
        )


def test_a_worker_that_starts_after_the_sidecar_did_runs_none_of_them(
    valkey: Valkey, tmp_path: Path
) -> None:
    database_url = f"sqlite:///{tmp_path}/kept.db"
    with Acting(valkey.url, database_url=database_url) as acting:
        before = Yard(valkey.url, acting, tmp_path)
        queued = before.publish("succeed", "mail", 500)
        acting.revoke(queued)
    with Acting(valkey.url, database_url=database_url) as acting:
        after = Yard(valkey.url, acting, tmp_path)
        with after.worker("late", "mail"):
            said = after.told(Counter(revoked=500))
    assert said["ended"] == 0


def test_other_work_and_heartbeats_go_on_meanwhile(yard: Yard) -> None:
    with yard.worker("one", "mail") as one, yard.worker("two", "reports") as two:
        one.ready()
        two.ready()
        with Recorder(yard.app) as recorder:
            ids = [str(uuid.uuid4()) for _ in range(10_000)]
            others = yard.publish("succeed", "reports", 2000)
            began = time.monotonic()
            yard.acting.revoke(ids)
            yard.told(Counter(ended=len(others)), 30)
            wait_for(lambda: time.monotonic() > began + 5, 10, "some heartbeats")
        gaps = heartbeat_gaps(recorder.events, [one.node, two.node])
    # One is late now and then; the exporter takes a worker for lost after three.
    assert max(gaps) < 3 * HEARTBEAT_SECONDS


def heartbeat_gaps(events: Sequence[dict[str, Any]], nodes: Sequence[str]) -> list[float]:
    gaps = []
    for node in nodes:
        beats = [
            event["timestamp"]
            for event in events
            if event["type"] == "worker-heartbeat" and event["hostname"] == node
        ]
        gaps += [later - sooner for sooner, later in itertools.pairwise(beats)]
    return gaps


def test_a_filter_ends_what_runs_of_one_task(yard: Yard) -> None:
    with yard.worker("one", "mail") as one, yard.worker("two", "reports") as two:
        one.ready()
        two.ready()
        running = set(yard.occupy("mail"))
        others = yard.occupy("reports")
        body = {
            "operation": "revoke_by_filter",
            "parameters": {"filter": {"queue": "mail", "state": "active"}, "terminate": True},
        }
        answer = yard.acting.ask("POST", "/tasks/batch", body).json()
        assert {result["task_id"] for result in answer["results"]} == running
        yard.told(Counter(revoked=2), 30)
        states = [yard.acting.ask("GET", f"/tasks/{each}").json()["state"] for each in others]
        assert states == ["active", "active"]


def test_on_rabbitmq_as_well(rabbit_yard: Yard) -> None:
    yard = rabbit_yard
    with yard.worker("one", "mail") as one, yard.worker("two", "reports") as two:
        one.ready()
        two.ready()
        running = yard.occupy("mail")
        queued = yard.publish("succeed", "mail", 500)
        elsewhere = yard.publish("succeed", "exports", 300)
        answer = yard.acting.revoke([*queued, *elsewhere])
        assert answer["successful"] == 800
        two.child.pause()
        partial = yard.acting.revoke(["x"])
        assert partial["workers"] == {one.node: "acknowledged", two.node: "no_reply"}
        two.child.resume()
        yard.acting.revoke(running, terminate=True, signal="SIGKILL")
        with yard.worker("late", "exports"):
            said = yard.told(Counter(revoked=802))
        wait_for(lambda: "x" in yard.revoked_ids(two), PATIENCE_SECONDS, "the others to be told")
    assert said["ended"] == 0
