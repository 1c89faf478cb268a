"""What stays in memory: after a million events, and after thousands of short-lived hosts.

The limits are the default ones, as they are what bounds it. The others are measured in the full
form only, with events no faster than they can take them.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator

import requests

from bench.consumers import Celeriac, Consumer
from bench.counts import check, share_counted
from bench.encoding import Chunk, redis_publish
from bench.figures import CELERIAC, Figure, Target
from bench.fleet import heartbeat
from bench.load import Message, Shape
from bench.others import Start, the_others
from bench.processes import peak_rss_megabytes, rss_megabytes, wait_until_idle
from bench.publisher import publish
from bench.publishing import Publisher
from bench.recording import recording
from bench.stage import Stage
from parts.valkey import Redis

NAME = "memory"
EVENTS, EVENTS_IN_SHORT = (f"{NAME}, {n}" for n in ("1.2 million events", "240,000 events"))
HOSTS = f"{NAME}, 5,000 short-lived hosts"
AFTER, PEAK = "RSS after", "peak RSS of a scrape"
TARGETS = (
    Target(EVENTS, AFTER, 60),
    Target(EVENTS_IN_SHORT, AFTER, 60),
    Target(HOSTS, PEAK, 70),
)
# Within the default limits, so that nobody keeps less than the others.
TASKS, QUEUES = 30, 10
# Each id lives this many times.
TIMES = 3
LIVES = 5_000
LIVES_PER_SCRAPE = 500
TASKS_PER_LIFE = 5
LIFE = Counter(
    {f"worker-{kind}": 1 for kind in ("online", "heartbeat", "offline")}
    | {f"task-{kind}": TASKS_PER_LIFE for kind in ("sent", "received", "started", "succeeded")}
)
SCRAPE_SECONDS = 600.0


def measure(stage: Stage) -> Iterator[Figure]:
    """Yield the resident memory of each consumer."""
    for start, events_per_second in _consumers(stage):
        yield from _after_events(stage, start, events_per_second)
        yield from _after_hosts(stage, start, events_per_second)


def _consumers(stage: Stage) -> Iterator[tuple[Start, float]]:
    """Yield how to start each, and how many events a second it can take."""
    yield lambda url: Celeriac(url, options=()), 40_000
    if stage.is_full:
        yield from ((start, 3_000) for start in the_others(stage.others))


def _after_events(stage: Stage, start: Start, events_per_second: float) -> Iterator[Figure]:
    scenario = EVENTS if stage.is_full else EVENTS_IN_SHORT
    executions = 100_000 if stage.is_full else 20_000
    load = recording(Shape(50, TASKS, QUEUES, executions), "redis", stage.folder)
    with (
        Redis() as broker,
        start(broker.url) as consumer,
        Publisher(broker.url, load, stage.folder, events_per_second, TIMES) as publisher,
    ):
        stage.say(f"{scenario}: {consumer.name}")
        publisher.finish()
        wait_until_idle(consumer.pid)
        _scrape(consumer)
        yield Figure(scenario, consumer.name, AFTER, rss_megabytes(consumer.pid), "MB")
        counted = consumer.counted()
    lost = 1 - share_counted(counted, publisher.sent)
    yield Figure(scenario, consumer.name, "lost", 100 * lost, "%")
    if consumer.name == CELERIAC:
        check(CELERIAC, counted, publisher.sent)


def _after_hosts(stage: Stage, start: Start, events_per_second: float) -> Iterator[Figure]:
    with Redis() as broker, start(broker.url) as consumer:
        stage.say(f"{HOSTS}: {consumer.name}")
        for first in range(0, LIVES, LIVES_PER_SCRAPE):
            lives = map(_life, range(first, first + LIVES_PER_SCRAPE))
            publish(broker.url, lives, events_per_second)
            _scrape(consumer)
        wait_until_idle(consumer.pid)
        _scrape(consumer)
        yield Figure(HOSTS, consumer.name, PEAK, peak_rss_megabytes(consumer.pid), "MB")
        yield Figure(HOSTS, consumer.name, AFTER, rss_megabytes(consumer.pid), "MB")
        counted = consumer.counted()
    if consumer.name == CELERIAC:
        check(CELERIAC, counted, Counter({kind: LIVES * n for kind, n in LIFE.items()}))


def _scrape(consumer: Consumer) -> None:
    requests.get(consumer.page_url, timeout=SCRAPE_SECONDS).raise_for_status()


def _life(number: int) -> Chunk:
    """Return what is heard of one host: it greets, beats, runs some tasks and leaves."""
    host = f"worker@{uuid.UUID(int=number << 64)}"
    tasks = (
        redis_publish(message)
        for place in range(TASKS_PER_LIFE)
        for message in _execution(host, number * TASKS_PER_LIFE + place)
    )
    data = (
        heartbeat(host, kind="online"),
        heartbeat(host),
        *tasks,
        heartbeat(host, kind="offline"),
    )
    return Chunk(b"".join(data), LIFE.total())


def _execution(host: str, number: int) -> Iterator[Message]:
    """Yield the client's message about one task, and the worker's."""
    name, queue = f"shop.tasks.process_order_{number % TASKS}", f"queue-{number % QUEUES}"
    of_task = {"uuid": str(uuid.UUID(int=number)), "name": name, "args": "()", "kwargs": "{}"}
    sent = _event("task-sent", "client@host", **of_task, queue=queue, routing_key=queue)
    yield Message("task.sent", json.dumps(sent).encode(), "client@host", 1)
    done = [
        _event("task-received", host, **of_task, eta=None, retries=0),
        _event("task-started", host, uuid=of_task["uuid"]),
        _event("task-succeeded", host, uuid=of_task["uuid"], result="None", runtime=0.03125),
    ]
    yield Message("task.multi", json.dumps(done).encode(), host, len(done))


def _event(kind: str, hostname: str, **fields: object) -> dict[str, object]:
    of_sender = {"hostname": hostname, "utcoffset": 0, "pid": 4711, "clock": 1}
    return of_sender | fields | {"timestamp": time.time(), "type": kind}
