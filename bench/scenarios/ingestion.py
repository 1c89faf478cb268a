"""What an event costs each consumer, with 5,000 label sets: CPU until it is idle again.

Everybody gets the same load, as fast as it can be published. On Redis the buffer limit is lifted,
so that everybody gets every event; otherwise Redis drops the slow ones. On RabbitMQ events expire
after five seconds in the queue that Celery makes for the others; they are charged only for what
they counted, and ``lost`` says what they did not. A steady rate that the slowest could follow
would measure wake-ups instead.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from bench.consumers import BareReader, Celeriac, Consumer
from bench.counts import check, share_counted
from bench.figures import BARE, CELERIAC, CELERY_EXPORTER, FLOWER, Figure, Target
from bench.load import Shape
from bench.others import Start, the_others
from bench.processes import rss_megabytes, wait_until_idle
from bench.publishing import publish
from bench.recording import Protocol, Recording, recording
from bench.stage import Stage
from parts.rabbitmq import RabbitMQ
from parts.valkey import Redis

NAME = "ingestion"
REDIS, RABBITMQ = f"{NAME}, Redis", f"{NAME}, RabbitMQ"
RATE = "events per CPU second"
TARGETS: tuple[Target, ...] = (
    Target(REDIS, RATE, 25, CELERY_EXPORTER, is_minimum=True),
    Target(REDIS, RATE, 35, FLOWER, is_minimum=True),
    Target(REDIS, RATE, 0.6, BARE, is_minimum=True),
    Target(RABBITMQ, RATE, 10, CELERY_EXPORTER, is_minimum=True),
    Target(RABBITMQ, RATE, 15, FLOWER, is_minimum=True),
)


@dataclass(frozen=True)
class Setting:
    """One kind of broker, and how fast the first load may come for everybody to count it."""

    scenario: str
    protocol: Protocol
    start_broker: Callable[[], Redis | RabbitMQ]
    warm_up_events_per_second: float


SETTINGS = (
    Setting(
        REDIS,
        "redis",
        lambda: Redis(options={"client-output-buffer-limit": "pubsub 0 0 0"}),
        warm_up_events_per_second=math.inf,
    ),
    Setting(RABBITMQ, "amqp", RabbitMQ, warm_up_events_per_second=2_500),
)


class Loads(NamedTuple):
    """One execution of each task in each queue, and then the load that is measured.

    In a short load everybody would mostly make label sets.
    """

    warm_up: Recording
    measured: Recording

    @property
    def sent(self) -> Counter[str]:
        return self.warm_up.by_type + self.measured.by_type


class Run(NamedTuple):
    """What the measured load cost one consumer."""

    events: float
    lost_share: float
    cpu_seconds: float
    rss_megabytes: float


def measure(stage: Stage) -> Iterator[Figure]:
    """Yield what each consumer did, each beside a fresh broker."""
    consumers: tuple[Start, ...] = (Celeriac, BareReader, *the_others(stage.others))
    for setting in SETTINGS:
        loads = _loads(stage, setting.protocol)
        for start in consumers:
            with setting.start_broker() as broker, start(broker.url) as consumer:
                stage.say(f"{setting.scenario}: {consumer.name}")
                run = _run(stage, setting, broker.url, consumer, loads)
            yield from _figures(setting.scenario, consumer.name, run)


def _loads(stage: Stage, protocol: Protocol) -> Loads:
    measured = Shape(executions=100_000 if stage.is_full else 10_000)
    label_sets = measured.tasks * measured.queues
    warm_up = replace(measured, executions=label_sets, first_id=measured.executions + 1)
    return Loads(
        recording(warm_up, protocol, stage.folder), recording(measured, protocol, stage.folder)
    )


def _run(stage: Stage, setting: Setting, url: str, consumer: Consumer, loads: Loads) -> Run:
    publish(url, loads.warm_up, stage.folder, setting.warm_up_events_per_second)
    before = wait_until_idle(consumer.pid)
    publish(url, loads.measured, stage.folder)
    cpu_seconds = wait_until_idle(consumer.pid) - before
    megabytes = rss_megabytes(consumer.pid)
    counted = consumer.counted()
    if consumer.name in (CELERIAC, BARE):
        check(consumer.name, counted, loads.sent)
    share = share_counted(counted - loads.warm_up.by_type, loads.measured.by_type)
    return Run(share * loads.measured.events, 1 - share, cpu_seconds, megabytes)


def _figures(scenario: str, consumer: str, run: Run) -> Iterator[Figure]:
    yield Figure(scenario, consumer, RATE, run.events / run.cpu_seconds, "events/s")
    yield Figure(scenario, consumer, "CPU per event", 1e6 * run.cpu_seconds / run.events, "µs")
    yield Figure(scenario, consumer, "RSS after", run.rss_megabytes, "MB")
    yield Figure(scenario, consumer, "lost", 100 * run.lost_share, "%")
