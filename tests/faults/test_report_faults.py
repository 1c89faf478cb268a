"""F23: a Prometheus that misbehaves costs a report, in time, and nothing else."""

from __future__ import annotations

import datetime as dt
import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from parts.processes import free_port, wait_for
from parts.rude_server import Behaviour, RudeServer, answer, head
from parts.sidecar import Sidecar

REPORT = "/monitoring/reports/performance"
TIMEOUT_SECONDS = 4.0
PATIENCE_SECONDS = 20.0
EMPTY = answer(b'{"status":"success","data":{"resultType":"vector","result":[]}}')


def pour(client: socket.socket) -> None:
    client.sendall(head(1 << 30))
    for _ in range(1 << 10):
        client.sendall(b" " * (1 << 20))


FAULTS: dict[str, tuple[Callable[[RudeServer], Behaviour], int]] = {
    "503": (lambda _: answer(b"", "503 Service Unavailable"), 503),
    "silent": (lambda server: server.say_nothing, 504),
    "by-the-byte": (lambda server: server.drip(head(2) + b"{}"), 504),
    "a-gigabyte": (lambda _: pour, 502),
    "bad-json": (lambda _: answer(b'{"status":"succ'), 502),
    "partial": (
        lambda _: answer(
            b'{"status":"success","warnings":["a store is away"],'
            b'"data":{"resultType":"vector","result":[]}}'
        ),
        502,
    ),
}


@pytest.fixture(scope="module")
def prometheus() -> Iterator[RudeServer]:
    with RudeServer(EMPTY) as server:
        yield server


@pytest.fixture(scope="module")
def sidecar(prometheus: RudeServer) -> Iterator[Sidecar]:
    extra = ["--report-timeout", str(TIMEOUT_SECONDS)]
    with Sidecar(prometheus_url=prometheus.url, extra=extra) as running:
        yield running


def ask(sidecar: Sidecar) -> httpx.Response:
    now = dt.datetime.now(dt.UTC)
    times = {"start": now - dt.timedelta(hours=1), "end": now}
    body = {name: time.isoformat() for name, time in times.items()}
    return sidecar.post(REPORT, body, "viewer")


@pytest.mark.parametrize("name", FAULTS)
def test_a_report_says_what_is_wrong_in_time_and_the_next_one_is_made(
    sidecar: Sidecar, prometheus: RudeServer, name: str
) -> None:
    behaviour, status = FAULTS[name]
    prometheus.behaviour = behaviour(prometheus)
    began = time.monotonic()
    found = ask(sidecar)
    assert time.monotonic() - began < TIMEOUT_SECONDS + PATIENCE_SECONDS
    assert found.status_code == status
    assert found.headers["content-type"] == "application/problem+json"
    assert str(prometheus.port) not in found.text
    prometheus.behaviour = EMPTY
    assert ask(sidecar).json()["total_tasks"] == 0


def test_the_others_are_served_meanwhile(sidecar: Sidecar, prometheus: RudeServer) -> None:
    prometheus.behaviour = prometheus.say_nothing
    statuses: list[int] = []
    before = len(prometheus.requests)
    asking = threading.Thread(target=lambda: statuses.append(ask(sidecar).status_code))
    asking.start()
    wait_for(
        lambda: len(prometheus.requests) > before, PATIENCE_SECONDS, "the report's first query"
    )
    answered = 0
    while asking.is_alive():
        assert sidecar.get("/monitoring/reports", "viewer").status_code == 200
        answered += asking.is_alive()
    assert answered
    assert statuses == [504]
    prometheus.behaviour = EMPTY


def test_a_prometheus_that_is_away_is_told_as_such() -> None:
    with Sidecar(prometheus_url=f"http://127.0.0.1:{free_port()}") as running:
        assert ask(running).status_code == 503
