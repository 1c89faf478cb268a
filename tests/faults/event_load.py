"""Task events at a steady rate, straight to RabbitMQ's event exchange: every id is used once."""

from __future__ import annotations

import json
import threading
import time
from typing import Any, Self

import amqp

from faults.wire_format import EXCHANGE, JSON, task_event
from parts.exporter import Exporter
from parts.processes import wait_for

LIFE = ("sent", "received", "started", "succeeded")
TYPES = tuple(f"task-{kind}" for kind in LIFE)
EVENTS_PER_LIFE, MESSAGES_PER_LIFE = 4, 3
PUBLISH_EVERY_SECONDS = 0.02
COUNT_SECONDS = 60.0
DEFAULT_QUEUE = "celeriac.events.default"
EVENTS = "celery_exporter_events_received_total"


class EventLoad:
    """Publishes the life of one task after another: four events in three messages.

    Entered, it publishes *lives_per_second* until it is left; ``lives`` tells how many so far.
    """

    def __init__(self, url: str, lives_per_second: int = 1500) -> None:
        self._connection = connect(url)
        self._lives_per_second = lives_per_second
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.lives = 0

    def __enter__(self) -> Self:
        self._connection.connect()
        self._channel = self._connection.channel()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()
        self._connection.close()

    def finish(self) -> int:
        """Stop; return the number of lives once the broker has all of them."""
        self._ended.set()
        self._thread.join()
        # Answered after everything that was published on this channel before.
        self._channel.basic_qos(0, 1, a_global=False)
        return self.lives

    def wait_for_more(self, lives: int) -> None:
        """Return when so many more have been published."""
        due = self.lives + lives
        wait_for(lambda: self.lives >= due, 60, f"{lives} more tasks")

    def _run(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(PUBLISH_EVERY_SECONDS):
            due = int((time.monotonic() - began) * self._lives_per_second)
            publish_lives(self._channel, range(self.lives, due))
            self.lives = due


def publish_lives(channel: Any, numbers: range, name: str = "load") -> None:
    """Publish the life of the task with each number as its id."""
    for number in numbers:
        sent, received, started, succeeded = (
            task_event(kind, uuid=str(number), name=name, queue="celery", runtime=0.1)
            for kind in LIFE
        )
        for content in (sent, [received, started], [succeeded]):
            message = amqp.Message(
                json.dumps(content), content_type=JSON, content_encoding="utf-8", delivery_mode=1
            )
            channel.basic_publish(message, EXCHANGE, "task.multi")


def connect(url: str) -> amqp.Connection:
    """Return a connection that is not open yet."""
    credentials, _, rest = url.removeprefix("amqp://").rpartition("@")
    user, _, password = credentials.partition(":")
    host, _, vhost = rest.partition("/")
    return amqp.Connection(
        host, userid=user, password=password, virtual_host=vhost.replace("%2F", "/")
    )


def lives_counted(exporter: Exporter) -> set[int]:
    """Return how many lives the exporter has counted: one number if all four types agree."""
    samples = exporter.samples([EVENTS])
    return {int(samples[EVENTS, frozenset({("type", type_)})]) for type_ in TYPES}


def wait_for_lives(exporter: Exporter, lives: int) -> None:
    """Return when so many lives have been counted to their end, or more."""
    last = {"type": TYPES[-1]}
    exporter.child.wait_until(
        lambda: exporter.sum(EVENTS, **last) >= lives, COUNT_SECONDS, f"{lives} lives"
    )


def ready_messages(channel: Any, queue: str = DEFAULT_QUEUE) -> int:
    """Return how many messages wait and have not been delivered."""
    return int(channel.queue_declare(queue, passive=True).message_count)
