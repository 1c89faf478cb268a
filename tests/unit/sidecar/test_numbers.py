"""The live object: what a page says, how old it is, what is wrong."""

from __future__ import annotations

import pytest
from exporter_pages import NOW, Told, gauge, page, series

from celeriac.clients.exporter_page import Page
from celeriac.sidecar.numbers import LiveNumbers, Now, Picture, live_numbers, nothing
from celeriac.sidecar.rates import Growth, Lately

TAKEN = Now(NOW, 1000.0)
STALE_AFTER_SECONDS = 30.0


def seen(
    of: Page, *, later_seconds: float = 0, is_away: bool = False, lately: Lately | None = None
) -> LiveNumbers:
    """Return the live object of a page, some time after it was had."""
    picture = Picture(of, lately or Lately(), TAKEN, is_away=is_away)
    now = Now(NOW + later_seconds, TAKEN.mono + later_seconds)
    return live_numbers(picture, now, STALE_AFTER_SECONDS)


def test_it_says_what_the_page_says() -> None:
    live = seen(
        page(
            gauge("celery_worker_up", "worker", {"a": 1, "b": 1, "c": 0}),
            gauge("celery_worker_active_tasks", "worker", {"a": 2, "b": 1}),
            gauge("celery_worker_reserved_tasks", "worker", {"a": 4}),
            gauge("celery_worker_scheduled_tasks", "worker", {"b": 8}),
            gauge("celery_queue_length", "queue", {"celery": 5, "mail": 7}),
            series("celery_active_workers", 2),
        )
    )
    assert (live.active_workers, live.total_workers) == (2, 3)
    assert (live.processing_tasks, live.reserved_tasks, live.scheduled_tasks) == (3, 4, 8)
    assert (live.pending_tasks, live.queue_lengths) == (12, {"celery": 5, "mail": 7})


def test_a_gauge_nobody_has_is_0_if_its_source_works() -> None:
    assert seen(page()).pending_tasks == 0


def test_a_gauge_whose_source_fails_is_unknown() -> None:
    failing = gauge("celery_exporter_sample_success", "source", {"queues": 0})
    live = seen(page(failing))
    assert (live.pending_tasks, live.processing_tasks) == (None, 0)


def test_its_age_is_that_of_the_oldest_source() -> None:
    assert seen(page(workers=NOW - 9)).data_age_seconds == 9.0


def test_its_age_grows_without_a_new_page() -> None:
    assert seen(page(workers=NOW - 9), later_seconds=4).data_age_seconds == 13.0


def test_its_age_does_not_depend_on_whose_clock_is_ahead() -> None:
    assert seen(page(served_at=NOW + 3600)).data_age_seconds == 0.0


def test_a_source_that_never_worked_has_no_age() -> None:
    live = seen(page(workers=0))
    assert (live.data_age_seconds, live.stale) == (None, True)


def test_fresh_numbers_are_not_stale() -> None:
    live = seen(page())
    assert (live.stale, live.system_health, live.system_health_reasons) == (False, "healthy", [])


@pytest.mark.parametrize(
    "live",
    [
        seen(page(queues=NOW - 31)),
        seen(page(), later_seconds=31),
        seen(page(), is_away=True),
        seen(page(gauge("celery_exporter_sample_success", "source", {"events": 0}))),
    ],
    ids=["old source", "old page", "exporter away", "source fails"],
)
def test_numbers_are_stale(live: LiveNumbers) -> None:
    assert live.stale


def test_without_any_page_everything_is_unknown() -> None:
    live = live_numbers(nothing(TAKEN), TAKEN, STALE_AFTER_SECONDS)
    assert (live.active_workers, live.pending_tasks, live.current_throughput) == (None, None, None)
    assert (live.stale, live.system_health, live.data_age_seconds) == (True, "unhealthy", None)
    assert live.system_health_reasons == ["the exporter does not answer"]


FAILED = Lately(10.0, Growth(succeeded=8, failed=2), {})


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (series("celery_broker_up", 0), "the broker does not answer"),
        (series("celery_active_workers", 0), "no worker is up"),
    ],
)
def test_unhealthy(part: Told, reason: str) -> None:
    live = seen(page(part))
    assert (live.system_health, live.system_health_reasons[0]) == ("unhealthy", reason)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (
            [gauge("celery_exporter_sample_success", "source", {"workers": 0})],
            "the exporter cannot sample: workers",
        ),
        ([series("celery_expected_workers", 3)], "1 of 3 expected workers are up"),
        (
            [
                gauge("celery_worker_up", "worker", {"a": 0, "b": 1}),
                gauge("celery_worker_last_heartbeat_timestamp_seconds", "worker", {"a": NOW - 299}),
            ],
            "went down in the last five minutes: a",
        ),
        ([gauge("celery_worker_stalled", "worker", {"a": 1, "b": 0})], "stalled: a"),
        (
            [
                gauge("celery_queue_length", "queue", {"mail": 3, "empty": 0, "served": 3}),
                gauge("celery_queue_consumers", "queue", {"mail": 0, "empty": 0, "served": 1}),
            ],
            "queues with messages that nobody consumes: mail",
        ),
    ],
)
def test_degraded(parts: list[Told], reason: str) -> None:
    live = seen(page(*parts))
    assert (live.system_health, live.system_health_reasons) == ("degraded", [reason])


def test_more_than_a_tenth_of_failures_is_degraded() -> None:
    live = seen(page(), lately=FAILED)
    assert live.system_health_reasons == ["20 % of the tasks that ended lately failed"]


def test_a_few_tasks_say_nothing_about_the_whole() -> None:
    assert seen(page(), lately=Lately(10.0, Growth(failed=9), {})).system_health == "healthy"


def test_a_worker_that_went_down_long_ago_is_no_news() -> None:
    down = gauge("celery_worker_up", "worker", {"a": 0})
    heartbeat = gauge("celery_worker_last_heartbeat_timestamp_seconds", "worker", {"a": NOW - 301})
    assert seen(page(down, heartbeat)).system_health == "healthy"


def test_old_numbers_are_degraded() -> None:
    assert seen(page(queues=NOW - 31)).system_health_reasons == ["the numbers are old"]


def test_the_worst_comes_first() -> None:
    live = seen(page(series("celery_broker_up", 0), series("celery_expected_workers", 3)))
    assert live.system_health == "unhealthy"
    assert len(live.system_health_reasons) == 2


def test_a_reason_names_three_and_counts_the_rest() -> None:
    stalled = gauge("celery_worker_stalled", "worker", dict.fromkeys("edcba", 1.0))
    assert seen(page(stalled)).system_health_reasons == ["stalled: a, b, c and 2 more"]
