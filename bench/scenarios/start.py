"""How soon is it there: from exec to the first complete page, and the time of ``--help``."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

from bench.consumers import Celeriac
from bench.figures import CELERIAC, Figure, Target
from bench.fleet import Crew, Fleet
from bench.stage import Stage
from parts.processes import inherited_environment
from parts.valkey import Redis

NAME = "start"
FIRST_PAGE, HELP = "first complete page", "--help"
TARGETS = (Target(NAME, FIRST_PAGE, 2), Target(NAME, HELP, 0.4))
CREW = Crew(100)
TIMES = 5
LONGEST_SECONDS = 30.0
# One family of heartbeats and one of answers.
COMPLETE_FAMILIES = ("celery_worker_up", "celery_worker_pool_processes")


def measure(stage: Stage) -> Iterator[Figure]:
    """Yield seconds."""
    stage.say(NAME)
    yield Figure(NAME, CELERIAC, HELP, median(_help_seconds() for _ in range(TIMES)), "s")
    with Redis() as broker, Fleet(broker.url, CREW):
        took = [_first_page_seconds(broker.url) for _ in range(TIMES if stage.is_full else 3)]
    yield Figure(NAME, CELERIAC, FIRST_PAGE, median(took), "s")


def _first_page_seconds(url: str) -> float:
    """Return after how long ``/readyz`` agrees and every worker is on the page, with answers."""
    exporter = Celeriac(url, options=())
    began = time.perf_counter()
    # Started by hand: to enter it waits for more than this.
    with exporter.child:
        exporter.child.wait_until(lambda: _is_complete(exporter), LONGEST_SECONDS, FIRST_PAGE)
        took = time.perf_counter() - began
    exporter.stop()
    return took


def _is_complete(exporter: Celeriac) -> bool:
    if not exporter.is_ready:
        return False
    return len(exporter.samples(COMPLETE_FAMILIES)) == len(COMPLETE_FAMILIES) * CREW.workers


def _help_seconds() -> float:
    began = time.perf_counter()
    command = [sys.executable, "-m", "celeriac", "--help"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=inherited_environment())
    return time.perf_counter() - began
