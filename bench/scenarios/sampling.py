"""How long the exporter asks: 1,000 workers by every inspect command, 5,000 queues for their depth.

The exporter's own times are read from its page. What asking costs at the least, whoever asks, is
the time of a client that sends the same commands and takes the answers without a look at them.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, NamedTuple

import redis
import requests
from celery import Celery

from bench.consumers import NO_LIMITS, Celeriac
from bench.figures import BARE, CELERIAC, Figure, Target
from bench.fleet import BINDING_SEPARATOR, CONTROL_CHANNEL, REPLY_EXCHANGE, Crew, Fleet, command_in
from bench.scenarios.quiet import overheard
from bench.stage import Stage
from parts.processes import wait_for
from parts.valkey import Redis

NAME = "sampling"
WORKERS, QUEUES = f"{NAME}, 1,000 workers", f"{NAME}, 5,000 queues"
FIVE, EIGHT, UNANSWERED = "five commands", "all eight commands", "missing answers"
SAMPLE, WRONG = "sample", "wrong lengths"
TARGETS = (
    Target(WORKERS, FIVE, 150),
    Target(WORKERS, EIGHT, 150),
    Target(WORKERS, UNANSWERED, 0),
    Target(QUEUES, SAMPLE, 150),
    Target(QUEUES, WRONG, 0),
)
CREW = Crew(1000, held=2)
NUMBER_OF_QUEUES = 5000
COMMANDS = ("stats", "active", "reserved", "scheduled", "active_queues")
SELDOM = ("registered", "conf", "revoked")
# A family that is filled from each of the commands; the queues' families are not by worker.
FILLED_BY_ANSWERS = (
    "celery_worker_pool_processes", "celery_worker_reserved_tasks",
    "celery_worker_scheduled_tasks", "celery_worker_revoked_ids",
)  # fmt: skip
DURATION = "celery_exporter_sample_duration_seconds"
INSPECT, INSPECT_BY_NAME = "celery inspect", "celery inspect, by name"
# Every worker is asked the seldom commands once a minute.
LONGEST_SECONDS = 90.0
SAMPLE_SECONDS = 30.0
POLL_SECONDS = 0.25
# kombu's default steps; the first list has the queue's own name.
PRIORITY_SUFFIXES = ("", *(f"{BINDING_SEPARATOR}{step}" for step in (3, 6, 9)))


def measure(stage: Stage) -> Iterator[Figure]:
    """Yield how long a sample of the workers takes, and one of the queues."""
    stage.say(WORKERS)
    with Redis() as broker, Fleet(broker.url, CREW):
        yield from _workers(broker)
        yield Figure(WORKERS, BARE, FIVE, _median_of_five(_BulkClient(broker.url).ask), "ms")
        yield from _inspect(broker.url)
    stage.say(QUEUES)
    with Redis() as broker:
        yield from _queues(broker, samples=10 if stage.is_full else 5)


# -- the workers ---------------------------------------------------------------------------------


class Sample(NamedTuple):
    """One sample of the workers, and what was asked for it: how many workers, by command."""

    milliseconds: float
    asked: dict[str, int]


def _workers(broker: Redis) -> Iterator[Figure]:
    with (
        Celeriac(broker.url, (*NO_LIMITS, "--worker-interval=1")) as consumer,
        overheard(broker.url) as messages,
    ):
        samples = list(_until_all_eight(consumer, messages))
        missing = _missing_answers(consumer)
    of_all = [s for s in samples if all(n == CREW.workers for n in s.asked.values())]
    for name, commands in ((FIVE, {*COMMANDS}), (EIGHT, {*COMMANDS, *SELDOM})):
        took = [sample.milliseconds for sample in of_all if sample.asked.keys() == commands]
        if took:
            yield Figure(WORKERS, CELERIAC, name, median(took), "ms")
    yield Figure(WORKERS, CELERIAC, UNANSWERED, missing, "answers")


def _until_all_eight(consumer: Celeriac, messages: Callable[[], list[bytes]]) -> Iterator[Sample]:
    """Yield samples, the first ones apart: those look for workers that nobody knows."""
    wait_for(lambda: _active_workers(consumer) == CREW.workers, SAMPLE_SECONDS, "the workers")
    durations, deadline = _durations(consumer, "workers"), time.monotonic() + LONGEST_SECONDS
    next(durations)
    messages()
    for milliseconds in durations:
        sample = Sample(milliseconds, _workers_asked(messages()))
        yield sample
        is_last = sample.asked.keys() == {*COMMANDS, *SELDOM}
        if is_last or time.monotonic() > deadline:
            return


def _active_workers(consumer: Celeriac) -> float:
    return sum(consumer.samples(["celery_active_workers"]).values())


def _missing_answers(consumer: Celeriac) -> float:
    """Return how many workers lack an answer on the page, over all commands."""
    shown = consumer.samples([*FILLED_BY_ANSWERS, "celery_exporter_workers_unanswered"])
    unanswered = shown.pop(("celery_exporter_workers_unanswered", frozenset()))
    return unanswered + len(FILLED_BY_ANSWERS) * CREW.workers - len(shown)


def _workers_asked(messages: list[bytes]) -> dict[str, int]:
    """Return how many workers were asked, by command; who names none asks all."""
    commands = map(command_in, messages)
    return {c["method"]: len(c["destination"] or CREW.names()) for c in commands}


class _BulkClient:
    """Sends five commands at once and takes what comes, unread."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url, protocol=2)
        self._id = str(uuid.uuid4())
        self._key = f"{self._id}.{REPLY_EXCHANGE}"
        member = BINDING_SEPARATOR.join((self._id, "", self._key))
        self._client.sadd(f"_kombu.binding.{REPLY_EXCHANGE}", member)

    def ask(self) -> None:
        commands = [self._message(command) for command in COMMANDS]
        publish = self._client.pipeline(transaction=False)
        for command in commands:
            publish.publish(CONTROL_CHANNEL, command)
        publish.execute()
        missing = len(COMMANDS) * CREW.workers
        while missing:
            if self._client.brpop([self._key], timeout=SAMPLE_SECONDS) is None:
                raise TimeoutError(f"{missing} answers are missing")
            take = self._client.pipeline(transaction=True)
            taken, _ = take.lrange(self._key, 0, -1).delete(self._key).execute()
            missing -= 1 + len(taken)

    def _message(self, method: str) -> bytes:
        reply_to = {"exchange": REPLY_EXCHANGE, "routing_key": self._id}
        command: dict[str, Any] = {
            "method": method, "arguments": {}, "destination": None, "pattern": None,
            "matcher": None, "ticket": str(uuid.uuid4()), "reply_to": reply_to,
        }  # fmt: skip
        return json.dumps(
            {"body": base64.b64encode(json.dumps(command).encode()).decode()}
        ).encode()


def _inspect(url: str) -> Iterator[Figure]:
    """Yield how long Celery's own client takes for five commands in turn."""
    app = Celery("inspect", broker=url, set_as_current=False)
    for consumer, names in ((INSPECT, None), (INSPECT_BY_NAME, CREW.names())):
        inspect = app.control.inspect(names)
        began = time.perf_counter()
        answers = [getattr(inspect, command)() for command in COMMANDS]
        yield Figure(WORKERS, consumer, FIVE, 1e3 * (time.perf_counter() - began), "ms")
        missing = sum(CREW.workers - len(answer or ()) for answer in answers)
        yield Figure(WORKERS, consumer, UNANSWERED, missing, "answers")


# -- the queues ----------------------------------------------------------------------------------


def _queues(broker: Redis, samples: int) -> Iterator[Figure]:
    truth = fill_queues(broker.client(), NUMBER_OF_QUEUES)
    with Celeriac(broker.url, (*NO_LIMITS, "--queue-interval=1")) as consumer:
        wait_for(lambda: _lengths(consumer).keys() >= truth.keys(), SAMPLE_SECONDS, "the queues")
        durations = _durations(consumer, "queues")
        took = [next(durations) for _ in range(samples)]
        shown = _lengths(consumer)
    wrong = sum(shown.get(queue) != length for queue, length in truth.items())
    yield Figure(QUEUES, CELERIAC, SAMPLE, median(took), "ms")
    yield Figure(QUEUES, CELERIAC, WRONG, wrong, "queues")
    pipe = _lengths_pipeline(broker.client(), truth)
    yield Figure(QUEUES, BARE, SAMPLE, _median_of_five(pipe), "ms")


def fill_queues(client: redis.Redis, queues: int) -> dict[str, int]:
    """Make *queues* with messages of every priority; return how many there are in each."""
    truth = {}
    pipe = client.pipeline(transaction=False)
    for number in range(queues):
        name = f"filled-{number}"
        # A queue that Celery makes by itself has an exchange of its own.
        pipe.sadd(f"_kombu.binding.{name}", BINDING_SEPARATOR.join((name, "", name)))
        by_priority = [(number + place) % 5 for place in range(len(PRIORITY_SUFFIXES))]
        for suffix, messages in zip(PRIORITY_SUFFIXES, by_priority, strict=True):
            if messages:
                pipe.rpush(name + suffix, *["{}"] * messages)
        truth[name] = sum(by_priority)
    pipe.execute()
    return truth


def _lengths(consumer: Celeriac) -> dict[str, float]:
    samples = consumer.samples(["celery_queue_length"])
    return {dict(labels)["queue"]: value for (_, labels), value in samples.items()}


def _lengths_pipeline(client: redis.Redis, queues: dict[str, int]) -> Callable[[], None]:
    def ask() -> None:
        pipe = client.pipeline(transaction=False)
        for queue in queues:
            for suffix in PRIORITY_SUFFIXES:
                pipe.llen(queue + suffix)
        if sum(pipe.execute()) != sum(queues.values()):
            raise ValueError("the queues are not as long as they were made")

    return ask


# -- both ----------------------------------------------------------------------------------------


def _durations(consumer: Celeriac, source: str) -> Iterator[float]:
    """Yield how long each sample of a source took, as soon as it has ended, in milliseconds."""
    url = f"{consumer.url}/health"

    def age_seconds() -> float:
        # The page would disturb a sample: it needs the same lock for longer.
        return float(requests.get(url, timeout=5).json()["sources"][source]["age_seconds"])

    while True:
        asked_at, age = time.monotonic(), age_seconds()
        while age_seconds() > age + (waited := time.monotonic() - asked_at) - 0.2:
            if waited > SAMPLE_SECONDS:
                raise TimeoutError(f"no sample of the {source}")
            # Asking more often would be felt in the sample.
            time.sleep(POLL_SECONDS)
        by_source = consumer.samples([DURATION])
        yield 1e3 * by_source[DURATION, frozenset({("source", source)})]


def _median_of_five(ask: Callable[[], None]) -> float:
    took = []
    for _ in range(5):
        began = time.perf_counter()
        ask()
        took.append(1e3 * (time.perf_counter() - began))
    return median(took)
