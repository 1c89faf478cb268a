"""Single events that can be told from all others, and the time until each is on the page."""

from __future__ import annotations

import json
import re
import socket
import time
import uuid
from typing import Self
from urllib.parse import urlsplit

from bench.encoding import redis_publish
from bench.load import Message
from bench.scraper import Scraper

FAMILY = "celery_task_sent_total"
TASK = "bench.marker"
TIMEOUT_SECONDS = 10.0
PAUSE_SECONDS = 0.001

_VALUE = re.compile(rb'%b\{[^}]*task="%b"[^}]*\} (\S+)' % (FAMILY.encode(), TASK.encode()))


class Markers:
    """Publishes ``task-sent`` events of a task of its own, whose series each lets grow by one."""

    def __init__(self, broker_url: str, scraper: Scraper) -> None:
        address = urlsplit(broker_url)
        self._socket = socket.create_connection((address.hostname, address.port))
        self._answers = self._socket.makefile("rb")
        self._scraper = scraper
        self.sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._socket.close()

    def introduce(self) -> None:
        """Publish the first one: only a whole page ends that a new series is shown at 0."""
        self._publish()
        self._wait_until_shown(query="")

    def milliseconds_to_page(self) -> float:
        """Publish one; return the time from before that until a page with it had been read."""
        began = time.perf_counter()
        self._publish()
        self._wait_until_shown(query=f"name[]={FAMILY}")
        return 1e3 * (time.perf_counter() - began)

    def _publish(self) -> None:
        self._socket.sendall(redis_publish(_marker()))
        self._answers.readline()
        self.sent += 1

    def _wait_until_shown(self, query: str) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while (value := shown(self._scraper.page(query))) < self.sent:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the page shows {value:g} of {self.sent} markers")
            time.sleep(PAUSE_SECONDS)


def shown(page: bytes) -> float:
    """Return how many markers a page shows."""
    found = _VALUE.search(page)
    return float(found[1]) if found else 0.0


def _marker() -> Message:
    event = {
        "type": "task-sent", "uuid": str(uuid.uuid4()), "name": TASK, "queue": "markers",
        "hostname": "marker@host", "timestamp": time.time(), "utcoffset": 0, "clock": 1,
    }  # fmt: skip
    return Message("task.sent", json.dumps(event).encode(), "marker@host", 1)
