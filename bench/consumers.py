"""Who reads the events: Celeriac, and what it is compared with, each as its users run it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Protocol, Self

import requests

from bench.figures import BARE, CELERIAC
from bench.stage import module
from parts.exporter import Exporter
from parts.processes import Part

# Above the defaults, for more label sets than a page should have.
NO_LIMITS = (
    "--max-tasks=100000", "--max-workers=100000", "--max-queues=100000", "--max-series=5000000",
)  # fmt: skip
PAGE_SECONDS = 60.0
EVENTS = "celery_exporter_events_received_total"
TASK_COUNTERS = {
    f"celery_task_{outcome}_total": f"task-{outcome}"
    for outcome in ("sent", "received", "started", "succeeded", "failed")
}


class Consumer(Protocol):
    """A process beside one broker; entered when it listens to events."""

    name: str
    page_url: str

    @property
    def pid(self) -> int: ...

    def counted(self) -> Counter[str]:
        """Return how many events it has counted, by type; a slow page may take its time."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Celeriac(Exporter):
    """The exporter of this project."""

    name = CELERIAC

    def __init__(self, broker_url: str, options: Sequence[str] = NO_LIMITS) -> None:
        super().__init__(broker_url, extra=options)
        self.page_url = f"{self.url}/metrics"

    def start(self) -> None:
        super().start()
        self.ready()
        # The first page shows what is new at 0; nothing is compared before it.
        self.page()

    @property
    def pid(self) -> int:
        return self.child.pid

    def counted(self) -> Counter[str]:
        """Return what the counters of the tasks add up to; heartbeats as received."""
        # What is new is shown at 0 until a whole page was read.
        requests.get(self.page_url, timeout=PAGE_SECONDS).raise_for_status()
        counts: Counter[str] = Counter()
        for (name, labels), value in self.samples([EVENTS, *TASK_COUNTERS]).items():
            kind = TASK_COUNTERS.get(name) or dict(labels)["type"]
            if name in TASK_COUNTERS or kind not in TASK_COUNTERS.values():
                counts[kind] += int(value)
        return counts


class BareReader(Part):
    """The library's connection and decoder in a loop (``bench.bare``): reads, counts types only."""

    name = BARE
    page_url = ""

    def __init__(self, broker_url: str) -> None:
        super().__init__()
        self.child = self.adopt(module("bare", self.folder, broker_url))

    def start(self) -> None:
        self.child.start()
        self.child.wait_until(lambda: "subscribed" in self.child.log_text(), 20, "subscription")

    @property
    def pid(self) -> int:
        return self.child.pid

    def counted(self) -> Counter[str]:
        """Ask for the counts: it writes them when it ends."""
        self.child.terminate()
        return Counter(json.loads(self.child.log_text().splitlines()[-1]))
