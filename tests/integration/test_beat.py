"""The schedule on the page, beside a real broker, worker and beat."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from celery.schedules import crontab, schedule

from parts.beat import Beat
from parts.exporter import Exporter
from parts.processes import wait_for
from parts.valkey import Valkey
from parts.workers import Worker
from workload.scheduled_app import TICK_SECONDS, make_app

INTERVAL = "celery_beat_entry_interval_seconds"
LAST_SEEN = "celery_beat_entry_last_seen_timestamp_seconds"
APP = "workload.scheduled_app"
FAST = ("--worker-interval=1", "--queue-interval=1", "--beat-interval=1")
TICKING = {"entry": "ticking", "task": "scheduled.tick"}
ADDED = {"entry": "added", "task": "scheduled.added"}
HOUR = 3600
EXPECTED = {
    "ticking": TICK_SECONDS,
    "added": TICK_SECONDS,
    "minutely": 60,
    "delta": 36 * HOUR,
    "object": 90,
    "office": 72 * HOUR,
}


@dataclass
class Cluster:
    """A worker and an exporter beside one broker."""

    url: str
    exporter: Exporter

    def intervals(self) -> dict[str, float]:
        """Return the interval on the page by entry."""
        samples = self.exporter.samples([INTERVAL]).items()
        return {dict(labels)["entry"]: value for (_, labels), value in samples}

    def is_overdue(self, labels: dict[str, str]) -> bool:
        """Return what the alert's expression says about an entry."""
        last_seen, interval = self.last_seen(labels), self.exporter.value(INTERVAL, **labels)
        assert interval is not None
        return time.time() - last_seen > 2 * interval

    def last_seen(self, labels: dict[str, str]) -> float:
        value = self.exporter.value(LAST_SEEN, **labels)
        assert value is not None
        return value

    def wait_for_entry(self, labels: dict[str, str]) -> None:
        wait_for(
            lambda: self.exporter.value(INTERVAL, **labels) is not None,
            15,
            f"{labels} on the page\n{self.exporter.child.log_tail()}",
        )

    def wait_until_seen_again(self, labels: dict[str, str]) -> None:
        before = self.last_seen(labels)
        wait_for(lambda: self.last_seen(labels) > before, 15, f"{labels} to be seen again")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with (
        Valkey() as broker,
        Exporter(broker.url, extra=(*FAST, "--expect=elsewhere.report=1h30m")) as exporter,
        Worker(broker.url, "w", app=APP) as worker,
    ):
        worker.ready()
        made = Cluster(broker.url, exporter)
        made.wait_for_entry(TICKING)
        yield made


def test_every_entry_that_can_be_read_is_there_with_its_interval(cluster: Cluster) -> None:
    shown = cluster.intervals()
    # Longer for some days a year: across a change of clocks.
    hour_more = {"office", "minutely"}
    for entry, seconds in EXPECTED.items():
        allowed = {seconds, seconds + HOUR} if entry in hour_more else {seconds}
        assert shown[entry] in allowed, entry


def test_an_entry_whose_schedule_cannot_be_read_is_left_out_with_a_line_in_the_log(
    cluster: Cluster,
) -> None:
    assert "sunset" not in cluster.intervals()
    lines = [line for line in cluster.exporter.child.log_text().splitlines() if "sunset" in line]
    assert len(lines) == 1
    assert "WARNING" in lines[0]


def test_an_expected_task_is_an_entry(cluster: Cluster) -> None:
    expected = {"entry": "elsewhere.report", "task": "elsewhere.report"}
    assert cluster.exporter.value(INTERVAL, **expected) == 1.5 * HOUR
    assert not cluster.is_overdue(expected)


def test_an_entry_is_born_when_it_is_first_seen(cluster: Cluster) -> None:
    office = {"entry": "office", "task": "scheduled.office"}
    assert 0 < time.time() - cluster.last_seen(office) < 300


def test_the_schedule_is_a_source_like_the_others(cluster: Cluster) -> None:
    assert cluster.exporter.value("celery_exporter_sample_success", source="beat") == 1


@pytest.mark.slow
def test_an_entry_is_overdue_while_beat_is_dead(cluster: Cluster) -> None:
    with Beat(cluster.url) as beat:
        cluster.wait_until_seen_again(TICKING)
        assert not cluster.is_overdue(TICKING)
        beat.child.kill()
        killed_at = time.time()
        wait_for(lambda: cluster.is_overdue(TICKING), 15, "the entry to be overdue")
        assert time.time() - killed_at < 2 * TICK_SECONDS + 2
        assert not cluster.is_overdue({"entry": "office", "task": "scheduled.office"})
        beat.start()
        wait_for(lambda: not cluster.is_overdue(TICKING), 15, "the entry to be on time again")


def test_only_what_is_sent_is_seen(cluster: Cluster) -> None:
    office = {"entry": "office", "task": "scheduled.office"}
    before = cluster.last_seen(office)
    with Beat(cluster.url):
        cluster.wait_until_seen_again(ADDED)
        cluster.wait_until_seen_again(TICKING)
    assert cluster.last_seen(office) == before


def test_entries_that_are_only_added_while_the_application_loads_are_found(valkey: Valkey) -> None:
    env = {"WORKLOAD_SCHEDULE": "added"}
    with (
        Exporter(valkey.url, extra=FAST) as exporter,
        Worker(valkey.url, "w", app=APP, env=env),
    ):
        made = Cluster(valkey.url, exporter)
        made.wait_for_entry(ADDED)
        assert made.intervals() == {"added": TICK_SECONDS}


def test_entries_outlive_their_worker_for_a_while(valkey: Valkey) -> None:
    with Exporter(valkey.url, extra=FAST) as exporter:
        made = Cluster(valkey.url, exporter)
        with Worker(valkey.url, "w", app=APP) as worker:
            made.wait_for_entry(TICKING)
        exporter.wait_for_value("celery_worker_up", 0, worker=worker.node)
        samples = exporter.value(
            "celery_exporter_source_last_success_timestamp_seconds", source="beat"
        )
        wait_for(
            lambda: (
                exporter.value(
                    "celery_exporter_source_last_success_timestamp_seconds", source="beat"
                )
                != samples
            ),
            10,
            "another sample",
        )
        assert set(made.intervals()) == set(EXPECTED)


def test_redbeats_entries_are_read_from_redis(valkey: Valkey) -> None:
    from redbeat import RedBeatSchedulerEntry

    app = make_app(valkey.url)
    dynamic = {"entry": "dynamic", "task": "scheduled.tick"}
    RedBeatSchedulerEntry("dynamic", "scheduled.tick", schedule(TICK_SECONDS), app=app).save()
    RedBeatSchedulerEntry("nightly", "scheduled.office", crontab("30", "3"), app=app).save()
    off = RedBeatSchedulerEntry("off", "scheduled.office", schedule(60), app=app, enabled=False)
    off.save()
    with Exporter(valkey.url, extra=FAST) as exporter:
        made = Cluster(valkey.url, exporter)
        made.wait_for_entry(dynamic)
        assert made.intervals().keys() == {"dynamic", "nightly"}
        with (
            Worker(valkey.url, "w", app=APP, env={"WORKLOAD_SCHEDULE": "added"}),
            Beat(
                valkey.url,
                scheduler="redbeat.RedBeatScheduler",
                env={"WORKLOAD_SCHEDULE": "added"},
            ),
        ):
            made.wait_until_seen_again(dynamic)
            # RedBeat has copied the application's own entry.
            made.wait_for_entry(ADDED)
            made.wait_until_seen_again(ADDED)


def test_what_is_switched_off_in_redbeat_is_not_expected(valkey: Valkey) -> None:
    from redbeat import RedBeatSchedulerEntry

    with (
        Exporter(valkey.url, extra=FAST) as exporter,
        Worker(valkey.url, "w", app=APP),
    ):
        made = Cluster(valkey.url, exporter)
        made.wait_for_entry(TICKING)
        off = RedBeatSchedulerEntry(
            "ticking", "scheduled.tick", schedule(1), app=make_app(valkey.url), enabled=False
        )
        off.save()
        exporter.wait_for_value(INTERVAL, None, **TICKING)
        assert "minutely" in made.intervals()


def test_a_key_of_another_type_is_no_schedule(valkey: Valkey) -> None:
    with valkey.client() as client:
        client.set("redbeat::schedule", "mine")
    with Exporter(valkey.url, extra=(*FAST, "--expect=a=5m")) as exporter:
        exporter.wait_for_value(INTERVAL, 300, entry="a", task="a")
        assert exporter.value("celery_exporter_sample_success", source="beat") == 1


def test_a_user_that_may_not_read_redbeats_keys_has_the_rest(valkey: Valkey) -> None:
    keys = ("~_kombu*", "~unacked*", "~*celery*")
    with valkey.client() as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">secret", *keys, "&*", "+@all")
    url = valkey.url.replace("://", "://app:secret@")
    with Exporter(url, extra=(*FAST, "--expect=a=5m")) as exporter:
        exporter.wait_for_value(INTERVAL, 300, entry="a", task="a")
        assert exporter.value("celery_exporter_sample_success", source="beat") == 1
        lines = [line for line in exporter.child.log_text().splitlines() if "RedBeat" in line]
        assert len(lines) == 1
        assert "may not be read" in lines[0]


def test_the_schedule_is_found_beside_rabbitmq(rabbitmq_url: str) -> None:
    with (
        Exporter(rabbitmq_url, extra=FAST) as exporter,
        Worker(rabbitmq_url, "w", app=APP),
        Beat(rabbitmq_url),
    ):
        made = Cluster(rabbitmq_url, exporter)
        made.wait_for_entry(TICKING)
        made.wait_until_seen_again(TICKING)
        made.wait_until_seen_again(ADDED)
