"""The plan of the load is the same every time, looks like life, and is bounded where it must be."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from celeriac.demo.plan import (
    BURST_EVERY_SECONDS,
    BURST_SIZE,
    BURST_TASK,
    FIRST_BURST_SECONDS,
    STREAMS,
    Publication,
    publications,
)
from celeriac.demo.tasks import app

TEN_MINUTES_SECONDS = 600.0


def planned(until_seconds: float = TEN_MINUTES_SECONDS) -> list[Publication]:
    return list(itertools.takewhile(lambda p: p.at_seconds < until_seconds, publications(1)))


def test_one_seed_gives_one_plan() -> None:
    assert planned() == planned()


def test_another_seed_gives_another_plan() -> None:
    assert next(publications(1)) != next(publications(2))


def test_publications_come_in_the_order_of_time() -> None:
    instants = [publication.at_seconds for publication in planned()]

    assert instants == sorted(instants)


def test_steady_traffic_is_ten_to_twenty_messages_a_second() -> None:
    assert 10 <= len(planned()) / TEN_MINUTES_SECONDS <= 20


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_burst_comes_within_the_first_minute_and_then_every_few(number: int) -> None:
    start = FIRST_BURST_SECONDS + number * BURST_EVERY_SECONDS
    burst = [p for p in planned() if p.task == BURST_TASK and start <= p.at_seconds < start + 6]

    assert FIRST_BURST_SECONDS < 60
    assert len(burst) >= BURST_SIZE


def test_some_messages_have_priorities_countdowns_and_expiry() -> None:
    options = set(itertools.chain.from_iterable(p.options for p in planned()))

    assert options == {"priority", "countdown", "expires"}


def test_some_reminders_are_revoked() -> None:
    revoked = Counter(p.task for p in planned() if p.is_revoked)

    assert revoked.keys() == {"shop.mail.remind"}


def test_the_queue_that_nobody_consumes_stops_growing() -> None:
    archive = next(stream for stream in STREAMS if stream.task == "shop.archive.store")
    # Long enough for twice the cap.
    horizon_seconds = 2 * (archive.at_most or 0) / archive.per_second
    published = sum(p.task == archive.task for p in planned(horizon_seconds))

    assert published == archive.at_most


def test_every_planned_task_but_the_archived_one_is_one_of_the_shop() -> None:
    assert {stream.task for stream in STREAMS} - set(app.tasks) == {"shop.archive.store"}


def test_beat_runs_tasks_of_the_shop() -> None:
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= set(app.tasks)


def test_a_healthy_load_has_no_bursts_and_publishes_only_what_is_consumed() -> None:
    healthy = list(
        itertools.takewhile(lambda p: p.at_seconds < 60, publications(1, is_healthy=True))
    )
    assert "shop.archive.store" not in {publication.task for publication in healthy}
    assert Counter(publication.task for publication in healthy)[BURST_TASK] < BURST_SIZE
