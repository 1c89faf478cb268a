"""What a quiet cluster costs: 100 workers without tasks, default intervals, a scrape now and then.

Beside the exporter's CPU it is what it asks of each worker: messages that a worker has to read,
and answers that it has to give. The short form ends before anything is asked that Celeriac asks
once a minute.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis
import requests

from bench.consumers import Celeriac, Consumer
from bench.figures import Figure, Target
from bench.fleet import CONTROL_CHANNEL, Crew, Fleet, answers, command_in, pushed
from bench.others import the_others
from bench.processes import cpu_seconds
from bench.stage import Stage
from parts.valkey import Redis

NAME = "quiet"
SHARE = "CPU of one core"
TARGETS = (Target(NAME, SHARE, 1),)
CREW = Crew(100)
# The first samples ask for more, once.
SETTLED_SECONDS = 15.0
SCRAPE_EVERY_SECONDS = 10.0
SCRAPE_SECONDS = 60.0
PER_MINUTE = "per worker and minute"


def measure(stage: Stage) -> Iterator[Figure]:
    """Yield what each exporter uses, and what it asks of each worker."""
    seconds = 60.0 if stage.is_full else 20.0
    for start in (lambda url: Celeriac(url, options=()), *the_others(stage.others)):
        with (
            Redis() as broker,
            Fleet(broker.url, CREW),
            start(broker.url) as consumer,
            overheard(broker.url) as messages,
        ):
            stage.say(f"{NAME}: {consumer.name}")
            _scrape_for(consumer, SETTLED_SECONDS)
            before, _ = cpu_seconds(consumer.pid), messages()
            _scrape_for(consumer, seconds)
            share = (cpu_seconds(consumer.pid) - before) / seconds
            asked = messages()
        yield Figure(NAME, consumer.name, SHARE, 100 * share, "%")
        yield from _asked_per_minute(consumer.name, asked, 60 / seconds)


def _scrape_for(consumer: Consumer, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        requests.get(consumer.page_url, timeout=SCRAPE_SECONDS).raise_for_status()
        time.sleep(max(0.0, min(began + SCRAPE_EVERY_SECONDS, end) - time.monotonic()))


@contextmanager
def overheard(url: str) -> Iterator[Callable[[], list[bytes]]]:
    """Give a function that returns what was sent to the workers since its last call."""
    with redis.Redis.from_url(url) as client, client.pubsub() as channel:
        channel.subscribe(CONTROL_CHANNEL)
        channel.get_message(timeout=1.0)
        yield lambda: [m["data"] for m in iter(lambda: channel.get_message(timeout=0.0), None)]


def _asked_per_minute(consumer: str, messages: list[bytes], times: float) -> Iterator[Figure]:
    """Yield what one worker read and wrote; all of them get every message."""
    answered = [size for message in messages if (size := _answer_bytes(command_in(message)))]
    for name, value in (
        ("messages", len(messages)),
        ("bytes", sum(map(len, messages))),
        ("answers", len(answered)),
        ("bytes of answers", sum(answered)),
    ):
        unit = "bytes" if "bytes" in name else "messages"
        yield Figure(NAME, consumer, f"{name} {PER_MINUTE}", value * times, unit)


def _answer_bytes(command: dict[str, object]) -> int:
    """Return how much the first worker pushes for a command, 0 if it is not asked."""
    name, *_ = CREW.names()
    said = answers(CREW, 0).get(str(command["method"]))
    is_asked = "ticket" in command and name in (command["destination"] or [name])  # type: ignore[operator]
    return len(pushed(json.dumps({name: said}).encode())) if is_asked and said is not None else 0
