"""The schedule in the state: when an entry was last seen, and how long it stays."""

from __future__ import annotations

import pytest
from cluster import EPOCH, TASK, Cluster, Samples, report, total

from celeriac.model.admission import RESERVED_SERIES, Limits
from celeriac.model.facts import BeatEntry, WorkerConf

INTERVAL = "celery_beat_entry_interval_seconds"
LAST_SEEN = "celery_beat_entry_last_seen_timestamp_seconds"
OVERFLOWS = "celery_exporter_label_overflow_total"
ENTRY = BeatEntry("nightly", TASK, 300.0)
KEY = ("nightly", TASK)


def schedule(cluster: Cluster, *entries: BeatEntry) -> None:
    cluster.state.replace_beat(entries or (ENTRY,), cluster.now)


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    schedule(made)
    return made


def last_seen(cluster: Cluster) -> object:
    """Return when the entry was last seen, in seconds from EPOCH."""
    at = cluster.first(LAST_SEEN).get(KEY)
    return None if at is None else at - EPOCH  # type: ignore[operator]


def test_an_entry_is_shown_with_its_interval(cluster: Cluster) -> None:
    assert cluster.first(INTERVAL) == {KEY: 300.0}


def test_an_entry_is_born_when_it_is_first_seen(cluster: Cluster) -> None:
    cluster.wait(100)
    schedule(cluster)
    assert last_seen(cluster) == 0


@pytest.mark.parametrize("kind", ["sent", "received"])
def test_an_entry_is_seen_with_every_event_that_announces_its_task(
    cluster: Cluster, kind: str
) -> None:
    cluster.wait(60)
    cluster.task(kind, name=TASK, queue="celery", at=50)
    assert last_seen(cluster) == 50


def test_other_events_and_other_tasks_are_no_sign_of_an_entry(cluster: Cluster) -> None:
    cluster.sent("known", at=0)
    cluster.wait(60)
    for kind in ("started", "succeeded", "failed", "retried"):
        cluster.task(kind, "known")
    cluster.sent("other", "app.other")
    assert last_seen(cluster) == 0


def test_the_latest_of_all_queues_counts(cluster: Cluster) -> None:
    cluster.wait(60)
    cluster.sent("1", queue="one", at=50)
    cluster.sent("2", queue="two", at=40)
    assert last_seen(cluster) == 50


def test_an_event_of_before_the_entry_does_not_make_it_older(cluster: Cluster) -> None:
    cluster.sent("1", at=-500)
    assert last_seen(cluster) == 0


def test_nothing_is_seen_in_the_future(cluster: Cluster) -> None:
    cluster.sent("1", at=7200)
    assert last_seen(cluster) == 0


def test_a_clock_that_is_ahead_does_not_keep_an_entry_fresh(cluster: Cluster) -> None:
    cluster.sent("1", at=7200)
    schedule(cluster)
    cluster.wait(100)
    schedule(cluster)
    assert last_seen(cluster) == 0


def test_one_wrong_stamp_does_not_hide_the_right_ones_after_it(cluster: Cluster) -> None:
    cluster.sent("1", at=7200)
    cluster.snapshot()
    cluster.wait(100)
    cluster.sent("2", at=90)
    assert last_seen(cluster) == 90


def test_entries_of_one_task_are_seen_together(cluster: Cluster) -> None:
    schedule(cluster, ENTRY, BeatEntry("hourly", TASK, 3600.0))
    cluster.wait(60)
    cluster.sent("1", at=50)
    assert set(cluster.first(LAST_SEEN).values()) == {EPOCH + 50}


# -- how long it stays ----------------------------------------------------------------------------


def test_an_entry_that_is_not_named_any_more_leaves_no_series(cluster: Cluster) -> None:
    schedule(cluster, BeatEntry("other", TASK, 60.0))
    assert set(cluster.first(INTERVAL)) == {("other", TASK)}


def test_an_empty_schedule_leaves_no_series(cluster: Cluster) -> None:
    cluster.state.replace_beat([], cluster.now)
    assert cluster.first(INTERVAL) == {}


def test_entries_disappear_when_nobody_has_told_them_for_three_minutes(cluster: Cluster) -> None:
    cluster.wait(180)
    assert set(cluster.first(INTERVAL)) == {KEY}
    cluster.wait(1)
    assert cluster.first(INTERVAL) == cluster.first(LAST_SEEN) == {}


def test_an_entry_that_comes_back_within_an_hour_is_as_old_as_it_was(cluster: Cluster) -> None:
    cluster.state.replace_beat([], cluster.now)
    cluster.wait(3600)
    schedule(cluster)
    assert last_seen(cluster) == 0


def test_an_event_while_an_entry_is_away_is_not_forgotten(cluster: Cluster) -> None:
    cluster.state.replace_beat([], cluster.now)
    cluster.wait(600)
    cluster.sent("1", at=500)
    schedule(cluster)
    assert last_seen(cluster) == 500


def test_an_entry_that_comes_back_after_more_than_an_hour_is_new(cluster: Cluster) -> None:
    cluster.wait(10)
    cluster.state.replace_beat([], cluster.now)
    cluster.wait(3600)
    cluster.state.replace_beat([], cluster.now)
    schedule(cluster)
    assert last_seen(cluster) == 3610


def test_after_an_outage_of_more_than_an_hour_every_entry_is_new(cluster: Cluster) -> None:
    cluster.wait(3601)
    schedule(cluster)
    assert last_seen(cluster) == 3601


# -- limits ---------------------------------------------------------------------------------------


def entries(*names: str) -> tuple[BeatEntry, ...]:
    return tuple(BeatEntry(name, TASK, 60.0) for name in names)


def overflow(cluster: Cluster, label: str) -> object:
    return cluster.first(OVERFLOWS).get((label,))


def named(samples: Samples) -> list[str]:
    return sorted(entry for entry, _ in samples)


def test_entries_over_the_limit_are_counted() -> None:
    cluster = Cluster(Limits(beat_entries=2))
    schedule(cluster, *entries("a", "b", "c"))
    assert named(cluster.first(INTERVAL)) == ["a", "b"]
    assert overflow(cluster, "entry") == 1


def test_entries_that_live_keep_their_place() -> None:
    cluster = Cluster(Limits(beat_entries=2))
    schedule(cluster, *entries("x", "y"))
    schedule(cluster, *entries("a", "b", "x", "y"))
    assert named(cluster.first(INTERVAL)) == ["x", "y"]


def test_the_place_of_an_entry_that_is_gone_is_free() -> None:
    cluster = Cluster(Limits(beat_entries=1, series=RESERVED_SERIES + 20))
    for name in "abcdefghijklmnop":
        schedule(cluster, *entries(name))
        assert named(cluster.first(INTERVAL)) == [name]
    assert overflow(cluster, "entry") == overflow(cluster, "series") == 0


def test_entries_take_their_series_from_the_budget() -> None:
    cluster = Cluster(Limits(series=RESERVED_SERIES + 5))
    schedule(cluster, *entries("a", "b", "c", "d"))
    assert named(cluster.first(INTERVAL)) == ["a", "b"]
    assert overflow(cluster, "series") >= 1  # type: ignore[operator]


def test_entries_that_are_stale_give_way() -> None:
    cluster = Cluster(Limits(series=RESERVED_SERIES + 24))
    schedule(cluster, *entries("a", "b", "c", "d", "e", "f"))
    cluster.wait(200)
    cluster.heartbeat()
    assert set(cluster.first("celery_worker_up")) == {("celery@one",)}


def test_of_a_task_over_the_limit_nobody_knows_when_it_was_seen() -> None:
    cluster = Cluster(Limits(tasks=1))
    cluster.sent("1", "app.first")
    schedule(cluster)
    assert set(cluster.first(INTERVAL)) == {KEY}
    assert cluster.first(LAST_SEEN) == {}


def test_the_task_of_an_entry_is_living() -> None:
    cluster = Cluster(Limits(tasks=1))
    schedule(cluster)
    cluster.answer(report())
    cluster.wait(10_000)
    schedule(cluster)
    cluster.answer(report())
    cluster.sent("1", "app.other")
    assert set(cluster.first(LAST_SEEN)) == {KEY}
    assert total(cluster.show("celery_task_sent_total")) == 1


def test_what_is_remembered_is_bounded() -> None:
    cluster = Cluster(Limits(beat_entries=10))
    for number in range(200):
        schedule(cluster, *entries(f"entry {number}"))
    assert len(cluster.state._beat._memories) == 11


# -- who tells the schedule -----------------------------------------------------------------------


def test_a_configuration_is_told_once_however_many_workers_have_it() -> None:
    cluster = Cluster()
    cluster.answer(*(report(f"celery@{n}", conf=WorkerConf("same")) for n in range(3)))
    assert cluster.state.worker_confs(0) == [WorkerConf("same")]


def test_the_configuration_of_a_worker_that_has_left_is_told_by_its_age() -> None:
    cluster = Cluster()
    cluster.answer(report(conf=WorkerConf()))
    cluster.goodbye()
    cluster.wait(100)
    assert cluster.state.worker_confs(cluster.now.mono - 100) == [WorkerConf()]
    assert cluster.state.worker_confs(cluster.now.mono - 99) == []


def test_a_worker_that_did_not_say_has_no_configuration() -> None:
    cluster = Cluster()
    cluster.heartbeat("celery@two")
    cluster.answer(report())
    assert cluster.state.worker_confs(float("-inf")) == []
