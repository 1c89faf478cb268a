"""How old is the oldest waiting message, at least? Never more than is true."""

from __future__ import annotations

import pytest
from cluster import EPOCH, QUEUE, WORKER, Cluster, bindings, report, stats

from celeriac.model.facts import Head, QueueDepth, QueueSample
from celeriac.model.lines import MAX_CHECKPOINTS, RESOLUTION_SECONDS, Line

AGE = "celery_queue_oldest_message_age_seconds"
INTERVAL_SECONDS = 5.0


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster()
    cluster.state.listening(cluster.now)
    return cluster


def sample(cluster: Cluster, *heads: Head, ready: int = 3, sent_at: float | None = None) -> None:
    depth = QueueDepth(ready, heads=heads, head_sent_at=sent_at)
    cluster.state.replace_queues(QueueSample({QUEUE: depth}), cluster.now)


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
    cluster.wait(300)
    sample(cluster, Head(0, "a"))
    cluster.wait(INTERVAL_SECONDS)
    assert age(cluster) == 300


def test_a_head_of_which_nothing_is_known_is_as_old_as_it_has_been_watched(
    cluster: Cluster,
) -> None:
    for expected in (0, 5, 10):
        sample(cluster, Head(0, "a"))
        assert age(cluster) == expected
        cluster.wait(INTERVAL_SECONDS)
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
            cluster.wait(1)
            truth = cluster.now.mono - began
            shown = cluster.show(AGE)[QUEUE,]
            assert isinstance(shown, float)
            assert truth - INTERVAL_SECONDS <= shown <= truth


def test_the_oldest_over_all_priorities_counts(cluster: Cluster) -> None:
    cluster.sent("urgent")
    for _ in range(3):
        sample(cluster, Head(0, "urgent"), Head(3, "patient"))
        cluster.wait(10)
        cluster.sent("urgent", at=cluster.now.wall - EPOCH)
    assert age(cluster) == 20


def test_an_eta_in_the_future_does_not_make_a_queue_old(cluster: Cluster) -> None:
    cluster.sent("a", eta="2023-11-14T22:23:20+00:00")
    head = Head(0, "a", eta_at=EPOCH + 600)
    sample(cluster, head)
    cluster.wait(300)
    sample(cluster, head)
    assert age(cluster) == 0
    cluster.wait(310)
    sample(cluster, head)
    assert age(cluster) == 10


def test_a_message_that_came_back_is_not_as_old_as_when_it_was_sent(cluster: Cluster) -> None:
    cluster.sent("a")
    cluster.wait(300)
    sample(cluster, Head(0, "a", is_redelivered=True))
    assert age(cluster) == 0
    cluster.wait(7)
    sample(cluster, Head(0, "a", is_redelivered=True))
    assert age(cluster) == 7


def test_a_message_that_a_worker_has_had_is_not_as_old_as_when_it_was_sent(
    cluster: Cluster,
) -> None:
    cluster.sent("a")
    cluster.received("a")
    cluster.wait(300)
    sample(cluster, Head(0, "a"))
    assert age(cluster) == 0


def test_a_clock_that_is_ahead_makes_no_negative_age(cluster: Cluster) -> None:
    cluster.sent("a", at=3600)
    sample(cluster, Head(0, "a"))
    assert age(cluster) == 0


def test_a_stale_sample_has_no_age(cluster: Cluster) -> None:
    cluster.sent("a")
    sample(cluster, Head(0, "a"))
    cluster.wait(100)
    assert age(cluster) is None


# -- by what was sent and not received (every other broker) ---------------------------------------


def test_the_first_that_was_sent_and_not_received_is_the_oldest(cluster: Cluster) -> None:
    announce(cluster)
    cluster.wait(10)
    for uuid in ("a", "b", "c"):
        cluster.sent(uuid)
        cluster.wait(10)
    sample(cluster)
    assert age(cluster) == 30
    cluster.received("a")
    sample(cluster)
    assert age(cluster) == 20


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


def test_a_worker_that_has_not_said_what_it_consumes_leaves_every_queue_without_age(
    cluster: Cluster,
) -> None:
    announce(cluster)
    cluster.heartbeat("celery@other")
    cluster.sent("a")
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


def test_a_message_that_came_while_the_queue_was_looked_at_is_not_forgotten(
    cluster: Cluster,
) -> None:
    cluster.wait(1)
    cluster.sent("a")
    empty = QueueSample({QUEUE: QueueDepth(0)}, fetch_seconds=0.5)
    cluster.wait(0.25)
    cluster.state.replace_queues(empty, cluster.now)
    cluster.wait(20)
    sample(cluster)
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


def test_a_task_with_an_eta_stands_in_no_line(cluster: Cluster) -> None:
    cluster.sent("a", eta="2023-11-14T22:23:20+00:00")
    cluster.wait(30)
    sample(cluster)
    assert age(cluster) is None


def test_the_stamp_of_the_message_itself_counts_too(cluster: Cluster) -> None:
    sample(cluster, sent_at=cluster.now.wall - 42)
    assert age(cluster) == 42


def test_a_line_stays_bounded_and_never_gets_older_by_it() -> None:
    line = Line()
    for number in range(10 * MAX_CHECKPOINTS):
        line.add(number * RESOLUTION_SECONDS)
    assert len(line._checkpoints) <= MAX_CHECKPOINTS
    oldest = line.oldest()
    assert oldest is not None
    assert oldest >= 0


# -- zombies --------------------------------------------------------------------------------------

STALLED = "celery_worker_stalled"


def stalled(cluster: Cluster) -> object:
    return cluster.show(STALLED).get((WORKER,))


def live(
    cluster: Cluster,
    seconds: int,
    *,
    ready: int = 3,
    active: int = 0,
    begins: int = 0,
    **fields: object,
) -> None:
    """Let a worker with four slots live on, beginning so many tasks in each two seconds."""
    for second in range(0, seconds, 2):
        cluster.wait(2)
        processed = getattr(cluster, "processed", 0) + begins
        cluster.processed = processed  # type: ignore[attr-defined]
        cluster.heartbeat(active=active, processed=processed)
        if second % 10 == 0:
            cluster.answer(report(**fields))
        cluster.depths({QUEUE: ready})


def test_a_free_worker_that_begins_nothing_is_stalled(cluster: Cluster) -> None:
    live(cluster, 60)
    assert stalled(cluster) == 1


def test_it_takes_thirty_seconds(cluster: Cluster) -> None:
    live(cluster, 28)
    assert stalled(cluster) == 0
    live(cluster, 10)
    assert stalled(cluster) == 1


def test_a_worker_that_goes_on_is_not_stalled_any_more(cluster: Cluster) -> None:
    live(cluster, 60)
    live(cluster, 2, begins=1)
    assert stalled(cluster) == 0


def test_a_worker_with_long_tasks_in_all_slots_is_not_stalled(cluster: Cluster) -> None:
    live(cluster, 120, active=4)
    assert stalled(cluster) == 0


def test_a_slot_that_has_just_become_free_is_no_stall(cluster: Cluster) -> None:
    live(cluster, 120, active=4)
    live(cluster, 4, active=3)
    assert stalled(cluster) == 0


def test_an_idle_worker_with_an_empty_queue_is_not_stalled(cluster: Cluster) -> None:
    live(cluster, 120, ready=0)
    assert stalled(cluster) == 0


def test_messages_that_have_just_come_are_no_stall(cluster: Cluster) -> None:
    live(cluster, 120, ready=0)
    live(cluster, 10)
    assert stalled(cluster) == 0


def test_a_worker_that_was_told_not_to_consume_is_not_stalled(cluster: Cluster) -> None:
    live(cluster, 120, bindings=bindings("other"))
    assert stalled(cluster) == 0


def test_a_worker_that_holds_tasks_for_their_rate_limit_is_not_stalled(cluster: Cluster) -> None:
    from cluster import running

    live(cluster, 120, reserved=(running("a"),), has_rate_limits=True)
    assert stalled(cluster) == 0


def test_a_worker_without_heartbeats_may_be_anything(cluster: Cluster) -> None:
    for _ in range(12):
        cluster.wait(5)
        cluster.answer(report(stats=stats(processed=0)))
        cluster.depths({QUEUE: 3})
    assert stalled(cluster) is None


def test_what_happened_while_nobody_listened_is_no_stall(cluster: Cluster) -> None:
    live(cluster, 28)
    cluster.state.not_listening(cluster.now)
    cluster.state.listening(cluster.now)
    live(cluster, 20)
    assert stalled(cluster) == 0


def test_a_worker_that_is_down_is_not_stalled(cluster: Cluster) -> None:
    live(cluster, 60)
    cluster.goodbye()
    assert stalled(cluster) is None
