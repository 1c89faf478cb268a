"""How fast the sidecar answers: authenticated questions at a fixed pace, and as many as it can.

At the fixed pace a question counts from when it was due, so one that waits for another is late as
well. Meanwhile somebody listens, so the live numbers are polled every second.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

from bench.consumers import Celeriac
from bench.figures import CELERIAC, Figure, Target
from bench.fleet import Crew, Fleet
from bench.spread import P99, spread
from bench.stage import Stage
from parts.sidecar import BASE, Sidecar
from parts.valkey import Redis
from tokens import bearer

NAME = "sidecar"
PACE = 300
PACED, FLAT_OUT = f"{NAME}, {PACE} requests/s", f"{NAME}, flat out"
RATE = "requests"
TARGETS = (Target(PACED, P99, 50), Target(FLAT_OUT, RATE, PACE, is_minimum=True))
CREW = Crew(20)
CONNECTIONS = 16
WARM_SECONDS = 3.0
PATHS = ("/monitoring/metrics/realtime", "/monitoring/status", "/alerts", "/monitoring/dashboard")


def measure(stage: Stage) -> Iterator[Figure]:
    """Yield latencies at the pace, and the rate of as many as possible."""
    seconds = 60.0 if stage.is_full else 15.0
    with (
        Redis() as broker,
        Fleet(broker.url, CREW),
        Celeriac(broker.url, options=()) as exporter,
        Sidecar(broker.url, exporter.url, extra=["--rate-limit", "1000000/second"]) as sidecar,
    ):
        stage.say(NAME)
        sidecar.post("/monitoring/start")
        _ask(sidecar, WARM_SECONDS, PACE)
        yield from spread(PACED, CELERIAC, _ask(sidecar, seconds, PACE))
        answered = _ask(sidecar, seconds, None)
        yield Figure(FLAT_OUT, CELERIAC, RATE, len(answered) / seconds, "requests/s")
        yield from spread(FLAT_OUT, CELERIAC, answered)


def _ask(sidecar: Sidecar, seconds: float, pace: float | None) -> list[float]:
    """Return after how many milliseconds each question was answered; without *pace*, at once."""
    numbers, lock = itertools.count(), threading.Lock()
    began = time.perf_counter() + 0.1

    def next_due() -> float:
        with lock:
            n = next(numbers)
        return time.perf_counter() if pace is None else began + n / pace

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        askers = [
            threads.submit(_ask_until, sidecar.port, began + seconds, next_due)
            for _ in range(CONNECTIONS)
        ]
        return [took for asker in askers for took in asker.result()]


def _ask_until(port: int, ends: float, next_due: Callable[[], float]) -> list[float]:
    """Ask one question after another on one connection."""
    took, headers = [], bearer("viewer")
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    for path in itertools.cycle(PATHS):
        if (due := next_due()) >= ends:
            break
        time.sleep(max(0.0, due - time.perf_counter()))
        connection.request("GET", BASE + path, headers=headers)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise ConnectionError(f"{path} answers {response.status}")
        took.append(1e3 * (time.perf_counter() - due))
    connection.close()
    return took
