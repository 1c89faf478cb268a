"""What happened lately, from successive pages of counters."""

from __future__ import annotations

import pytest
from exporter_pages import page, series, task

from celeriac.clients.exporter_page import Page
from celeriac.sidecar.rates import Lately, Rates

ENDED = "celery_worker_tasks_finished_total"


def lately(*pages: Page, seconds: float = 1.0, window_seconds: float = 10.0) -> Lately:
    """Return what the last of pages polled so many seconds apart says of the window."""
    rates = Rates(window_seconds)
    return [rates.take(one, number * seconds) for number, one in enumerate(pages)][-1]


def test_one_page_tells_no_rate() -> None:
    first = lately(page(task("succeeded_total", 7)))
    assert (first.throughput, first.total.error_rate_percent, first.seconds) == (None, None, 0.0)


def test_throughput_is_what_ended_per_second() -> None:
    found = lately(page(task("succeeded_total", 7)), page(task("succeeded_total", 17)), seconds=2)
    assert found.throughput == 5.0


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "rejected", "revoked"])
def test_every_outcome_is_an_end(outcome: str) -> None:
    assert lately(page(), page(task(f"{outcome}_total", 3))).total.finished == 3


@pytest.mark.parametrize("outcome", ["retried", "sent", "received", "started"])
def test_nothing_else_is_an_end(outcome: str) -> None:
    assert lately(page(), page(task(f"{outcome}_total", 3))).total.finished == 0


def test_the_error_rate_is_the_failed_share_of_what_ended() -> None:
    after = page(task("succeeded_total", 3), task("failed_total", 1), task("retried_total", 9))
    assert lately(page(), after).total.error_rate_percent == 25.0


def test_there_is_no_error_rate_when_nothing_ended() -> None:
    same = page(task("failed_total", 5))
    assert lately(same, same).total.error_rate_percent is None


def test_there_is_no_mean_when_nothing_ran() -> None:
    same = page(task("runtime_seconds_sum", 5), task("runtime_seconds_count", 5))
    assert lately(same, same).total.mean_runtime_ms is None


def test_the_mean_is_of_what_ran_lately_only() -> None:
    before = page(task("runtime_seconds_sum", 100), task("runtime_seconds_count", 1))
    after = page(task("runtime_seconds_sum", 101), task("runtime_seconds_count", 5))
    assert lately(before, after).total.mean_runtime_ms == 250.0


def test_a_counter_that_fell_began_again_at_0() -> None:
    found = lately(page(task("succeeded_total", 100)), page(task("succeeded_total", 4)))
    assert found.total.finished == 4


def test_a_new_exporter_process_counts_from_0() -> None:
    """Even where it has already counted more than the one before."""
    before, after = page(task("succeeded_total", 4)), page(task("succeeded_total", 5), started_at=2)
    assert lately(before, after).total.finished == 5


def test_a_series_that_is_new_counts_from_0() -> None:
    after = page(task("succeeded_total", 4), task("succeeded_total", 2, queue="mail"))
    assert lately(page(task("succeeded_total", 4)), after).total.finished == 2


def test_a_series_that_vanished_takes_nothing_away() -> None:
    assert lately(page(task("succeeded_total", 4)), page()).total.finished == 0


def test_a_task_that_fails_and_rejects_itself_ended_once() -> None:
    after = page(task("failed_total", 3), task("rejected_total", 2))
    assert lately(page(), after).tasks["app.add"].finished == 3


def test_the_workers_count_each_task_once() -> None:
    after = page(
        task("failed_total", 3, name="a"),
        task("rejected_total", 3, name="b"),
        series(ENDED, 3, worker="w", outcome="failed"),
    )
    assert lately(page(series(ENDED, 0, worker="w", outcome="failed")), after).total.finished == 3


def test_an_outcome_nobody_knows_is_passed_over() -> None:
    found = lately(page(), page(series(ENDED, 3, worker="w", outcome="runtime_seconds")))
    assert (found.total.finished, found.total.runtime_seconds) == (0, 0)


def test_the_window_forgets_what_is_older() -> None:
    counts = [0, 50, 50, 50, 53]
    pages = [page(task("succeeded_total", count)) for count in counts]
    found = lately(*pages, window_seconds=3)
    assert (found.total.finished, found.seconds) == (3, 3)


def test_a_last_step_longer_than_the_window_counts_whole() -> None:
    pages = [page(task("succeeded_total", count)) for count in (0, 5, 65)]
    found = lately(*pages, seconds=60)
    assert (found.throughput, found.seconds) == (1.0, 60)


def test_a_task_over_several_queues_is_one() -> None:
    after = page(task("succeeded_total", 4), task("succeeded_total", 2, queue="mail"))
    assert lately(page(), after).tasks["app.add"].succeeded == 6
