"""How old is the oldest waiting message that can be looked at? Never older than is true."""

from __future__ import annotations

import pytest
from cluster import EPOCH, QUEUE, Cluster, report
from hypothesis import given
from hypothesis import strategies as st

from celeriac.model.admission import OVERFLOW, Limits
from celeriac.model.facts import Head, QueueDepth, QueueSample

AGE = "celery_queue_oldest_message_age_seconds"
INTERVAL_SECONDS = 5.0


@pytest.fixture
def cluster() -> Cluster:
    """A cluster with a worker of which nobody knows what it takes."""
    cluster = Cluster()
    cluster.state.listening(cluster.now)
    cluster.heartbeat()
    return cluster


def sample(cluster: Cluster, *heads: Head, ready: int = 3, sent_at: float | None = None) -> None:
    depth = QueueDepth(ready, heads=heads, head_sent_at=sent_at)
    cluster.state.replace_queues(QueueSample({QUEUE: depth}), cluster.now)


def wait(cluster: Cluster, seconds: float) -> None:
    cluster.wait(seconds)
    cluster.heartbeat()


def age(cluster: Cluster) -> object:
    return cluster.show(AGE).get((QUEUE,))


def announce(cluster: Cluster) -> None:
    """Let the worker of the queue be known to send task events."""
    cluster.online(processed=0)
    cluster.answer(report())
    cluster.sent("first")
    cluster.received("first")
    cluster.task("started", "first")
    cluster.heartbeat(processed=1)
    cluster.heartbeat(processed=1)


# -- by the message at the head (Redis) -----------------------------------------------------------


def test_an_empty_queue_has_an_age_of_0(cluster: Cluster) -> None:
    sample(cluster, ready=0)
    assert age(cluster) == 0


def test_a_queue_that_nothing_is_known_of_has_no_age(cluster: Cluster) -> None:
    sample(cluster)
    assert age(cluster) is None


def test_a_head_that_was_seen_sent_is_as_old_as_that(cluster: Cluster) -> None:
    cluster.sent("a")
    wait(cluster, 300)
    sample(cluster, Head(0, "a"))
    wait(cluster, INTERVAL_SECONDS)
    assert age(cluster) == 300


def test_a_head_of_which_nothing_is_known_is_as_old_as_it_has_been_watched(
    cluster: Cluster,
) -> None:
    for expected in (0, 5, 10):
        sample(cluster, Head(0, "a"))
        assert age(cluster) == expected
        wait(cluster, INTERVAL_SECONDS)
    sample(cluster, Head(0, "b"))
    assert age(cluster) == 0


def test_a_queue_stopped_for_300_seconds_shows_the_truth_less_one_interval_at_most(
    cluster: Cluster,
) -> None:
    cluster.sent("a")
    began = cluster.now.mono
    while cluster.now.mono - began < 300:
        sample(cluster, Head(0, "a"))
        for _ in range(5):
            wait(cluster, 1)
            truth = cluster.now.mono - began
            shown = cluster.show(AGE)[QUEUE,]
            assert isinstance(shown, float)
            assert truth - INTERVAL_SECONDS <= shown <= truth


def test_the_oldest_over_all_priorities_counts(cluster: Cluster) -> None:
    cluster.sent("urgent")
    for _ in range(3):
        sample(cluster, Head(0, "urgent"), Head(3, "patient"))
        wait(cluster, 10)
        cluster.sent("urgent")
    assert age(cluster) == 20


def test_an_eta_in_the_future_does_not_make_a_queue_old(cluster: Cluster) -> None:
    cluster.sent("a", eta="2023-11-14T22:23:20+00:00")
    head = Head(0, "a", eta_at=EPOCH + 600)
    sample(cluster, head)
    wait(cluster, 300)
    sample(cluster, head)
    assert age(cluster) == 0
    wait(cluster, 310)
    sample(cluster, head)
    assert age(cluster) == 10


def test_an_eta_counts_also_when_only_an_earlier_sending_was_seen(cluster: Cluster) -> None:
    cluster.sent("a")
    wait(cluster, 600)
    sample(cluster, Head(0, "a", eta_at=EPOCH + 900))
    assert age(cluster) == 0


def test_a_message_that_came_back_is_not_as_old_as_when_it_was_sent(cluster: Cluster) -> None:
    cluster.sent("a")
    wait(cluster, 300)
    sample(cluster, Head(0, "a", is_redelivered=True))
    assert age(cluster) == 0
    wait(cluster, 7)
    sample(cluster, Head(0, "a", is_redelivered=True))
    assert age(cluster) == 7


def test_a_message_that_came_back_between_two_samples_is_young(cluster: Cluster) -> None:
    sample(cluster, Head(0, "a"))
    wait(cluster, 60)
    sample(cluster, Head(0, "a", is_redelivered=True))
    assert age(cluster) == 0


def test_another_message_of_the_same_task_is_young(cluster: Cluster) -> None:
    sample(cluster, Head(0, "a", is_redelivered=True, digest=1))
    wait(cluster, 60)
    sample(cluster, Head(0, "a", is_redelivered=True, digest=2))
    assert age(cluster) == 0


def test_a_message_that_a_worker_has_had_is_not_as_old_as_when_it_was_sent(
    cluster: Cluster,
) -> None:
    cluster.sent("a")
    cluster.received("a")
    wait(cluster, 300)
    sample(cluster, Head(0, "a"))
    assert age(cluster) == 0


@pytest.mark.parametrize("seconds_off", [-3600, 3600])
def test_a_wrong_clock_of_the_client_does_not_matter(cluster: Cluster, seconds_off: float) -> None:
    cluster.sent("a", at=seconds_off)
    wait(cluster, 10)
    sample(cluster, Head(0, "a"))
    assert age(cluster) == 10


def test_a_head_that_is_not_looked_at_does_not_get_older(cluster: Cluster) -> None:
    sample(cluster, Head(0, "a"))
    wait(cluster, 20)
    sample(cluster, Head(0, "a"))
    wait(cluster, INTERVAL_SECONDS)
    sample(cluster, Head(0, "a", seconds_ago=INTERVAL_SECONDS))
    assert age(cluster) == 20


def test_a_stale_sample_has_no_age(cluster: Cluster) -> None:
    cluster.sent("a")
    sample(cluster, Head(0, "a"))
    wait(cluster, 100)
    assert age(cluster) is None


def test_the_oldest_of_the_queues_under_overflow_counts() -> None:
    cluster = Cluster(Limits(queues=1))
    depths = {name: QueueDepth(1, heads=(Head(0, name),)) for name in ("a", "b", "c")}
    for _ in range(2):
        cluster.state.replace_queues(QueueSample(depths), cluster.now)
        cluster.wait(10)
        depths["c"] = QueueDepth(1, heads=(Head(0, "new"),))
    assert cluster.show(AGE) == {("a",): 10, (OVERFLOW,): 10}


# -- by the stamp of the first message (RabbitMQ) -------------------------------------------------


def test_a_stamp_is_as_old_as_the_end_of_its_second(cluster: Cluster) -> None:
    sample(cluster, sent_at=cluster.now.wall - 42)
    assert age(cluster) == 41


def test_a_stamp_from_before_the_queue_was_empty_is_of_a_message_that_came_back(
    cluster: Cluster,
) -> None:
    wait(cluster, 300)
    sample(cluster, ready=0)
    wait(cluster, INTERVAL_SECONDS)
    for expected in (0, 5):
        sample(cluster, sent_at=EPOCH)
        assert age(cluster) == expected
        wait(cluster, INTERVAL_SECONDS)


def test_a_stamp_from_before_the_last_one_is_of_a_message_that_came_back(
    cluster: Cluster,
) -> None:
    sample(cluster, sent_at=EPOCH)
    wait(cluster, 300)
    sample(cluster, sent_at=EPOCH + 290)
    assert age(cluster) == 9
    sample(cluster, sent_at=EPOCH)
    assert age(cluster) == 0
    sample(cluster, sent_at=EPOCH + 290)
    assert age(cluster) == 9


def test_a_stamp_of_the_future_has_an_age_of_0(cluster: Cluster) -> None:
    sample(cluster, sent_at=EPOCH + 3600)
    assert age(cluster) == 0


# -- whatever happens -----------------------------------------------------------------------------

STEPS = st.sampled_from(["send", "take", "purge", "put_back", "wait", "wait", "look"])


class Reality:
    """A queue that is first in, first out, with one worker, beside what the exporter is told."""

    def __init__(self, *, is_heard: bool, has_heads: bool) -> None:
        self.cluster = Cluster()
        self.cluster.state.listening(self.cluster.now)
        self._is_heard, self._has_heads = is_heard, has_heads
        self._queue: list[tuple[Head, float]] = []
        self._taken: list[str] = []
        self._number = 0
        if is_heard:
            announce(self.cluster)
        else:
            self.cluster.heartbeat()

    def do(self, step: str) -> None:
        getattr(self, step)()

    def send(self) -> None:
        self._number += 1
        self._queue.append((Head(0, str(self._number)), self.cluster.now.mono))
        # By a clock that is five minutes slow.
        self.cluster.sent(str(self._number), at=self.cluster.now.wall - EPOCH - 300)

    def take(self) -> None:
        if self._queue:
            self._taken.append(self._queue.pop(0)[0].task_id)
            if self._is_heard:
                self.cluster.received(self._taken[-1])

    def purge(self) -> None:
        # With what a worker holds and gives back, the queue would be as long as the line says.
        self._queue.clear()
        self._taken.clear()

    def put_back(self) -> None:
        if self._taken:
            self._number += 1
            head = Head(0, self._taken.pop(), is_redelivered=True, digest=self._number)
            self._queue.insert(0, (head, self.cluster.now.mono))

    def wait(self) -> None:
        wait(self.cluster, 1)

    def look(self) -> None:
        heads = [head for head, _ in self._queue[:1] if self._has_heads]
        sample(self.cluster, *heads, ready=len(self._queue))
        now = self.cluster.now.mono
        truth = now - min((since for _, since in self._queue), default=now)
        shown = age(self.cluster)
        assert shown is None or 0 <= shown <= truth  # type: ignore[operator]


@given(st.lists(STEPS, max_size=80), st.booleans(), st.booleans())
def test_no_age_is_ever_more_than_the_truth(
    steps: list[str], is_heard: bool, has_heads: bool
) -> None:
    reality = Reality(is_heard=is_heard, has_heads=has_heads)
    for step in [*steps, "look"]:
        reality.do(step)
