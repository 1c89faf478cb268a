"""Events on RabbitMQ over ends of the process that counts them: none missing, few or none twice."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from celeriac.brokers.event_queue import PREFETCH_COUNT
from celeriac.brokers.gathering import RECEIVE_BYTES
from faults.event_load import TYPES, EventLoad, connect, publish_lives
from faults.wire_format import IS_FULL
from parts.processes import Child, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KILLS = 20 if IS_FULL else 4
STOPS = 20 if IS_FULL else 4
EVENTS_PER_MESSAGE = 2
LEAST_BYTES_PER_EVENT = 200
# A source that kills itself does so after so many events, while so many lives are published.
FATAL = 3_000
LIVES = 5_000
LISTEN_SECONDS = 60.0
DRAIN_SECONDS = 60.0


class Recorders:
    """One recording source after another, each with a file of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._children: list[Child] = []

    def start(self) -> Child:
        """Return the next one when it listens."""
        child = self._next()
        child.wait_until(lambda: "listening" in child.log_text(), LISTEN_SECONDS, "it to listen")
        return child

    def run_until_it_dies(self) -> None:
        """Run the next one until it has counted FATAL events."""
        self._next(str(FATAL)).wait(DRAIN_SECONDS)

    def _next(self, *arguments: str) -> Child:
        name = f"recorder-{len(self._children)}"
        command = [sys.executable, "-m", "faults.recording_source"]
        command += [self._url, str(self._path(name)), *arguments]
        child = Child(name, command, self._folder)
        self._children.append(child)
        child.start()
        return child

    def stop(self) -> None:
        for child in self._children:
            child.terminate()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.events"

    def counted(self) -> list[Counter[str]]:
        """Return what each has counted: whole lines only, as it may have been killed in one."""
        paths = [self._path(child.name) for child in self._children]
        texts = [path.read_text() if path.exists() else "" for path in paths]
        return [Counter(text.rpartition("\n")[0].splitlines()) for text in texts]

    def wait_for_distinct(self, count: int) -> None:
        """Return when so many different events have been counted."""
        wait_for(lambda: len(total(self.counted())) >= count, DRAIN_SECONDS, f"{count} events")


@pytest.fixture
def recorders(rabbitmq_url: str, tmp_path: Path) -> Iterator[Recorders]:
    made = Recorders(rabbitmq_url, tmp_path)
    yield made
    made.stop()


def total(counted: list[Counter[str]]) -> Counter[str]:
    return sum(counted, Counter[str]())


def published(lives: int) -> set[str]:
    return {f"{number} {type_}" for number in range(lives) for type_ in TYPES}


def test_a_killed_source_loses_nothing_and_repeats_little(
    rabbitmq_url: str, recorders: Recorders, record_property: Callable[[str, object], None]
) -> None:
    lives = _ended_under_load(rabbitmq_url, recorders, Child.kill, KILLS)
    counted = recorders.counted()
    assert total(counted).keys() == published(lives)
    repeated = [(one & other).total() for one, other in pairwise(counted)]
    record_property("repeated_events_per_kill", repeated)
    print(f"measured: repeated events per kill {repeated}, of {4 * lives}")
    assert max(repeated) <= PREFETCH_COUNT * EVENTS_PER_MESSAGE
    assert total(counted).total() - 4 * lives == sum(repeated)


def test_a_source_that_dies_before_it_acknowledges_repeats_one_read(
    rabbitmq_url: str, recorders: Recorders, record_property: Callable[[str, object], None]
) -> None:
    _stop(recorders.start())
    with connect(rabbitmq_url) as connection:
        publish_lives(connection.channel(), range(LIVES))
    while len(total(recorders.counted())) < 4 * LIVES - FATAL:
        recorders.run_until_it_dies()
    recorders.start()
    recorders.wait_for_distinct(4 * LIVES)
    counted = recorders.counted()
    assert total(counted).keys() == published(LIVES)
    repeated = [(one & other).total() for one, other in pairwise(counted)]
    record_property("repeated_events_per_death", repeated)
    print(f"measured: repeated events per death {repeated}")
    assert 0 < max(repeated) <= RECEIVE_BYTES / LEAST_BYTES_PER_EVENT


def test_an_orderly_stop_loses_and_repeats_nothing(rabbitmq_url: str, recorders: Recorders) -> None:
    lives = _ended_under_load(rabbitmq_url, recorders, _stop, STOPS)
    counted = total(recorders.counted())
    assert counted.keys() == published(lives)
    assert {event: times for event, times in counted.items() if times > 1} == {}


def _ended_under_load(
    url: str, recorders: Recorders, end: Callable[[Child], object], times: int
) -> int:
    """Start and end sources while events are published; return how many lives all have counted."""
    dice = random.Random(7)
    recorder = recorders.start()
    with EventLoad(url) as load:
        for number in range(times):
            # Every other time while it works off what has waited for it.
            time.sleep(dice.uniform(0, 0.1) if number % 2 else dice.uniform(0.3, 1.0))
            end(recorder)
            recorder = recorders.start()
        lives = load.finish()
    recorders.wait_for_distinct(lives * len(TYPES))
    assert _stop(recorder) == 0
    return lives


def _stop(child: Child) -> int | None:
    child.signal(signal.SIGTERM)
    return child.wait(15)
