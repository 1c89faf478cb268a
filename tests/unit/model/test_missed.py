"""What a worker says it has begun, against the starts that arrived."""

from __future__ import annotations

import pytest
from cluster import EPOCH, Cluster, report, stats, total

from celeriac.model.starts import RACE_SECONDS

BEAT_SECONDS = 2.0


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster()
    cluster.state.listening(cluster.now)
    return cluster


def missed(cluster: Cluster) -> float:
    return total(cluster.show("celery_exporter_events_missed_total"))


class FakeWorker:
    """Counts what it begins and tells of it as Celery does; ``lose`` begins and does not tell."""

    def __init__(self, cluster: Cluster, pid: int = 100, *, processed: int = 0) -> None:
        self.cluster = cluster
        self.pid = pid
        self.processed = processed

    def begin(self, count: int = 1) -> None:
        self.lose(count)
        self.tell(count)

    def lose(self, count: int) -> None:
        self.processed += count

    def tell(self, count: int, at: float | None = None) -> None:
        """Send *count* starts, stamped *at*, or between the last heartbeat and the next."""
        at = (self.cluster.now.wall + BEAT_SECONDS / 2 if at is None else at) - EPOCH
        for number in range(count):
            uuid = f"{self.pid}-{at}-{number}"
            self.cluster.sent(uuid)
            self.cluster.task("started", uuid, pid=self.pid, at=at)

    def greet(self) -> None:
        self.cluster.online(pid=self.pid, processed=self.processed)

    def beat(self, times: int = 1) -> None:
        for _ in range(times):
            self.cluster.wait(BEAT_SECONDS)
            self.cluster.heartbeat(pid=self.pid, processed=self.processed)


def test_nothing_is_missed_while_all_starts_arrive(cluster: Cluster) -> None:
    worker = FakeWorker(cluster)
    worker.greet()
    for count in (3, 0, 7, 1):
        worker.begin(count)
        worker.beat()
    worker.beat(3)
    assert missed(cluster) == 0


def test_what_did_not_arrive_is_missed(cluster: Cluster) -> None:
    worker = FakeWorker(cluster)
    worker.greet()
    worker.begin(3)
    worker.lose(5)
    worker.beat(3)
    assert missed(cluster) == 5


def test_a_start_right_after_a_heartbeat_is_not_taken_for_one_of_before(cluster: Cluster) -> None:
    """As long as the kind of its pool is not known, the heartbeat may have counted it."""
    worker = FakeWorker(cluster, processed=50)
    worker.beat()
    for _ in range(6):
        right_after = cluster.now.wall + RACE_SECONDS / 2
        worker.lose(3)
        worker.tell(2, at=right_after)
        worker.tell(1)
        worker.beat()
    cluster.answer(report(stats=stats()))
    worker.beat(3)
    assert missed(cluster) == 0


def test_it_is_known_two_heartbeats_later_under_load(cluster: Cluster) -> None:
    worker = FakeWorker(cluster)
    worker.greet()
    worker.begin(3)
    worker.beat()
    worker.lose(5)
    for expected in (0, 0, 5, 5):
        worker.begin(100)
        worker.beat()
        assert missed(cluster) == expected


def test_starts_on_their_way_are_not_missed(cluster: Cluster) -> None:
    worker = FakeWorker(cluster)
    worker.greet()
    worker.begin(1)
    for _ in range(4):
        worker.lose(10)
        at = cluster.now.wall + 1
        worker.beat()
        worker.tell(10, at)
    worker.beat(3)
    assert missed(cluster) == 0


def test_what_ran_before_the_exporter_came_is_not_missed(cluster: Cluster) -> None:
    worker = FakeWorker(cluster, processed=1_000)
    worker.beat()
    worker.begin(10)
    worker.beat(3)
    assert missed(cluster) == 0


def test_starts_of_the_first_heartbeat_do_not_stand_for_missed_ones(cluster: Cluster) -> None:
    worker = FakeWorker(cluster, processed=1_000)
    worker.tell(7)
    worker.beat()
    worker.tell(2, at=cluster.now.wall - 0.5)
    cluster.answer(report(stats=stats(pool="prefork")))
    worker.begin(10)
    worker.beat(3)
    worker.lose(4)
    worker.begin(10)
    worker.beat(4)
    assert missed(cluster) == 4


def test_of_a_worker_born_while_nobody_heard_all_is_missed(cluster: Cluster) -> None:
    cluster.wait(100)
    cluster.state.not_listening(cluster.now)
    cluster.wait(5)
    cluster.state.listening(cluster.now)
    worker = FakeWorker(cluster, processed=40)
    worker.tell(6)
    worker.lose(6)
    worker.beat()
    cluster.answer(report(stats=stats(pid=worker.pid, uptime_seconds=6)))
    for _ in range(4):
        worker.begin(5)
        worker.beat()
    assert missed(cluster) == 40


def test_growth_in_a_gap_is_missed(cluster: Cluster) -> None:
    worker = FakeWorker(cluster)
    worker.greet()
    worker.begin(5)
    worker.beat(2)
    cluster.state.not_listening(cluster.now)
    worker.lose(50)
    cluster.wait(10)
    cluster.state.listening(cluster.now)
    worker.beat(4)
    assert missed(cluster) == 50


def test_nothing_is_missed_of_a_worker_whose_events_are_off(cluster: Cluster) -> None:
    worker = FakeWorker(cluster)
    worker.greet()
    for _ in range(10):
        worker.lose(5)
        worker.beat()
    assert missed(cluster) == 0


def test_nothing_is_missed_while_events_are_off_for_a_while(cluster: Cluster) -> None:
    worker = FakeWorker(cluster)
    worker.greet()
    for is_on in (True, True, False, False, False, False, True, True, True, True):
        worker.begin(5) if is_on else worker.lose(5)
        worker.beat()
    assert missed(cluster) == 0


def test_nothing_is_missed_of_what_ran_before_events_were_switched_on() -> None:
    cluster = Cluster()
    cluster.state.listening(cluster.now)
    worker = FakeWorker(cluster, processed=1_000)
    worker.beat()
    worker.lose(3)
    worker.begin(4)
    worker.beat(5)
    assert missed(cluster) == 0


def test_a_single_start_that_was_lost_is_missed(cluster: Cluster) -> None:
    worker = FakeWorker(cluster)
    worker.greet()
    worker.begin(1)
    worker.beat(3)
    worker.lose(1)
    worker.beat(3)
    worker.begin(1)
    worker.beat(3)
    assert missed(cluster) == 1


def test_each_of_two_workers_with_one_name_is_measured(cluster: Cluster) -> None:
    one, other = FakeWorker(cluster, 1), FakeWorker(cluster, 2)
    one.greet()
    other.greet()
    for _ in range(4):
        one.begin(10)
        other.begin(3)
        one.beat()
        other.beat()
    other.lose(2)
    for _ in range(4):
        one.begin(10)
        one.beat()
        other.beat()
    assert missed(cluster) == 2


@pytest.mark.parametrize("pid", [100, 200])
def test_a_restart_misses_nothing(cluster: Cluster, pid: int) -> None:
    worker = FakeWorker(cluster)
    worker.greet()
    for _ in range(3):
        worker.begin(10)
        worker.beat()
    worker.begin(4)
    again = FakeWorker(cluster, pid)
    again.greet()
    for _ in range(4):
        again.begin(10)
        again.beat()
    assert missed(cluster) == 0


def test_what_is_lost_right_before_a_goodbye_is_missed(cluster: Cluster) -> None:
    worker = FakeWorker(cluster)
    worker.greet()
    worker.begin(10)
    worker.beat()
    worker.lose(3)
    cluster.goodbye(processed=worker.processed)
    cluster.wait(5)
    assert missed(cluster) == 3


def test_a_start_held_for_its_queue_is_not_missed(cluster: Cluster) -> None:
    worker = FakeWorker(cluster)
    worker.greet()
    worker.begin(1)
    worker.beat()
    worker.lose(1)
    cluster.task("started", "of-unknown-queue")
    worker.beat(4)
    assert missed(cluster) == 0


def test_threads_count_and_stamp_a_start_around_a_heartbeat(cluster: Cluster) -> None:
    worker = FakeWorker(cluster)
    worker.greet()
    cluster.answer(report(stats=stats(pool="threads")))
    worker.begin(1)
    for _ in range(5):
        worker.lose(1)
        worker.beat()
        worker.tell(1, at=cluster.now.wall + 0.01)
    worker.beat(3)
    assert missed(cluster) == 0


def test_a_heartbeat_without_pid_or_count_changes_nothing(cluster: Cluster) -> None:
    cluster.heartbeat(pid=None, processed=7)
    cluster.heartbeat(processed=None)
    assert missed(cluster) == 0


def test_the_gap_is_told(cluster: Cluster) -> None:
    cluster.heartbeat()
    cluster.wait(3)
    cluster.state.not_listening(cluster.now)
    cluster.wait(4)
    cluster.state.listening(cluster.now)
    assert cluster.show("celery_exporter_event_gap_seconds_total") == {(): 7}
    ended = cluster.now.wall
    assert cluster.show("celery_exporter_last_event_gap_timestamp_seconds") == {(): ended}


def test_kept_events_leave_no_gap(cluster: Cluster) -> None:
    cluster.heartbeat()
    cluster.state.not_listening(cluster.now)
    cluster.wait(4)
    cluster.state.listening(cluster.now, has_kept_events=True)
    assert cluster.show("celery_exporter_event_gap_seconds_total") == {(): 0}


def test_starts_of_another_worker_do_not_stand_for_missed_ones(cluster: Cluster) -> None:
    worker = FakeWorker(cluster)
    worker.greet()
    cluster.sent("foreign")
    cluster.task("started", "foreign", hostname="celery@other", pid=100)
    worker.begin(2)
    worker.lose(1)
    worker.beat(4)
    assert missed(cluster) == 1
