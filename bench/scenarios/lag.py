"""How late is the page while events come: a scrape's time, and an event's way to the page."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple

from bench.consumers import Celeriac
from bench.counts import check
from bench.figures import CELERIAC, Figure, Target
from bench.load import Shape
from bench.marker import Markers
from bench.processes import wait_until_idle
from bench.publishing import Publisher
from bench.recording import recording
from bench.scraper import Scraper
from bench.spread import P99, spread
from bench.stage import Stage
from parts.valkey import Redis

NAME = "lag"
PAGE = f"{NAME}, page while ingesting"
ARRIVAL = f"{NAME}, event to page"
TARGETS: tuple[Target, ...] = (Target(PAGE, P99, 150), Target(ARRIVAL, P99, 100))

# With 200 label sets the page has some 10,000 series.
SHAPE = Shape(workers=50, tasks=20, queues=10)
EVENTS_PER_EXECUTION = 4
PAGE_EVENTS_PER_SECOND = 50_000
ARRIVAL_EVENTS_PER_SECOND = 10_000
PAUSE_SECONDS = 0.05
SERIES = "celery_exporter_series"


class Loads(NamedTuple):
    """What is published while the page is read, and while markers are looked for."""

    page: Publisher
    arrival: Publisher

    @property
    def sent(self) -> Counter[str]:
        return self.page.sent + self.arrival.sent


def measure(stage: Stage) -> Iterator[Figure]:
    """Yield how long a scrape takes at 50,000 events/s, and an event's way at 10,000."""
    with ExitStack() as parts:
        broker = parts.enter_context(Redis())
        loads = _loads(stage, broker.url)
        consumer = parts.enter_context(Celeriac(broker.url))
        scraper = parts.enter_context(Scraper(consumer.page_url))
        markers = parts.enter_context(Markers(broker.url, scraper))
        stage.say(PAGE)
        scrapes = _scrapes(loads.page, scraper)
        wait_until_idle(consumer.pid)
        stage.say(ARRIVAL)
        ways = _ways(loads.arrival, markers)
        wait_until_idle(consumer.pid)
        series = sum(consumer.samples([SERIES]).values())
        counted = consumer.counted()
    yield Figure(PAGE, CELERIAC, "series", series, "series")
    yield from spread(PAGE, CELERIAC, scrapes)
    yield from spread(ARRIVAL, CELERIAC, ways)
    check(CELERIAC, counted, loads.sent + Counter({"task-sent": markers.sent}))


def _loads(stage: Stage, url: str) -> Loads:
    seconds = 24 if stage.is_full else 6
    # Repeated in the full form: each id is forgotten by then.
    page = _shape(6, PAGE_EVENTS_PER_SECOND, first_id=1)
    arrival = _shape(seconds, ARRIVAL_EVENTS_PER_SECOND, first_id=page.executions + 1)
    return Loads(
        _publisher(stage, url, page, PAGE_EVENTS_PER_SECOND, seconds // 6),
        _publisher(stage, url, arrival, ARRIVAL_EVENTS_PER_SECOND, 1),
    )


def _shape(seconds: int, events_per_second: int, first_id: int) -> Shape:
    executions = seconds * events_per_second // EVENTS_PER_EXECUTION
    return replace(SHAPE, executions=executions, first_id=first_id)


def _publisher(stage: Stage, url: str, shape: Shape, rate: float, times: int) -> Publisher:
    return Publisher(url, recording(shape, "redis", stage.folder), stage.folder, rate, times)


def _scrapes(publisher: Publisher, scraper: Scraper) -> list[float]:
    """Return how long each scrape took, from one second after the start to the end."""
    took: list[float] = []
    with publisher:
        time.sleep(1)
        while publisher.is_running:
            took.append(scraper.milliseconds())
            time.sleep(PAUSE_SECONDS)
        publisher.finish()
    return took


def _ways(publisher: Publisher, markers: Markers) -> list[float]:
    """Return how long each marker took to the page."""
    took: list[float] = []
    with publisher:
        markers.introduce()
        time.sleep(1)
        while publisher.is_running:
            took.append(markers.milliseconds_to_page())
            # Never in step with anything in the exporter that comes at intervals.
            time.sleep(random.uniform(0, PAUSE_SECONDS))
        publisher.finish()
    return took
