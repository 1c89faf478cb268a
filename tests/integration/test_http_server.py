"""The HTTP server, over real sockets: what a well-meaning client gets, and a clumsy one."""

from __future__ import annotations

import gzip
import http.client
import logging
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from celeriac.errors import ConfigurationError
from celeriac.exposition.connection import LimitedReader, RequestTooLargeError
from celeriac.exposition.server import HttpServer, Request, Response
from http_clients import PAGE, connect, fetch, is_closed, read_to_end, running, say

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server() -> Iterator[HttpServer]:
    with running() as server:
        yield server


def test_a_route_is_answered(server: HttpServer) -> None:
    answer = fetch(server, "/metrics")
    assert (answer.status, answer.body) == (200, PAGE)
    assert answer.headers["Content-Length"] == str(len(PAGE))
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Server"] == "celeriac"


def test_the_url_leads_to_the_server(server: HttpServer) -> None:
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert server.port > 0


@pytest.mark.parametrize(
    ("host", "url"), [("::1", "http://[::1]:"), ("::", "http://localhost:"), ("", "http://local")]
)
def test_any_host_will_do(host: str, url: str) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with running(host=host) as server:
        assert server.url.startswith(url)
        address = "::1" if host == "::1" else "127.0.0.1"
        socket.create_connection((address, server.port), timeout=10).close()


def test_a_taken_port_is_known_before_start(server: HttpServer) -> None:
    with pytest.raises(ConfigurationError, match="--port: cannot listen there: Address already"):
        HttpServer("127.0.0.1", server.port, {})


def test_a_host_that_is_not_ours_is_refused_by_its_option() -> None:
    with pytest.raises(ConfigurationError, match="--host: cannot listen there"):
        HttpServer("192.0.2.1", 0, {})


def test_the_query_is_decoded(server: HttpServer) -> None:
    answer = fetch(server, "/echo?name%5B%5D=a&name[]=b%20c&empty")
    assert answer.body == b"('/echo', {'name[]': ['a', 'b c'], 'empty': ['']})"


def test_headers_reach_the_route_in_any_case() -> None:
    routes = {"/": lambda request: Response(request.headers["ACCEPT"].encode())}
    with running(routes) as server:
        assert fetch(server, "/", {"accept": "text/openmetrics"}).body == b"text/openmetrics"


def test_an_absolute_target_is_understood(server: HttpServer) -> None:
    said = say(server, b"GET http://x/livez HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")


def test_an_unknown_path_is_not_found(server: HttpServer) -> None:
    assert fetch(server, "/metrics/").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "NONSENSE"])
def test_other_methods_are_told_which_are_allowed(server: HttpServer, method: str) -> None:
    answer = fetch(server, "/metrics", method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/metrics", "/pieces", "/livez", "/none"])
def test_head_has_the_headers_of_get_without_its_body(server: HttpServer, path: str) -> None:
    get, head = fetch(server, path), fetch(server, path, method="HEAD")
    assert head.body == b""
    assert head.status == get.status
    for answer in (get, head):
        del answer.headers["Date"]
    assert head.headers.items() == get.headers.items()


@pytest.mark.parametrize("path", ["/metrics", "/pieces"])
def test_a_page_is_compressed_for_those_who_can(server: HttpServer, path: str) -> None:
    answer = fetch(server, path, {"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(answer.body) == PAGE


def test_a_page_in_pieces_arrives_whole(server: HttpServer) -> None:
    answer = fetch(server, "/pieces")
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.body == PAGE


def test_a_word_is_not_compressed(server: HttpServer) -> None:
    answer = fetch(server, "/livez", {"Accept-Encoding": "gzip"})
    assert answer.body == b"ok\n"
    assert "Vary" not in answer.headers


def test_http_1_0_gets_a_length_instead_of_chunks(server: HttpServer) -> None:
    head, _, body = say(server, b"GET /pieces HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")
    assert f"Content-Length: {len(PAGE)}".encode() in head
    assert body == PAGE


def test_a_connection_serves_many_requests(server: HttpServer) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    sockets = set()
    for path in ("/livez", "/metrics", "/pieces", "/none", "/fails", "/livez"):
        client.request("GET", path)
        client.getresponse().read()
        sockets.add(client.sock)
    client.close()
    assert len(sockets) == 1
    assert None not in sockets


def test_requests_sent_at_once_are_answered_in_turn(server: HttpServer) -> None:
    said = say(
        server,
        b"GET /livez HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\nConnection: close\r\n\r\n",
    )
    assert said.index(b"200 OK") < said.index(b"404 Not Found")


def test_a_client_who_wants_to_close_is_let_go(server: HttpServer) -> None:
    assert b"Connection: close" in say(server, b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n")


def test_a_failing_route_tells_the_client_nothing(
    server: HttpServer, caplog: pytest.LogCaptureFixture
) -> None:
    answer = fetch(server, "/fails")
    assert (answer.status, answer.body) == (500, b"Internal Server Error\n")
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == [
        "/fails failed: RuntimeError: the secret of the route"
    ]
    assert all(record.exc_info is None for record in caplog.records)


def test_a_page_that_fails_at_its_first_piece_is_an_error() -> None:
    with running({"/": lambda _: Response(broken_pieces(good=0))}) as server:
        assert fetch(server, "/").status == 500


def test_a_page_that_fails_later_does_not_look_whole() -> None:
    with (
        running({"/": lambda _: Response(broken_pieces(good=3))}) as server,
        pytest.raises(http.client.IncompleteRead),
    ):
        fetch(server, "/")


def broken_pieces(good: int) -> Iterator[bytes]:
    for _ in range(good):
        yield b"x" * 100_000
    raise RuntimeError("no more")


@pytest.mark.parametrize(
    "words",
    [
        b"POST /livez HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /",
        b"GET /livez HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        b"GET /livez HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000,
    ],
)
def test_a_body_is_never_taken_for_a_request(server: HttpServer, words: bytes) -> None:
    with connect(server) as sock:
        sock.sendall(words)
        sock.shutdown(socket.SHUT_WR)
        said = read_to_end(sock)
    assert said.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in said


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /livez HTTP/x.y\r\n\r\n", 400),
        (b"GET http://[/ HTTP/1.1\r\n\r\n", 400),
        (b"GET /?" + b"a&" * 5000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 100_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: a\r\n" * 200 + b"\r\n", 431),
        (b"a" * 200_000, 431),
    ],
)
def test_what_is_no_request_gets_a_status_then_the_end(
    server: HttpServer, words: bytes, status: int
) -> None:
    with connect(server) as sock:
        sock.sendall(words)
        sock.shutdown(socket.SHUT_WR)
        said = read_to_end(sock)
    assert said.startswith(f"HTTP/1.1 {status} ".encode())
    assert said.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("words", [b"", b"\r\n", b"\x16\x03\x01\x02\x00", bytes(range(256)) * 8])
def test_noise_does_no_harm(server: HttpServer, words: bytes) -> None:
    with connect(server) as sock:
        sock.sendall(words)
        sock.shutdown(socket.SHUT_WR)
        read_to_end(sock)
    assert fetch(server, "/livez").status == 200


def test_reading_ends_at_its_deadline_however_steadily_bytes_drip() -> None:
    ours, theirs = socket.socketpair()
    reader = LimitedReader(ours)
    reader.allow(0.05, 10_000_000)
    with ours, theirs, pytest.raises(TimeoutError):
        drip_for_ever(theirs, reader)


def drip_for_ever(sock: socket.socket, reader: LimitedReader) -> None:
    while True:
        sock.sendall(b"a")
        assert reader.read(1) == b"a"


def test_reading_ends_at_its_allowance() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"abc")
        reader = LimitedReader(ours)
        reader.allow(5, 2)
        assert reader.read(2) == b"ab"
        with pytest.raises(RequestTooLargeError):
            reader.read(1)


def test_stop_lets_an_answer_finish() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(_: Request) -> Response:
        begun.set()
        go_on.wait(10)
        return Response(b"done\n")

    with running({"/": slow}) as server, connect(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert begun.wait(10)
        stopper = threading.Thread(target=server.stop)
        stopper.start()
        assert server.stopping.wait(10)
        go_on.set()
        said = read_to_end(sock)
        stopper.join(10)
    assert said.endswith(b"done\n")
    assert b"Connection: close" in said


def test_stop_closes_idle_connections() -> None:
    with running() as server, connect(server) as silent:
        fetch(server, "/livez")
        server.stop()
        assert is_closed(silent)


def test_stop_frees_the_port() -> None:
    with running() as server:
        server.stop()
        with pytest.raises(ConnectionRefusedError):
            connect(server)


def test_stop_may_come_twice_or_without_start() -> None:
    server = HttpServer("127.0.0.1", 0, {})
    server.stop()
    server.stop()
