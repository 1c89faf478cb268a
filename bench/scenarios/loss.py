"""Is any event lost when they come as fast as they can, with every limit of the broker as it is?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import requests

from bench.consumers import Celeriac
from bench.counts import check
from bench.figures import CELERIAC, Figure, Target
from bench.load import Shape
from bench.processes import cpu_seconds, wait_until_idle
from bench.publishing import Publisher
from bench.recording import Protocol, recording
from bench.stage import Stage
from parts.processes import wait_for
from parts.rabbitmq import RabbitMQ
from parts.valkey import Redis

NAME = "loss"
REDIS, RABBITMQ = f"{NAME}, Redis", f"{NAME}, RabbitMQ"
LOST, RATE = "lost events", "published"
TARGETS: tuple[Target, ...] = (
    Target(REDIS, LOST, 0),
    Target(REDIS, RATE, 100_000, is_minimum=True),
    Target(RABBITMQ, LOST, 0),
)
SCRAPE_EVERY_SECONDS = 5.0
SCRAPE_SECONDS = 60.0
RECONNECTS = "celery_exporter_reconnects_total"


class Amount(NamedTuple):
    """How many executions, published how many times: ids come again long after their end."""

    executions: int
    times: int


@dataclass(frozen=True)
class Setting:
    """One kind of broker, and the load."""

    scenario: str
    protocol: Protocol
    start_broker: Callable[[], Redis | RabbitMQ]
    events_per_second: float
    full: Amount
    short: Amount


SETTINGS = (
    # A little more than the target, as the publisher never catches up on a pause. For 32 s, or 5.
    Setting(REDIS, "redis", Redis, 101_000, full=Amount(100_000, 8), short=Amount(125_000, 1)),
    # A burst of 1,200,000 events, or of 100,000.
    Setting(RABBITMQ, "amqp", RabbitMQ, math.inf, full=Amount(100_000, 3), short=Amount(25_000, 1)),
)


class Run(NamedTuple):
    """How one load was taken."""

    sent: Counter[str]
    counted: Counter[str]
    events_per_second: float
    cpu_share: float
    reconnects: float


def measure(stage: Stage) -> Iterator[Figure]:
    """Yield what was lost; in the end raise WrongCountError if it is anything."""
    runs: list[Run] = []
    for setting in SETTINGS:
        publisher_of = _publisher(stage, setting)
        with setting.start_broker() as broker, Celeriac(broker.url) as consumer:
            stage.say(setting.scenario)
            runs.append(_run(consumer, publisher_of(broker.url)))
        yield from _figures(setting.scenario, runs[-1])
    for run in runs:
        check(CELERIAC, run.counted, run.sent)


def _publisher(stage: Stage, setting: Setting) -> Callable[[str], Publisher]:
    amount = setting.full if stage.is_full else setting.short
    load = recording(Shape(executions=amount.executions), setting.protocol, stage.folder)
    return lambda url: Publisher(url, load, stage.folder, setting.events_per_second, amount.times)


def _run(consumer: Celeriac, publisher: Publisher) -> Run:
    before = cpu_seconds(consumer.pid)
    with publisher:
        _scrape_while_running(consumer, publisher)
        published = publisher.finish()
    cpu_share = (cpu_seconds(consumer.pid) - before) / published.seconds
    wait_until_idle(consumer.pid)
    return Run(
        publisher.sent,
        consumer.counted(),
        published.events_per_second,
        cpu_share,
        sum(consumer.samples([RECONNECTS]).values()),
    )


def _scrape_while_running(consumer: Celeriac, publisher: Publisher) -> None:
    while publisher.is_running:
        requests.get(consumer.page_url, timeout=SCRAPE_SECONDS).raise_for_status()
        with suppress(TimeoutError):
            wait_for(lambda: not publisher.is_running, SCRAPE_EVERY_SECONDS, "the next scrape")


def _figures(scenario: str, run: Run) -> Iterator[Figure]:
    yield Figure(scenario, CELERIAC, LOST, run.sent.total() - run.counted.total(), "events")
    yield Figure(scenario, CELERIAC, RATE, run.events_per_second, "events/s")
    yield Figure(scenario, CELERIAC, "CPU while published", 100 * run.cpu_share, "%")
    yield Figure(scenario, CELERIAC, "reconnects", run.reconnects, "times")
