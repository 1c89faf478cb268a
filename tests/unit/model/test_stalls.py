"""Is a worker a zombie? Only if it could work, and has begun nothing, for half a minute."""

from __future__ import annotations

from typing import Any

import pytest
from cluster import QUEUE, WORKER, Cluster, bindings, report, running, stats

from celeriac.model.facts import WorkerReport

STALLED = "celery_worker_stalled"
HEARTBEAT_SECONDS, WORKERS_SECONDS, QUEUES_SECONDS = 2, 10, 5


class Life:
    """A worker with four slots that beats, answers, and has a queue that is looked at."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.cluster.state.listening(self.cluster.now)
        self.processed = 0
        self.active = 0
        self.ready = 3
        self.beats = self.answers = self.is_looked_at = True
        self.report: WorkerReport = report()
        self._seconds = 0

    def live(self, seconds: int, *, begins: int = 0) -> None:
        """Let time pass; the worker begins so many tasks between two heartbeats."""
        for _ in range(seconds):
            self._seconds += 1
            self.cluster.wait(1)
            if self.beats and self._seconds % HEARTBEAT_SECONDS == 0:
                self.processed += begins
                self.beat()
            if self.answers and self._seconds % WORKERS_SECONDS == 1:
                self.cluster.answer(self.report)
            if self.is_looked_at and self._seconds % QUEUES_SECONDS == 2:
                self.look()

    def beat(self) -> None:
        self.cluster.heartbeat(active=self.active, processed=self.processed)

    def look(self) -> None:
        self.cluster.depths({QUEUE: self.ready, "other": 1})

    @property
    def verdict(self) -> Any:
        return self.cluster.show(STALLED).get((WORKER,))


@pytest.fixture
def worker() -> Life:
    """A worker that has worked until now, on a queue that is not empty."""
    worker = Life()
    worker.live(60, begins=1)
    assert worker.verdict == 0
    return worker


def test_a_free_worker_that_begins_nothing_is_stalled(worker: Life) -> None:
    worker.live(60)
    assert worker.verdict == 1


def test_it_takes_thirty_seconds(worker: Life) -> None:
    worker.live(29)
    assert worker.verdict == 0
    worker.live(30 + QUEUES_SECONDS - 29)
    assert worker.verdict == 1


def test_a_stall_that_begins_with_the_queue_is_seen_within_a_minute(worker: Life) -> None:
    worker.ready = 0
    worker.live(60)
    worker.ready = 3
    worker.live(30 + 2 * QUEUES_SECONDS)
    assert worker.verdict == 1


def test_a_worker_that_goes_on_is_not_stalled_any_more(worker: Life) -> None:
    worker.live(60)
    worker.live(2, begins=1)
    assert worker.verdict == 0


def test_a_worker_with_long_tasks_in_all_slots_is_not_stalled(worker: Life) -> None:
    worker.active = 4
    worker.live(120)
    assert worker.verdict == 0


def test_a_slot_that_has_just_become_free_is_no_stall(worker: Life) -> None:
    worker.active = 4
    worker.live(120)
    worker.active = 3
    worker.live(6)
    assert worker.verdict == 0


def test_an_idle_worker_with_an_empty_queue_is_not_stalled(worker: Life) -> None:
    worker.ready = 0
    worker.live(120)
    assert worker.verdict == 0


def test_a_queue_that_was_empty_once_is_no_stall(worker: Life) -> None:
    worker.live(20)
    worker.ready = 0
    worker.look()
    worker.ready = 3
    worker.live(20)
    assert worker.verdict == 0


def test_a_busy_queue_whose_messages_come_and_go_is_no_stall(worker: Life) -> None:
    worker.live(120, begins=1)
    assert worker.verdict == 0


def test_messages_that_have_just_come_are_no_stall(worker: Life) -> None:
    worker.ready = 0
    worker.live(120)
    worker.ready = 3
    worker.live(10)
    assert worker.verdict == 0


def test_a_worker_that_was_told_not_to_consume_is_not_stalled(worker: Life) -> None:
    worker.report = report(WORKER, bindings=bindings("empty"))
    worker.live(120)
    assert worker.verdict == 0


def test_a_worker_that_has_just_been_told_to_consume_is_not_stalled(worker: Life) -> None:
    worker.report = report(WORKER, bindings=bindings("empty"))
    worker.live(120)
    worker.cluster.answer(report())
    assert worker.verdict == 0


def test_a_worker_that_holds_tasks_for_their_rate_limit_is_not_stalled(worker: Life) -> None:
    worker.report = report(reserved=(running("a"),), has_rate_limits=True)
    worker.live(120)
    assert worker.verdict == 0


def test_a_rate_limit_is_no_excuse_for_a_worker_that_holds_nothing(worker: Life) -> None:
    worker.report = report(reserved=(), has_rate_limits=True)
    worker.live(60)
    assert worker.verdict == 1


def test_a_worker_that_has_just_started_is_not_stalled() -> None:
    worker = Life()
    worker.beats = worker.answers = False
    worker.live(120)
    worker.beats = worker.answers = True
    worker.live(29)
    assert worker.verdict == 0


def test_a_worker_that_was_restarted_is_not_stalled(worker: Life) -> None:
    worker.live(28)
    worker.cluster.online(processed=0, active=0, pid=101)
    worker.live(1)
    worker.cluster.heartbeat(processed=0, active=0, pid=101)
    worker.look()
    assert worker.verdict == 0


def test_a_solo_worker_that_is_mute_because_it_works_may_be_anything(worker: Life) -> None:
    worker.report = report(stats=stats(pool="solo", pool_processes=1))
    worker.ready = 0
    worker.live(60)
    worker.ready, worker.beats = 3, False
    for _ in range(12):
        worker.live(5)
        assert worker.verdict in (None, 0)
    worker.beats, worker.processed = True, worker.processed + 1
    worker.live(3)
    assert worker.verdict == 0


def test_a_worker_without_heartbeats_may_be_anything() -> None:
    worker = Life()
    worker.beats = False
    worker.live(60)
    assert worker.verdict is None


def test_a_worker_that_answers_nothing_may_be_anything() -> None:
    worker = Life()
    worker.answers = False
    worker.live(60)
    assert worker.verdict is None


def test_what_happened_while_nobody_listened_is_no_stall(worker: Life) -> None:
    worker.live(28)
    worker.cluster.state.not_listening(worker.cluster.now)
    worker.cluster.state.listening(worker.cluster.now)
    worker.live(20)
    assert worker.verdict == 0


def test_silence_while_nobody_listens_is_no_stall(worker: Life) -> None:
    worker.live(28)
    worker.cluster.state.not_listening(worker.cluster.now)
    worker.beats = False
    worker.live(10)
    assert worker.verdict in (None, 0)


def test_one_look_at_a_queue_is_no_stall(worker: Life) -> None:
    worker.ready = 0
    worker.live(60)
    worker.ready = 3
    worker.live(5)
    worker.is_looked_at = False
    worker.live(12)
    assert worker.verdict == 0


def test_without_looks_at_the_queues_it_may_be_anything(worker: Life) -> None:
    worker.live(60)
    worker.is_looked_at = False
    worker.live(20)
    assert worker.verdict is None


def test_a_pause_between_two_looks_is_no_stall(worker: Life) -> None:
    worker.ready = 0
    worker.live(60)
    worker.ready = 3
    worker.live(5)
    worker.is_looked_at = False
    worker.live(60)
    worker.is_looked_at = True
    worker.live(10)
    assert worker.verdict == 0


def test_a_worker_that_is_down_is_not_stalled(worker: Life) -> None:
    worker.live(60)
    worker.cluster.goodbye()
    assert worker.verdict is None
