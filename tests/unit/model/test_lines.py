"""How old is a queue that cannot be looked into? By what was sent, and not taken since."""

from __future__ import annotations

import pytest
from cluster import QUEUE, Cluster, report

from celeriac.model.admission import Limits
from celeriac.model.facts import QueueDepth, QueueSample
from celeriac.model.lines import MAX_WATCHED, RESOLUTION_SECONDS, Line

AGE = "celery_queue_oldest_message_age_seconds"
ETA = "2023-11-14T22:23:20+00:00"
INTERVAL_SECONDS = 5.0


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster()
    cluster.state.listening(cluster.now)
    return cluster


def sample(cluster: Cluster, ready: int = 3, fetch_seconds: float = 0.0) -> None:
    looked = QueueSample({QUEUE: QueueDepth(ready)}, fetch_seconds=fetch_seconds)
    cluster.state.replace_queues(looked, cluster.now)


def age(cluster: Cluster) -> object:
    return cluster.show(AGE).get((QUEUE,))


def announce(cluster: Cluster) -> None:
    """Let the worker of the queue be known to send task events."""
    cluster.online(processed=0)
    cluster.answer(report())
    cluster.sent("first")
    cluster.received("first")
    cluster.task("started", "first")
    for _ in range(2):
        cluster.heartbeat(processed=1)
    cluster.wait(1)


def send_each_second(cluster: Cluster, count: int) -> None:
    for number in range(count):
        cluster.sent(f"{number}")
        cluster.wait(1)
        if cluster.state.workers_up():
            cluster.heartbeat(processed=1)


def test_the_first_that_was_sent_and_not_received_is_the_oldest(cluster: Cluster) -> None:
    announce(cluster)
    send_each_second(cluster, 3)
    sample(cluster)
    assert age(cluster) == 3
    cluster.received("0")
    sample(cluster, ready=2)
    assert age(cluster) == 2


def test_what_was_sent_before_a_message_that_was_received_is_gone(cluster: Cluster) -> None:
    announce(cluster)
    send_each_second(cluster, 3)
    cluster.received("1")
    sample(cluster)
    assert age(cluster) == 1


def test_a_queue_stopped_for_300_seconds_shows_the_truth_less_one_interval_at_most(
    cluster: Cluster,
) -> None:
    announce(cluster)
    cluster.goodbye()
    began = cluster.now.mono
    sent = 0
    while cluster.now.mono - began < 300:
        for _ in range(5):
            sent += 1
            cluster.sent(f"{sent}")
            cluster.wait(1)
        sample(cluster, ready=sent)
        truth = cluster.now.mono - began
        shown = age(cluster)
        assert isinstance(shown, float)
        assert truth - INTERVAL_SECONDS <= shown <= truth


def test_a_backlog_larger_than_the_memory_of_task_ids_is_as_old_as_it_is() -> None:
    cluster = Cluster(Limits(tracked_tasks=100))
    cluster.state.listening(cluster.now)
    announce(cluster)
    send_each_second(cluster, 400)
    sample(cluster, ready=400)
    assert age(cluster) == 400
    for number in range(150):
        cluster.received(f"{number}")
    sample(cluster, ready=250)
    assert age(cluster) == 250


@pytest.mark.parametrize("seconds_off", [-3600, 3600])
def test_a_wrong_clock_of_one_client_does_not_matter(cluster: Cluster, seconds_off: float) -> None:
    cluster.sent("a", at=seconds_off)
    cluster.wait(10)
    cluster.sent("b", at=10)
    cluster.wait(5)
    sample(cluster, ready=2)
    assert age(cluster) == 15


def test_a_queue_whose_oldest_messages_were_dropped_is_as_old_as_the_rest(cluster: Cluster) -> None:
    send_each_second(cluster, 100)
    sample(cluster, ready=10)
    assert age(cluster) == 10


def test_a_queue_that_was_purged_and_filled_again_is_as_old_as_the_new_ones(
    cluster: Cluster,
) -> None:
    send_each_second(cluster, 100)
    sample(cluster, ready=100)
    for name in ("new", "newer"):
        cluster.sent(name)
        cluster.wait(1)
    sample(cluster, ready=2)
    assert age(cluster) == 2


def test_a_message_that_came_while_the_queue_was_looked_at_makes_it_no_younger(
    cluster: Cluster,
) -> None:
    cluster.sent("a")
    cluster.wait(300)
    cluster.sent("b")
    sample(cluster, ready=1, fetch_seconds=0.25)
    cluster.wait(0.125)
    sample(cluster, ready=1, fetch_seconds=0.25)
    assert age(cluster) == 300.125


def test_a_task_that_is_sent_again_is_as_old_as_the_last_time(cluster: Cluster) -> None:
    announce(cluster)
    cluster.sent("a")
    cluster.wait(3)
    cluster.heartbeat(processed=1)
    cluster.received("a")
    cluster.task("started", "a")
    cluster.sent("a")
    cluster.task("retried", "a")
    cluster.wait(4)
    cluster.heartbeat(processed=2)
    sample(cluster, ready=1)
    assert age(cluster) == 4


def test_a_queue_whose_workers_send_no_events_has_no_age(cluster: Cluster) -> None:
    cluster.answer(report())
    cluster.heartbeat(processed=3)
    cluster.sent("a")
    cluster.wait(4)
    sample(cluster)
    assert age(cluster) is None


def test_what_an_unheard_worker_may_have_taken_is_not_proven_when_it_is_gone(
    cluster: Cluster,
) -> None:
    cluster.answer(report())
    cluster.heartbeat(processed=3)
    cluster.sent("a")
    cluster.wait(4)
    sample(cluster)
    cluster.wait(30)
    sample(cluster)
    assert age(cluster) is None


def test_what_an_unheard_worker_may_have_taken_right_before_it_left_is_not_proven(
    cluster: Cluster,
) -> None:
    cluster.answer(report())
    cluster.heartbeat(processed=3)
    sample(cluster)
    cluster.wait(1)
    cluster.sent("a")
    cluster.wait(1)
    cluster.goodbye()
    cluster.wait(3)
    sample(cluster, ready=1)
    assert age(cluster) is None


def test_a_worker_that_has_not_said_what_it_consumes_leaves_every_queue_without_age(
    cluster: Cluster,
) -> None:
    announce(cluster)
    cluster.heartbeat("celery@other")
    cluster.sent("a")
    cluster.wait(1)
    sample(cluster)
    assert age(cluster) is None


def test_a_newcomer_that_has_said_what_else_it_consumes_leaves_a_queue_its_age(
    cluster: Cluster,
) -> None:
    announce(cluster)
    cluster.sent("a")
    cluster.wait(30)
    cluster.heartbeat("celery@other")
    sample(cluster)
    cluster.answer(report("celery@other", "mail"))
    sample(cluster)
    assert age(cluster) == 30


def test_what_a_worker_took_that_left_without_a_word_is_not_proven(cluster: Cluster) -> None:
    announce(cluster)
    cluster.sent("a")
    cluster.heartbeat("celery@other")
    cluster.wait(1)
    sample(cluster)
    cluster.goodbye("celery@other")
    cluster.wait(1)
    sample(cluster)
    cluster.wait(1)
    sample(cluster)
    assert age(cluster) is None


def test_a_queue_that_nobody_consumes_has_an_age(cluster: Cluster) -> None:
    cluster.sent("a")
    cluster.wait(30)
    sample(cluster)
    assert age(cluster) == 30


def test_a_queue_that_was_seen_empty_is_as_old_as_what_came_after(cluster: Cluster) -> None:
    cluster.sent("purged")
    cluster.wait(10)
    sample(cluster, ready=0)
    cluster.wait(10)
    cluster.sent("b")
    cluster.wait(20)
    sample(cluster)
    assert age(cluster) == 20


def test_a_message_that_came_while_an_empty_queue_was_looked_at_is_not_forgotten(
    cluster: Cluster,
) -> None:
    cluster.wait(1)
    cluster.sent("a")
    cluster.wait(0.25)
    sample(cluster, ready=0, fetch_seconds=0.5)
    cluster.wait(20)
    sample(cluster, ready=1)
    assert age(cluster) == 20.25


def test_after_a_gap_nothing_sent_before_it_is_proven(cluster: Cluster) -> None:
    cluster.sent("a")
    cluster.state.not_listening(cluster.now)
    cluster.wait(30)
    cluster.state.listening(cluster.now)
    sample(cluster)
    assert age(cluster) is None
    cluster.sent("b")
    cluster.wait(7)
    sample(cluster)
    assert age(cluster) == 7


def test_kept_events_prove_what_was_sent_before(cluster: Cluster) -> None:
    cluster.sent("a")
    cluster.state.not_listening(cluster.now)
    cluster.wait(30)
    cluster.state.listening(cluster.now, has_kept_events=True)
    sample(cluster)
    assert age(cluster) == 30


def test_when_events_are_known_to_be_lost_nothing_sent_before_is_proven(cluster: Cluster) -> None:
    announce(cluster)
    cluster.sent("a")
    for _ in range(6):
        # The worker has begun two, of which one was heard.
        cluster.wait(2)
        cluster.heartbeat(processed=3)
    cluster.task("started", "b")
    cluster.heartbeat(processed=4)
    cluster.heartbeat(processed=4)
    missed = cluster.show("celery_exporter_events_missed_total")[()]
    assert missed
    sample(cluster)
    assert age(cluster) is None


def test_a_task_with_an_eta_stands_in_no_line(cluster: Cluster) -> None:
    cluster.sent("a", eta=ETA)
    cluster.wait(30)
    sample(cluster)
    assert age(cluster) is None


def test_a_task_with_an_eta_that_was_received_hides_nobody(cluster: Cluster) -> None:
    announce(cluster)
    cluster.sent("a")
    cluster.sent("later", eta=ETA)
    cluster.received("later", eta=ETA)
    cluster.wait(3)
    cluster.heartbeat(processed=1)
    sample(cluster, ready=1)
    assert age(cluster) == 3


def test_a_task_that_was_revoked_in_the_queue_does_not_wait_when_it_is_taken(
    cluster: Cluster,
) -> None:
    announce(cluster)
    send_each_second(cluster, 2)
    cluster.task("revoked", "0")
    sample(cluster, ready=1)
    assert age(cluster) == 1


# -- a line by itself -----------------------------------------------------------------------------


class Sent:
    is_waiting = True

    def __init__(self, sent_mono: float) -> None:
        self.sent_mono: float | None = sent_mono


def line_of(count: int) -> tuple[Line[Sent], list[Sent], dict[str, Sent]]:
    """Return a line to which *count* messages were added in its resolution."""
    pinned: dict[str, Sent] = {}
    line = Line(pinned)
    messages = [Sent(number * RESOLUTION_SECONDS) for number in range(count)]
    for number, message in enumerate(messages):
        line.sent += 1
        line.last_id = f"{number}"
        assert message.sent_mono is not None
        if message.sent_mono >= line.next_mono:
            line.add(f"{number}", message, message.sent_mono)
    return line, messages, pinned


def test_a_line_stays_bounded_and_keeps_its_oldest() -> None:
    line, messages, pinned = line_of(50 * MAX_WATCHED)
    assert len(pinned) == len(line._watched) <= MAX_WATCHED
    assert line.oldest_mono(len(messages), 1e9) == 0


def test_a_thinned_out_line_is_off_by_little() -> None:
    line, messages, _ = line_of(50 * MAX_WATCHED)
    for message in messages[: 10 * MAX_WATCHED]:
        message.is_waiting = False
    oldest = line.oldest_mono(len(messages), 1e9)
    truth = 10 * MAX_WATCHED * RESOLUTION_SECONDS
    assert oldest is not None
    span = messages[-1].sent_mono
    assert span is not None
    assert truth <= oldest <= truth + span / (MAX_WATCHED // 4)


def test_of_a_burst_the_last_is_watched_too(cluster: Cluster) -> None:
    announce(cluster)
    for number in range(8):
        cluster.sent(f"{number}")
    cluster.wait(1)
    cluster.heartbeat(processed=1)
    sample(cluster, ready=8)
    for number in range(4):
        cluster.received(f"{number}")
    cluster.wait(4)
    cluster.heartbeat(processed=1)
    sample(cluster, ready=4)
    assert age(cluster) == 5


def test_a_line_pins_nobody_who_has_left() -> None:
    line, messages, pinned = line_of(10)
    for message in messages:
        message.is_waiting = False
    assert line.oldest_mono(10, 1e9) is None
    assert pinned == {}


def test_the_line_of_no_queue_watches_nobody() -> None:
    line: Line[Sent] = Line()
    assert line.next_mono == float("inf")
