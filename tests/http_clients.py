"""A server under test, and clients good and bad to try it with."""

from __future__ import annotations

import contextlib
import http.client
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from celeriac.exposition.server import HttpServer, Request, Response

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

    from celeriac.exposition.server import Route
    from celeriac.exposition.web_config import WebConfig

PAGE = b"celery_up 1\n" * 10_000


@dataclass
class Answer:
    """What a client got."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


def fail(_: Request) -> Response:
    raise RuntimeError("the secret\nof the route")


ROUTES: Mapping[str, Route] = {
    "/metrics": lambda _: Response(PAGE),
    "/pieces": lambda _: Response(PAGE.splitlines(keepends=True)),
    "/livez": lambda _: Response(b"ok\n"),
    "/readyz": lambda _: Response(b"ok\n"),
    "/echo": lambda request: Response(repr((request.path, dict(request.query))).encode()),
    "/fails": fail,
}


@contextlib.contextmanager
def running(
    routes: Mapping[str, Route] = ROUTES,
    web_config: WebConfig | None = None,
    host: str = "127.0.0.1",
) -> Iterator[HttpServer]:
    """Serve on a free port of loopback until the end of the block."""
    server = HttpServer(host, 0, routes, web_config)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def fetch(
    server: HttpServer,
    path: str,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    method: str = "GET",
) -> Answer:
    """Make one request over a connection of its own; raise OSError if none is to be had."""
    client: http.client.HTTPConnection
    if tls:
        client = http.client.HTTPSConnection("localhost", server.port, timeout=10, context=tls)
    else:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(client):
        client.request(method, path, headers=headers or {})
        answer = client.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


def connect(server: HttpServer) -> socket.socket:
    """Open a connection and say nothing."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def say(server: HttpServer, words: bytes) -> bytes:
    """Send the bytes as they are, and return all that comes until the server closes."""
    with connect(server) as sock:
        sock.sendall(words)
        return read_to_end(sock)


def read_to_end(sock: socket.socket) -> bytes:
    """Return everything until the other side closes."""
    return b"".join(iter(lambda: sock.recv(65536), b""))


def is_closed(sock: socket.socket) -> bool:
    """Tell whether the server closed the connection without a word; wait for that."""
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True
