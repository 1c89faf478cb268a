"""Whatever is sent, the exporter's memory and its page stay within their figures."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from faults.wire_format import (
    IS_FULL,
    EventMessage,
    RedisPublisher,
    batches,
    encode,
    task_event,
    worker_event,
)
from parts.exporter import Exporter, parse_page
from parts.processes import wait_for
from parts.valkey import Valkey
from parts.workers import Worker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

IDLE_MEGABYTES = 70
EVER_MEGABYTES = 200
GROWTH_MEGABYTES = 20
NOISE_MEGABYTES = 4
MAX_SERIES = 20_000
MAX_PAGE_BYTES = 2_000_000
MAX_LABEL_LENGTH = 1000
PAGE_SECONDS = 1.0
TASK_IDS = 1_000_000 if IS_FULL else 200_000
NAMES = 10_000
REJECTED = "celery_exporter_events_rejected_total"
EVENTS_PER_MESSAGE = 100
# Less than the 8 MB that the server lets a subscriber owe it.
MESSAGES_PER_CHUNK = 60
EVENTS = "celery_exporter_events_received_total"
TRACKED = "celery_exporter_tracked_tasks"
OVERFLOW = "celery_exporter_label_overflow_total"
ARRIVAL_SECONDS = 60.0


@dataclass
class Flooded:
    """An exporter, what is published to it, and the largest figures seen on the way."""

    broker: Valkey
    exporter: Exporter
    publisher: RedisPublisher
    received: int = 0
    slowest_page_seconds: float = 0.0
    largest_rss: float = 0.0
    rss: list[float] = field(default_factory=list)

    def send(self, messages: Iterable[EventMessage], events: int) -> None:
        """Publish *messages*, which carry *events* events; return when all were counted."""
        self.publisher.publish(messages)
        self.received += events
        wait_for(lambda: self.arrived() >= self.received, ARRIVAL_SECONDS, "all events")
        self.largest_rss = max(self.largest_rss, self.exporter.rss_megabytes())

    def send_events(self, events: Iterable[bytes]) -> None:
        """Publish encoded task events in ``task.multi`` messages, no faster than they are read."""
        size, remaining = EVENTS_PER_MESSAGE * MESSAGES_PER_CHUNK, iter(events)
        while chunk := list(itertools.islice(remaining, size)):
            bodies = batches(chunk, EVENTS_PER_MESSAGE)
            self.send([EventMessage(body) for body in bodies], len(chunk))
            self.rss.append(self.exporter.rss_megabytes())

    def page(self) -> str:
        """Return the whole page, which may take a second."""
        began = time.monotonic()
        text = self.exporter.page()
        self.slowest_page_seconds = max(self.slowest_page_seconds, time.monotonic() - began)
        self.largest_rss = max(self.largest_rss, self.exporter.rss_megabytes())
        return text

    def overflow(self, label: str) -> float:
        return self.exporter.sum(OVERFLOW, label=label)

    def arrived(self) -> float:
        """Return how many events the exporter has counted."""
        return sum(self.exporter.samples([EVENTS]).values())


@pytest.fixture
def flooded(valkey: Valkey) -> Iterator[Flooded]:
    with Exporter(valkey.url) as exporter, RedisPublisher(valkey) as publisher:
        exporter.ready()
        exporter.page()
        yield Flooded(valkey, exporter, publisher)


@pytest.fixture
def record(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Keep figures in the report and print them."""

    def keep(**figures: float) -> None:
        for name, value in figures.items():
            record_property(name, round(value, 2))
        print("measured:", ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))

    return keep


def test_an_idle_exporter_is_small(flooded: Flooded, record: Callable[..., None]) -> None:
    flooded.page()
    record(rss_idle_megabytes=flooded.largest_rss)
    assert flooded.largest_rss <= IDLE_MEGABYTES


def test_a_million_task_ids_leave_the_memory_flat(
    flooded: Flooded, record: Callable[..., None]
) -> None:
    flooded.send_events(_lives(1_000))
    flooded.page()
    warm = flooded.exporter.rss_megabytes()
    flooded.rss.clear()
    began = time.monotonic()
    flooded.send_events(_lives(TASK_IDS))
    seconds = time.monotonic() - began
    half = len(flooded.rss) // 2
    growth, drift = max(flooded.rss) - warm, max(flooded.rss[half:]) - max(flooded.rss[:half])
    tracked = flooded.exporter.value(TRACKED) or 0
    record(task_ids=TASK_IDS, rss_warm_megabytes=warm, rss_growth_megabytes=growth,
           rss_drift_of_last_half_megabytes=drift, tracked_tasks=tracked,
           events_per_second=flooded.received / seconds)  # fmt: skip
    assert tracked <= 60_000
    assert growth <= GROWTH_MEGABYTES
    assert drift <= NOISE_MEGABYTES


def test_ten_thousand_task_names_stay_within_the_page(
    flooded: Flooded, record: Callable[..., None]
) -> None:
    flooded.send_events(
        event for number in range(NAMES) for event in _life(f"shop.tasks.task_{number}", "celery")
    )
    _require_bounded_page(flooded, record)
    assert flooded.overflow("task") > 0
    assert flooded.exporter.sum("celery_task_sent_total") == NAMES


def test_ten_thousand_queues_stay_within_the_page(
    flooded: Flooded, record: Callable[..., None]
) -> None:
    flooded.send_events(
        event for number in range(NAMES) for event in _life("shop.tasks.task", f"queue-{number}")
    )
    _require_bounded_page(flooded, record)
    assert flooded.overflow("queue") > 0
    assert flooded.exporter.sum("celery_task_sent_total") == NAMES


def test_ten_thousand_exceptions_stay_within_the_page(
    flooded: Flooded, record: Callable[..., None]
) -> None:
    labels = {"name": "shop.tasks.task", "queue": "celery"}
    flooded.send_events(
        _encoded("failed", f"id-{n}", exception=f"Error{n}('x')", **labels) for n in range(NAMES)
    )
    _require_bounded_page(flooded, record)
    assert flooded.overflow("exception") > 0
    assert flooded.exporter.sum("celery_task_exceptions_total") == NAMES


@pytest.mark.parametrize("is_polite", [True, False], ids=["with a goodbye", "without a goodbye"])
def test_ten_thousand_workers_leave_a_living_one_its_series(
    flooded: Flooded, record: Callable[..., None], is_polite: bool
) -> None:
    with Worker(flooded.broker.url, "living", pool="solo") as living:
        living.ready()
        flooded.exporter.wait_for_value("celery_worker_pool_processes", 1, worker=living.node)
        _pass_through(flooded, "shop-7d9f8b6c5d-{}@10.0.0.1", is_polite=is_polite)
        _require_bounded_page(flooded, record)
        assert flooded.exporter.value("celery_worker_up", worker=living.node) == 1
        assert flooded.exporter.value("celery_worker_processed_total", worker=living.node) == 0


def test_a_newcomer_gets_the_room_of_those_who_fell_silent(flooded: Flooded) -> None:
    _pass_through(flooded, "shop-7d9f8b6c5d-{}@10.0.0.1", is_polite=False, count=1_000)
    with Worker(flooded.broker.url, "newcomer", pool="solo") as newcomer:
        flooded.exporter.wait_for_value(
            "celery_worker_up", 1, worker=newcomer.node, timeout_seconds=40
        )


def test_long_names_of_workers_stay_within_the_memory(
    flooded: Flooded, record: Callable[..., None]
) -> None:
    _pass_through(flooded, "{}" + "x" * 480 + "@h", is_polite=True)
    flooded.page()
    record(rss_largest_megabytes=flooded.largest_rss)
    assert flooded.largest_rss <= EVER_MEGABYTES


def test_names_of_tasks_beyond_the_limit_are_not_remembered(
    flooded: Flooded, record: Callable[..., None]
) -> None:
    flooded.send_events(_sent_once(60_000))
    warm = flooded.exporter.rss_megabytes()
    flooded.send_events(_sent_once(60_000, start=60_000))
    growth = flooded.exporter.rss_megabytes() - warm
    record(rss_growth_megabytes=growth)
    assert growth <= GROWTH_MEGABYTES


def test_long_exceptions_are_not_held(flooded: Flooded, record: Callable[..., None]) -> None:
    """A failure whose queue is not known yet waits; the text of its exception does not."""
    exception = f"ValueError('{'x' * 1_500_000}')"
    for number in range(150):
        event = task_event("failed", uuid=f"id-{number}", name="shop.task", exception=exception)
        flooded.send([encode(event)], 1)
    record(rss_largest_megabytes=flooded.largest_rss)
    assert flooded.largest_rss <= EVER_MEGABYTES


def test_a_routing_key_of_10_kb_makes_no_label(flooded: Flooded) -> None:
    flooded.send([encode(task_event("sent", name="shop.task", routing_key="x" * 10_000))], 0)
    flooded.exporter.wait_for_value(REJECTED, 1, reason="event")
    assert _longest_label(flooded.exporter) <= MAX_LABEL_LENGTH


def test_a_version_of_10_kb_makes_no_label(flooded: Flooded) -> None:
    flooded.send([encode(worker_event("heartbeat", "w@h", sw_ver="x" * 10_000))], 0)
    flooded.exporter.wait_for_value(REJECTED, 1, reason="event")
    assert _longest_label(flooded.exporter) <= MAX_LABEL_LENGTH


def test_two_workers_that_print_alike_make_no_series_twice(flooded: Flooded) -> None:
    flooded.send(
        [
            encode(worker_event("heartbeat", name), "worker.heartbeat")
            for name in ("w\ud800@h", "w\ud801@h", "w?@h")
        ],
        3,
    )
    text = flooded.page()
    lines = [line.rpartition(" ")[0] for line in text.split("\n") if line and line[0] != "#"]
    assert sorted(set(lines)) == sorted(lines)


def _longest_label(exporter: Exporter) -> int:
    return max(len(value) for _, labels in exporter.samples() for _, value in labels)


def _pass_through(flooded: Flooded, pattern: str, *, is_polite: bool, count: int = NAMES) -> None:
    """Let *count* workers come and go, with a scrape after every five hundred."""
    kinds = ("online", "heartbeat", "offline")[: 3 if is_polite else 2]
    for first in range(0, count, 500):
        names = [pattern.format(number) for number in range(first, first + 500)]
        messages = [
            encode(worker_event(kind, name, pid=number), f"worker.{kind}")
            for number, name in enumerate(names)
            for kind in kinds
        ]
        flooded.received = int(flooded.arrived())
        flooded.send(messages, len(messages))
        flooded.page()


def _require_bounded_page(flooded: Flooded, record: Callable[..., None]) -> None:
    flooded.page()
    text = flooded.page()
    series = len(parse_page(text))
    record(series=series, page_bytes=len(text.encode()),
           slowest_page_seconds=flooded.slowest_page_seconds,
           rss_largest_megabytes=flooded.largest_rss)  # fmt: skip
    assert series <= MAX_SERIES
    assert len(text.encode()) <= MAX_PAGE_BYTES
    assert flooded.slowest_page_seconds <= PAGE_SECONDS
    assert flooded.largest_rss <= EVER_MEGABYTES


def _lives(count: int) -> Iterator[bytes]:
    """Yield the events of *count* new ids: every second one ends, the others never do."""
    labels = {"name": "shop.tasks.task", "queue": "celery"}
    for number in range(count):
        task_id = str(uuid.uuid4())
        yield _encoded("received", task_id, **labels)
        if number % 2:
            yield _encoded("started", task_id)
            yield _encoded("succeeded", task_id, runtime=0.1)


def _life(task: str, queue: str) -> Iterator[bytes]:
    task_id = str(uuid.uuid4())
    yield _encoded("sent", task_id, name=task, queue=queue)
    yield _encoded("received", task_id, name=task)
    yield _encoded("started", task_id)
    yield _encoded("succeeded", task_id, runtime=0.1)


def _sent_once(count: int, start: int = 0) -> Iterator[bytes]:
    for number in range(start, start + count):
        name = f"{number}.{'x' * 450}"
        yield _encoded("sent", f"id-{number}", name=name, queue="celery")


def _encoded(kind: str, task_id: str, **fields: object) -> bytes:
    return json.dumps(task_event(kind, uuid=task_id, **fields)).encode()
