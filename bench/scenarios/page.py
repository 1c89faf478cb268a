"""How long a scrape takes: 100 workers that answer inspect, pages of three sizes.

Everybody has taken the same events from the same workers before. A page of the others takes
seconds, so they are asked only a few times.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.consumers import Celeriac, Consumer
from bench.counts import check
from bench.figures import CELERIAC, CELERY_EXPORTER, FLOWER, Figure, Target
from bench.fleet import Crew, Fleet
from bench.load import Shape
from bench.others import Start, the_others
from bench.processes import peak_rss_megabytes, rss_megabytes, wait_until_idle
from bench.publishing import publish
from bench.recording import recording
from bench.scraper import Scraper
from bench.spread import P50, P99, p99, spread
from bench.stage import Stage
from parts.processes import wait_for
from parts.valkey import Redis

NAME = "page"
SMALL, LARGE, HUGE = (f"{NAME}, {n} series" for n in ("10,000", "70,000", "1,000,000"))
TAIL, ONE_PAGE, EXTRA = "p99 / p50", "one page", "extra memory"
TARGETS = (
    Target(SMALL, P50, 10),
    Target(SMALL, TAIL, 3),
    Target(SMALL, P50, 200, CELERY_EXPORTER, is_minimum=True),
    Target(SMALL, P50, 6, FLOWER, is_minimum=True),
    Target(LARGE, P50, 100, CELERY_EXPORTER, is_minimum=True),
    Target(LARGE, P50, 10, FLOWER, is_minimum=True),
    Target(HUGE, ONE_PAGE, 1000),
    Target(HUGE, EXTRA, 30),
)
WORKERS = 100
SCRAPES_OF_OTHERS = 3
# Prometheus leaves more; without any, no sample would ever fall between two scrapes.
PAUSE_SECONDS = 0.02
SAMPLED_SECONDS = 30.0


@dataclass(frozen=True)
class Size:
    """A page's size by what has to happen for it: some fifty series a task and queue."""

    scenario: str
    tasks: int
    queues: int
    executions: int
    scrapes: int
    """Of Celeriac; five times as many in the full form."""

    @property
    def shape(self) -> Shape:
        # The fleet sends the heartbeats; here only the first ones, for everybody to know of all.
        return Shape(WORKERS, self.tasks, self.queues, self.executions, 2 * self.executions)

    @property
    def crew(self) -> Crew:
        return Crew(WORKERS, self.tasks, self.queues, held=2)


# Few executions, so that the pages of the others, who count by worker too, are no larger.
SIZES = (Size(SMALL, 50, 3, 450, scrapes=200), Size(LARGE, 130, 10, 2_600, scrapes=40))
HUGE_SIZE = Size(HUGE, 200, 96, 19_200, scrapes=3)


def measure(stage: Stage) -> Iterator[Figure]:
    """Yield how long the pages took."""
    for size in SIZES:
        for start in (Celeriac, *the_others(stage.others)):
            with _filled(stage, size, start) as consumer:
                yield from _figures(stage, size, consumer)
    with _filled(stage, HUGE_SIZE, Celeriac) as consumer:
        yield from _one_page(consumer)


@contextmanager
def _filled(stage: Stage, size: Size, start: Start | type[Celeriac]) -> Iterator[Consumer]:
    """Give a consumer that has counted all events of a size, beside workers that answer."""
    with (
        Redis(options={"client-output-buffer-limit": "pubsub 0 0 0"}) as broker,
        Fleet(broker.url, size.crew),
        start(broker.url) as consumer,
    ):
        stage.say(f"{size.scenario}: {consumer.name}")
        load = recording(size.shape, "redis", stage.folder)
        publish(broker.url, load, stage.folder)
        wait_until_idle(consumer.pid)
        if isinstance(consumer, Celeriac):
            wait_for(lambda: _answered(consumer) == WORKERS, SAMPLED_SECONDS, "all answers")
        yield consumer
        check(consumer.name, _of_tasks(consumer.counted()), _of_tasks(load.by_type))


def _answered(consumer: Celeriac) -> int:
    return len(consumer.samples(["celery_worker_revoked_ids"]))


def _of_tasks(counts: Counter[str]) -> Counter[str]:
    """Leave out the heartbeats: those of the fleet never end."""
    return Counter({kind: n for kind, n in counts.items() if kind.startswith("task-")})


def _figures(stage: Stage, size: Size, consumer: Consumer) -> Iterator[Figure]:
    scenario = size.scenario
    if not isinstance(consumer, Celeriac):
        with Scraper(consumer.page_url) as page:
            took = _milliseconds_each(page, SCRAPES_OF_OTHERS)
            yield Figure(scenario, consumer.name, P50, median(took), "ms")
            yield Figure(scenario, consumer.name, "series", _series(page), "series")
        return
    scrapes = 5 * size.scrapes if stage.is_full else size.scrapes
    with Scraper(consumer.page_url) as page, Scraper(consumer.page_url, "gzip") as zipped:
        # The first one shows at 0 what is new, and remembers label sets.
        _milliseconds_each(page, 2)
        took = _milliseconds_each(page, scrapes)
        took_zipped = _milliseconds_each(zipped, scrapes)
        yield Figure(scenario, CELERIAC, "series", _series(page), "series")
    yield from spread(scenario, CELERIAC, took)
    yield Figure(scenario, CELERIAC, TAIL, p99(took) / median(took), "x")
    yield Figure(scenario, CELERIAC, f"{P50}, gzip", median(took_zipped), "ms")
    yield Figure(scenario, CELERIAC, f"{P99}, gzip", p99(took_zipped), "ms")


def _one_page(consumer: Consumer) -> Iterator[Figure]:
    """Yield what a page costs that is larger than any should be: the first one, and others."""
    with Scraper(consumer.page_url) as page:
        for name, pages in (("first page", 1), (ONE_PAGE, HUGE_SIZE.scrapes)):
            before = rss_megabytes(consumer.pid)
            _forget_peak(consumer.pid)
            took = _milliseconds_each(page, pages)
            extra = peak_rss_megabytes(consumer.pid) - before
            yield Figure(HUGE, CELERIAC, name, median(took), "ms")
            memory = EXTRA if name == ONE_PAGE else f"{EXTRA}, {name}"
            yield Figure(HUGE, CELERIAC, memory, extra, "MB")
        yield Figure(HUGE, CELERIAC, "series", _series(page), "series")


def _forget_peak(pid: int) -> None:
    """Make the kernel's peak of resident memory what is resident now (proc(5))."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _series(scraper: Scraper) -> int:
    return sum(not line.startswith(b"#") for line in scraper.page().splitlines())


def _milliseconds_each(scraper: Scraper, scrapes: int) -> list[float]:
    """Return how long each of several scrapes took."""
    took = []
    for _ in range(scrapes):
        took.append(scraper.milliseconds())
        time.sleep(PAUSE_SECONDS)
    return took
