"""The exporter's HTTP server: a few routes, and no client that can make another one wait."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from celeriac.errors import ConfigurationError
from celeriac.exposition.connection import HttpConnection
from celeriac.exposition.messages import Headers, Request, Response, Route
from celeriac.exposition.open_connections import OpenConnection, OpenConnections
from celeriac.exposition.web_config import WebAccess, WebConfig
from celeriac.service import Background

__all__ = ["Headers", "HttpServer", "Request", "Response", "Route"]

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
PROBE_PATHS = frozenset({"/livez", "/readyz"})

# With the half second for those cut off at its end, five.
_STOP_SECONDS = 4.5
_HANDSHAKE_SECONDS = 10.0
_ACCEPT_POLL_SECONDS = 0.2
_NO_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_NO_RESOURCES_PAUSE_SECONDS = 0.1
_ANY_HOST = {"", "0.0.0.0", "::"}  # noqa: S104


class HttpServer(Background):
    """Serves the routes by GET and HEAD over HTTP/1.1, with TLS and passwords if configured.

    The port is taken by the constructor, so that a taken one is known before anything else runs;
    clients are answered from ``start`` until ``stop``. Each connection has a thread of its own and
    a bounded life; see OpenConnections for what happens when there are too many.

    Passwords protect every path but ``/livez`` and ``/readyz``: those say one word, and a kubelet's
    probes know no password. TLS, with client certificates where asked for, is for all paths alike.
    """

    def __init__(
        self, host: str, port: int, routes: Mapping[str, Route], web_config: WebConfig | None = None
    ) -> None:
        """Take the port, 0 for any free one; raise ConfigurationError when it cannot be had."""
        super().__init__("http server")
        self.connections = OpenConnections(MAX_CONNECTIONS, self.stopping)
        self._host = host
        self._routes = dict(routes)
        self._web_config = web_config
        self._listener = _Listener(_resolved(host, port), self._serve, self.stopping)

    @property
    def port(self) -> int:
        return int(self._listener.server_address[1])

    @property
    def url(self) -> str:
        """Where a client on this machine reaches the server; no slash at the end."""
        scheme = "https" if self._web_config and self._web_config.is_tls else "http"
        host = "localhost" if self._host in _ANY_HOST else self._host
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def run(self) -> None:
        self._listener.serve_forever(_ACCEPT_POLL_SECONDS)

    def stop(self) -> None:
        """Take no more connections, finish the answers begun (up to 5 s), and return."""
        self.stopping.set()
        if self.is_running:
            self._listener.shutdown()
        super().stop()
        self._listener.server_close()
        self.connections.close(_STOP_SECONDS)

    def answer(self, method: str, request: Request) -> Response:
        """Return the answer to a request, with the headers that the web configuration adds."""
        access = self._web_config.current() if self._web_config else None
        response = self._answer(method, request, access)
        headers = {**response.headers, **(access.headers if access else {})}
        return replace(response, headers=headers)

    def _answer(self, method: str, request: Request, access: WebAccess | None) -> Response:
        if not _is_allowed(request, access):
            return Response(b"Unauthorized\n", status=401, headers={"WWW-Authenticate": "Basic"})
        if method not in ("GET", "HEAD"):
            return Response(b"Method Not Allowed\n", status=405, headers={"Allow": "GET, HEAD"})
        route = self._routes.get(request.path)
        return _called(route, request) if route else Response(b"Not Found\n", status=404)

    def _serve(self, sock: socket.socket) -> None:
        """Give the connection a thread, or close it at once."""
        connection = self.connections.admit(sock)
        if connection is None:
            sock.close()
            return
        try:
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()
        except RuntimeError as error:
            self.connections.release(connection)
            logger.warning("no thread for a connection, closed it: %s", error)

    def _converse(self, connection: OpenConnection) -> None:
        """Serve one client to the end; runs in the connection's own thread."""
        try:
            self._secure(connection)
            HttpConnection(connection, self.answer, self._listener)
        except OSError as error:
            logger.debug("a connection ended: %s", error)
        except Exception as error:
            _log_failure("a connection", error)
        finally:
            self.connections.release(connection)

    def _secure(self, connection: OpenConnection) -> None:
        access = self._web_config.current() if self._web_config else None
        if access is None or access.tls is None:
            return
        # Nobody may interrupt the socket in the moment in which it becomes another.
        connection.work()
        connection.sock = secured = access.tls.wrap(connection.sock)
        connection.wait_for_client()
        try:
            access.tls.handshake(secured, _HANDSHAKE_SECONDS)
        except ssl.SSLError as error:
            # Worth a line: the person who sets up TLS has no other way to see it.
            logger.info("no TLS session with a client: %s", error)
            raise


class _Listener(ThreadingHTTPServer):
    """The listening socket and its accept loop, which outlives whatever accept() throws at it."""

    request_queue_size = 128

    def __init__(
        self,
        address: tuple[socket.AddressFamily, Any],
        serve: Callable[[socket.socket], None],
        stopping: threading.Event,
    ) -> None:
        self.address_family, sockaddr = address
        self._serve = serve
        self._stopping = stopping
        self._is_out_of_resources = False
        try:
            super().__init__(sockaddr, BaseHTTPRequestHandler)
        except (OSError, OverflowError) as error:
            raise _bind_error(error) from error

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            # "::" is meant to take IPv4 too, where the system can.
            with contextlib.suppress(OSError):
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not HTTPServer's: that asks the DNS for our own name, which may take its time.
        socketserver.TCPServer.server_bind(self)

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            accepted = super().get_request()
        except OSError as error:
            if error.errno in _NO_RESOURCES:
                self._pause(error)
            raise
        self._is_out_of_resources = False
        return accepted

    def process_request(self, request: Any, client_address: Any) -> None:
        self._serve(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        _log_failure("a connection", error or RuntimeError("unknown"))

    def _pause(self, error: OSError) -> None:
        """Let the client wait in the queue, instead of asking for it again in a busy loop."""
        if not self._is_out_of_resources:
            logger.error("cannot accept connections for now: %s", error.strerror)
        self._is_out_of_resources = True
        self._stopping.wait(_NO_RESOURCES_PAUSE_SECONDS)


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, OverflowError, UnicodeError) as error:
        problem = getattr(error, "strerror", None) or "is not a name"
        raise ConfigurationError("--host", f"cannot be resolved: {problem}") from error
    return found[0][0], found[0][4]


def _bind_error(error: OSError | OverflowError) -> ConfigurationError:
    if isinstance(error, OverflowError):
        return ConfigurationError("--port", "is not a port number")
    is_about_host = error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    option = "--host" if is_about_host else "--port"
    return ConfigurationError(option, f"cannot listen there: {error.strerror}")


def _is_allowed(request: Request, access: WebAccess | None) -> bool:
    if access is None or access.passwords is None or request.path in PROBE_PATHS:
        return True
    return access.passwords.allows(request.headers.get("Authorization", ""))


def _called(route: Route, request: Request) -> Response:
    """Return the route's answer, or a bare 500; a body in pieces has been begun."""
    try:
        response = route(request)
        if isinstance(response.body, bytes):
            return response
        return replace(response, body=_begun(response.body, request.path))
    except Exception as error:
        _log_failure(request.path, error)
        return Response(b"Internal Server Error\n", status=500)


def _begun(pieces: Iterable[bytes], path: str) -> Iterator[bytes]:
    """Make the first piece now, while an error can still become a 500."""
    rest = iter(pieces)
    first = next(rest, b"")
    return itertools.chain([first], _to_the_end(rest, path))


def _to_the_end(pieces: Iterator[bytes], path: str) -> Iterator[bytes]:
    try:
        yield from pieces
    except Exception as error:
        _log_failure(path, error)
        # The connection ends without the last chunk: the client knows that it has not got it all.
        raise ConnectionAbortedError("the answer broke off") from error


def _log_failure(what: str, error: BaseException) -> None:
    """Say in one line what failed, and where only to those who debug."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    trace = error if logger.isEnabledFor(logging.DEBUG) else None
    logger.error("%s failed: %s", what, reason, exc_info=trace)
