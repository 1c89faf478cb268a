"""Bad events among good ones: each costs only itself, and is counted by its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from faults.brokers import broker
from faults.poison import CANARY, CASES, ODD_RUNTIMES, WRAPPED, Case, receptions, rejections
from faults.wire_format import (
    IS_FULL,
    AmqpPublisher,
    EventMessage,
    Publisher,
    RedisPublisher,
    encode,
    task_event,
)
from parts.exporter import Exporter, Series
from parts.processes import wait_for
from parts.prometheus import promtool_check_metrics

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROUNDS = 1000 if IS_FULL else 50
ARRIVAL_SECONDS = 20.0
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
BROKERS: dict[str, tuple[Any, tuple[Case, ...]]] = {
    "valkey": (RedisPublisher, WRAPPED + CASES),
    "rabbitmq": (AmqpPublisher, CASES),
}
EVENTS = "celery_exporter_events_received_total"
REJECTED = "celery_exporter_events_rejected_total"
RECONNECTS = "celery_exporter_reconnects_total"
# No case holds an event of this type: it ends a stretch of messages.
MARKER = "task-revoked"
GOOD_LIFE = ("sent", "received", "started", "succeeded")
GOOD_RUNTIME_SECONDS = 0.25
NO_RUNTIMES = ("51 no runtime", *(f"54 a runtime of {text}" for text in ODD_RUNTIMES))


@dataclass(frozen=True)
class Counts:
    """What the exporter has counted so far."""

    received: Counter[str]
    rejected: Counter[str]
    reconnects: float

    def since(self, earlier: Counts) -> Counts:
        return Counts(
            self.received - earlier.received,
            self.rejected - earlier.rejected,
            self.reconnects - earlier.reconnects,
        )


class Stand:
    """One broker, one exporter that listens to it, one publisher of anything."""

    def __init__(self, exporter: Exporter, publisher: Publisher, cases: tuple[Case, ...]) -> None:
        self.exporter = exporter
        self.cases = cases
        self._publisher = publisher
        self._markers = 0

    def send(self, *messages: EventMessage) -> None:
        """Publish *messages*; return when the exporter has read the last one."""
        self._publisher.publish([*messages, encode(task_event("revoked", name="marker"))])
        self._markers += 1
        wait_for(lambda: self.counts(with_markers=True).received[MARKER] >= self._markers,
                 ARRIVAL_SECONDS, "the event after the bad ones")  # fmt: skip

    def counts(self, *, with_markers: bool = False) -> Counts:
        samples = self.exporter.samples([EVENTS, REJECTED, RECONNECTS])
        received = _by_label(samples, EVENTS)
        if not with_markers:
            del received[MARKER]
        return Counts(
            received, _by_label(samples, REJECTED), sum(_by_label(samples, RECONNECTS).values())
        )


def _by_label(samples: dict[Series, float], family: str) -> Counter[str]:
    found = {labels: value for (name, labels), value in samples.items() if name == family}
    return Counter({next(iter(labels))[1]: int(value) for labels, value in found.items()})


@dataclass(frozen=True)
class Flood:
    """The page after every case was published many times among good events."""

    stand: Stand
    counted: Counts
    page: str
    openmetrics: str
    samples: dict[Series, float]

    def value(self, name: str, **labels: str) -> float | None:
        return self.samples.get((name, frozenset(labels.items())))


@pytest.fixture(scope="module", params=BROKERS)
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    make_publisher, cases = BROKERS[request.param]
    with (
        broker(request.param, request) as server,
        Exporter(server.url, extra=["--instance=poison"]) as exporter,
        make_publisher(server) as publisher,
    ):
        exporter.ready()
        yield Stand(exporter, publisher, cases)


@pytest.fixture(scope="module")
def flood(stand: Stand) -> Flood:
    before = stand.counts()
    for number in range(ROUNDS):
        messages = (case.message for case in stand.cases)
        stand.send(*_between(messages, _good_life(number)))
    counted = stand.counts().since(before)
    # A series shows 0 on its first page and the true value on the next.
    stand.exporter.page()
    return Flood(
        stand,
        counted,
        stand.exporter.page(),
        stand.exporter.page(accept=OPENMETRICS),
        stand.exporter.samples(),
    )


def _between(bad: Iterator[EventMessage], good: list[EventMessage]) -> Iterator[EventMessage]:
    """Yield a good message after each of the first bad ones, then the rest of the bad ones."""
    for message in good:
        yield next(bad)
        yield message
    yield from bad


def _good_life(number: int) -> list[EventMessage]:
    shared = {"uuid": f"good-{number}", "hostname": "good@host"}
    introduction = {"name": "good.task", "queue": "good"}
    end = {"runtime": GOOD_RUNTIME_SECONDS}
    fields = (introduction, introduction, {}, end)
    return [
        encode(task_event(kind, **(shared | more)))
        for kind, more in zip(GOOD_LIFE, fields, strict=True)
    ]


PAIRS = [
    pytest.param(name, case, id=f"{name}-{case}")
    for name, (_, cases) in BROKERS.items()
    for case in cases
]


@pytest.mark.parametrize(("stand", "case"), PAIRS, indirect=["stand"], scope="module")
def test_a_bad_message_costs_only_itself(stand: Stand, case: Case) -> None:
    before = stand.counts()
    stand.send(case.message)
    expected = Counts(receptions((case,)), rejections((case,)), 0)
    assert stand.counts().since(before) == expected


def test_every_rejection_is_counted_by_its_reason(flood: Flood) -> None:
    due = {reason: ROUNDS * times for reason, times in rejections(flood.stand.cases).items()}
    assert flood.counted.rejected == due


def test_every_event_that_counts_is_counted_by_its_type(flood: Flood) -> None:
    due = receptions(flood.stand.cases) + Counter(f"task-{kind}" for kind in GOOD_LIFE)
    assert flood.counted.received == {kind: ROUNDS * times for kind, times in due.items()}


@pytest.mark.parametrize("kind", GOOD_LIFE)
def test_good_tasks_among_bad_ones_are_counted_exactly(flood: Flood, kind: str) -> None:
    assert flood.value(f"celery_task_{kind}_total", task="good.task", queue="good") == ROUNDS


def test_good_runtimes_among_bad_ones_add_up(flood: Flood) -> None:
    total = flood.value("celery_task_runtime_seconds_sum", task="good.task", queue="good")
    assert total == pytest.approx(ROUNDS * GOOD_RUNTIME_SECONDS)


def test_no_source_connects_again(flood: Flood) -> None:
    family = ((labels, n) for (name, labels), n in flood.samples.items() if name == RECONNECTS)
    assert {labels: value for labels, value in family if value} == {}


def test_the_page_satisfies_promtool(flood: Flood) -> None:
    assert promtool_check_metrics(flood.page) == ""


def test_the_page_is_good_openmetrics(flood: Flood) -> None:
    assert list(text_string_to_metric_families(flood.openmetrics))


def test_no_series_is_on_the_page_twice(flood: Flood) -> None:
    lines = Counter(
        line.rpartition(" ")[0] for line in flood.page.split("\n") if not line.startswith("#")
    )
    del lines[""]
    assert [series for series, times in lines.items() if times > 1] == []


def test_no_pickle_is_opened(flood: Flood) -> None:
    assert not list(flood.stand.exporter.folder.rglob(CANARY))


def test_no_traceback_is_logged(flood: Flood) -> None:
    assert "Traceback" not in flood.stand.exporter.child.log_text()


def test_a_strangers_goodbye_makes_no_series(flood: Flood) -> None:
    assert "stranger@host" not in flood.page


def test_a_host_without_at_sign_is_a_workers_whole_name(flood: Flood) -> None:
    assert flood.value("celery_worker_up", worker="nameless") is not None


def test_a_failure_without_exception_counts_as_other(flood: Flood) -> None:
    labels = {"task": "odd.50 no exception", "queue": "odd", "exception": "other"}
    # Once by itself, then in every round.
    assert flood.value("celery_task_exceptions_total", **labels) == ROUNDS + 1


@pytest.mark.parametrize("runtime", NO_RUNTIMES)
def test_a_success_without_a_runtime_that_is_one_is_counted(flood: Flood, runtime: str) -> None:
    labels = {"task": f"odd.{runtime}", "queue": "odd"}
    assert flood.value("celery_task_succeeded_total", **labels) == ROUNDS + 1


@pytest.mark.parametrize("runtime", NO_RUNTIMES)
def test_a_runtime_that_is_none_is_not_observed(flood: Flood, runtime: str) -> None:
    labels = {"task": f"odd.{runtime}", "queue": "odd"}
    assert flood.value("celery_task_runtime_seconds_count", **labels) is None


def test_an_eta_that_is_none_gives_no_wait(flood: Flood) -> None:
    labels = {"task": "odd.53 an eta of letters", "queue": "odd"}
    assert flood.value("celery_task_queue_wait_seconds_count", **labels) is None


@pytest.mark.parametrize(
    ("kind", "times"), [("received", 2), ("started", 2), ("succeeded", 1), ("failed", 0)]
)
def test_events_out_of_order_count_as_they_arrive(flood: Flood, kind: str, times: int) -> None:
    labels = {"task": "odd.55 out of order", "queue": "odd"}
    # Five cases share this name: five times alone, then five in every round.
    assert flood.value(f"celery_task_{kind}_total", **labels) == times * (ROUNDS + 1)
