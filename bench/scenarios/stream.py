"""How fresh the WebSocket is for 200 clients, beside 500 that never read, and REST meanwhile.

Who asks by REST is in the loop of those who read, so it is late when they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bench.consumers import Celeriac
from bench.counts import check
from bench.figures import CELERIAC, Figure, Target
from bench.fleet import Crew, Fleet
from bench.spread import MAX, spread
from bench.stage import Stage
from parts.crowd import watch
from parts.sidecar import Sidecar
from parts.valkey import Redis

NAME = "stream"
AGES, ANSWERS = f"{NAME}, age of a message", f"{NAME}, REST meanwhile"
PAUSE, GONE = "longest pause", "non-readers gone"
TARGETS = (
    Target(AGES, MAX, 3_000),
    Target(AGES, PAUSE, 3_000),
    Target(AGES, GONE, 10_000),
)
CREW = Crew(20)
READERS, IDLERS = 200, 500


def measure(stage: Stage) -> Iterator[Figure]:
    """Yield milliseconds."""
    seconds = 60.0 if stage.is_full else 20.0
    with (
        Redis() as broker,
        Fleet(broker.url, CREW),
        Celeriac(broker.url, options=()) as exporter,
        Sidecar(broker.url, exporter.url) as sidecar,
    ):
        stage.say(NAME)
        watched = watch(sidecar, READERS, IDLERS, seconds)
    lost = Counter(readers=watched.closed_readers, idlers=watched.kept_idlers)
    check(CELERIAC, lost, Counter(readers=0, idlers=0))
    yield from spread(AGES, CELERIAC, [1e3 * age for age in watched.ages])
    yield Figure(AGES, CELERIAC, PAUSE, 1e3 * max(watched.pauses), "ms")
    yield Figure(AGES, CELERIAC, GONE, 1e3 * watched.idlers_gone, "ms")
    yield from spread(ANSWERS, CELERIAC, [1e3 * took for took in watched.answers])
