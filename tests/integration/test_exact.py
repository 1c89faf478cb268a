"""Two thousand tasks on real workers, and every number on the page is right."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from parts.exporter import Exporter
from parts.processes import wait_for
from parts.rabbitmq import RabbitMQ
from parts.valkey import Valkey
from workload.driver import run_workload
from workload.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parts.exporter import Series
    from workload.truth import Truth

pytestmark = pytest.mark.slow

TOTAL = 2000
SETTLE_SECONDS = 20.0
BROKERS = {"valkey": (Valkey, False), "rabbitmq": (RabbitMQ, False), "quorum": (RabbitMQ, True)}
HEARTBEAT = "celery_worker_last_heartbeat_timestamp_seconds"
COUNTERS = {
    "celery_task_sent_total",
    "celery_task_received_total",
    "celery_task_started_total",
    "celery_task_succeeded_total",
    "celery_task_failed_total",
    "celery_task_retried_total",
    "celery_task_rejected_total",
    "celery_task_revoked_total",
    "celery_task_exceptions_total",
}


@dataclass
class Page:
    """The page after a workload, and the truth about it."""

    truth: Truth
    samples: dict[Series, float]

    def of_family(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return what is not 0 of one series name, by the values of the labels named."""
        return {
            tuple(dict(its)[label] for label in labels): value
            for (found, its), value in self.samples.items()
            if found == name and value
        }


@pytest.fixture(scope="module", params=BROKERS)
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    make_broker, is_quorum = BROKERS[request.param]
    with (
        make_broker() as broker,
        Fleet(broker.url, quorum=is_quorum) as fleet,
        Exporter(broker.url) as exporter,
    ):
        exporter.ready()
        truth = run_workload(fleet, TOTAL)
        _wait_for_heartbeats(exporter, fleet)
        # A series shows 0 on its first page and the true value on the next.
        exporter.page()
        yield Page(truth, exporter.samples())


def test_every_counter_of_tasks_equals_the_truth(page: Page) -> None:
    """Label by label: a series that should not be there is as wrong as a wrong value."""
    counted = {series: value for series, value in page.samples.items() if series[0] in COUNTERS}
    assert {series: value for series, value in counted.items() if value} == page.truth.counters


def test_no_series_has_a_queue_that_is_unknown(page: Page) -> None:
    of_nobody = [series for series in page.samples if ("queue", "unknown") in series[1]]
    assert of_nobody == []


def test_every_success_has_a_runtime(page: Page) -> None:
    succeeded = page.of_family("celery_task_succeeded_total", "task", "queue")
    assert page.of_family("celery_task_runtime_seconds_count", "task", "queue") == succeeded


def test_every_start_has_a_prefetch_wait(page: Page) -> None:
    """Except of retries, of which prefork may receive the second before it reports the first start.

    The child has published the retry by the time its worker reads that it has started.
    """
    started = page.of_family("celery_task_started_total", "task", "queue")
    waits = page.of_family("celery_task_prefetch_wait_seconds_count", "task", "queue")
    assert _without_retries(waits) == _without_retries(started)


@pytest.mark.parametrize("wait", ["queue", "prefetch"])
def test_no_start_has_two_waits(page: Page, wait: str) -> None:
    started = page.of_family("celery_task_started_total", "task", "queue")
    waits = page.of_family(f"celery_task_{wait}_wait_seconds_count", "task", "queue")
    assert {key: count for key, count in waits.items() if count > started[key]} == {}


def test_nearly_every_start_has_a_queue_wait(page: Page) -> None:
    """Not all: task-sent is stamped after the publish, so a quick start can come before it."""
    started = sum(page.of_family("celery_task_started_total", "task", "queue").values())
    waits = page.of_family("celery_task_queue_wait_seconds_count", "task", "queue")
    assert sum(waits.values()) >= 0.8 * started


def test_each_worker_finished_what_it_was_given(page: Page) -> None:
    """A rejected task fails as well and is finished once, whichever of the two it is called."""
    finished: Counter[tuple[str, str]] = Counter()
    rows = page.of_family("celery_worker_tasks_finished_total", "worker", "outcome")
    for (worker, outcome), count in rows.items():
        finished[worker, "failed" if outcome == "rejected" else outcome] += int(count)
    assert finished == page.truth.worker_outcomes


def test_each_worker_processed_what_it_started(page: Page) -> None:
    started = {
        (worker,): count
        for (worker, event), count in page.truth.worker_events.items()
        if event == "started"
    }
    assert page.of_family("celery_worker_processed_total", "worker") == started


def test_every_event_was_received_once(page: Page) -> None:
    types = {f"task-{count.event}" for count in page.truth.events}
    received = page.of_family("celery_exporter_events_received_total", "type")
    of_tasks = {type_: count for (type_,), count in received.items() if type_ in types}
    sent: Counter[str] = Counter()
    for count, times in page.truth.events.items():
        sent[f"task-{count.event}"] += times
    assert of_tasks == sent


def test_no_event_was_unmatched(page: Page) -> None:
    assert page.samples["celery_exporter_events_unmatched_total", frozenset()] == 0


def test_no_event_was_rejected(page: Page) -> None:
    assert page.of_family("celery_exporter_events_rejected_total", "reason") == {}


def _without_retries(counts: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    return {key: count for key, count in counts.items() if key[0] != "workload.retry"}


def _wait_for_heartbeats(exporter: Exporter, fleet: Fleet) -> None:
    """Return after three heartbeats of every worker.

    What a worker sent before them has arrived, ``processed`` has told of its last task, and
    the growth of ``processed`` was compared with the events.
    """
    for _ in range(3):
        last = _heartbeats(exporter, fleet)
        is_later = partial(_are_all_later, exporter, fleet, last)
        wait_for(is_later, SETTLE_SECONDS, "a heartbeat of every worker")


def _are_all_later(exporter: Exporter, fleet: Fleet, last: list[float]) -> bool:
    pairs = zip(_heartbeats(exporter, fleet), last, strict=True)
    return all(new > old for new, old in pairs)


def _heartbeats(exporter: Exporter, fleet: Fleet) -> list[float]:
    samples = exporter.samples([HEARTBEAT])
    return [samples[HEARTBEAT, frozenset({("worker", node)})] for node in fleet.nodes]
