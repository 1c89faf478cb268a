"""Many clients, slow clients and a machine out of file descriptors: the scrape gets through."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from celeriac.exposition.server import MAX_CONNECTIONS, Request, Response
from http_clients import PAGE, connect, fetch, is_closed, read_to_end, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from celeriac.exposition.server import HttpServer

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@contextlib.contextmanager
def crowd(server: HttpServer, size: int, words: bytes = b"") -> Iterator[list[socket.socket]]:
    """Keep that many connections open, each of which has said the words."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(connect(server)) for _ in range(size)]
        for sock in sockets:
            with contextlib.suppress(ConnectionError):
                sock.sendall(words)
        yield sockets


@pytest.mark.parametrize("words", [b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nA: b", REQUEST])
def test_a_page_comes_at_once_while_twenty_clients_stall(words: bytes) -> None:
    with running() as server, crowd(server, 20, words):
        started = time.monotonic()
        assert fetch(server, "/metrics").body == PAGE
        assert time.monotonic() - started < 1


def test_a_client_that_drips_gets_its_answer_in_the_end() -> None:
    with running() as server, connect(server) as dripping:
        for byte in REQUEST:
            dripping.sendall(bytes([byte]))
            if byte == ord(" "):
                assert fetch(server, "/livez").status == 200
        assert read_to_end(dripping).endswith(PAGE)


def test_a_client_that_does_not_read_delays_no_other() -> None:
    huge = b"x" * 50_000_000
    routes = {"/metrics": lambda _: Response(huge), "/livez": lambda _: Response(b"ok\n")}
    with running(routes) as server, crowd(server, 5, REQUEST) as deaf:
        started = time.monotonic()
        assert fetch(server, "/livez").status == 200
        assert time.monotonic() - started < 1
        for sock in deaf:
            sock.close()


def test_many_clients_at_once_all_get_the_page() -> None:
    pages: list[bytes] = []

    def scrape(server: HttpServer) -> None:
        pages.extend(fetch(server, "/metrics").body for _ in range(5))

    with running() as server:
        scrapers = [threading.Thread(target=scrape, args=(server,)) for _ in range(30)]
        for scraper in scrapers:
            scraper.start()
        for scraper in scrapers:
            scraper.join(60)
        assert pages == [PAGE] * 150
        assert server.connections.evicted == 0


def test_a_newcomer_takes_the_place_of_the_one_idle_longest() -> None:
    with running() as server, crowd(server, MAX_CONNECTIONS) as silent:
        assert fetch(server, "/livez").status == 200
        assert server.connections.evicted == 1
        assert is_closed(silent[0])


def test_a_flood_of_silent_clients_does_not_keep_a_scrape_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running() as server, crowd(server, 5 * MAX_CONNECTIONS):
        assert fetch(server, "/metrics").body == PAGE
        assert server.connections.evicted >= 4 * MAX_CONNECTIONS
        assert server.connections.refused == 0
    assert [record.message for record in caplog.records] == [
        "all 64 connections are taken: idle ones are closed"
    ]


def test_a_newcomer_is_closed_at_once_when_all_others_are_being_answered() -> None:
    working, go_on = threading.Semaphore(0), threading.Event()

    def slow(_: Request) -> Response:
        working.release()
        go_on.wait(30)
        return Response(b"done\n")

    with running({"/metrics": slow}) as server, crowd(server, MAX_CONNECTIONS, REQUEST) as served:
        for _ in range(MAX_CONNECTIONS):
            assert working.acquire(timeout=30)
        with connect(server) as newcomer:
            assert is_closed(newcomer)
        assert server.connections.refused == 1
        go_on.set()
        assert all(read_to_end(sock).endswith(b"done\n") for sock in served)


# Runs where file descriptors are few; says its port, and obeys lines on standard input.
STARVING = """
import os, resource, sys, time
from http_clients import running

with running() as server:
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    hoard = []
    try:
        while True:
            hoard.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    print(server.port, flush=True)
    sys.stdin.readline()
    busy, since = time.process_time(), time.monotonic()
    sys.stdin.readline()
    used = (time.process_time() - busy) / (time.monotonic() - since)
    for descriptor in hoard:
        os.close(descriptor)
    print(used, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def starving() -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-c", STARVING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    with child:
        yield child
        child.kill()


def test_running_out_of_file_descriptors_only_makes_clients_wait(
    starving: subprocess.Popen[str],
) -> None:
    assert starving.stdin
    assert starving.stdout
    port = int(starving.stdout.readline())
    with socket.create_connection(("127.0.0.1", port), timeout=1) as waiting:
        waiting.sendall(REQUEST)
        order(starving, "measure")
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        order(starving, "free")
        assert float(starving.stdout.readline()) < 0.5
        waiting.settimeout(10)
        assert read_to_end(waiting).endswith(PAGE)
    _, log = starving.communicate("end\n", timeout=30)
    assert log.count("cannot accept connections for now: Too many open files") == 1


def order(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdin
    child.stdin.write(word + "\n")
    child.stdin.flush()
