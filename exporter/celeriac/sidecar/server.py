"""The production server: gevent's, and what it lacks for clients that are slow, rude or leaving."""

from __future__ import annotations

import logging
import resource
import signal
import socket
import threading
from contextlib import suppress
from typing import Any

import gevent
from flask import Flask
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from celeriac.errors import ConfigurationError

logger = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
MAX_UNREAD_BYTES = 16 << 20
READ_BYTES = 1 << 16
BACKLOG = 1024


class _Handler(WSGIHandler):  # type: ignore[misc]
    """One connection."""

    def handle(self) -> None:
        self.socket.settimeout(IDLE_SECONDS)
        # gevent sends head and body by themselves; the second would wait for the first's receipt.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Its client is gone, or says and takes nothing any more.
        with suppress(OSError):
            super().handle()

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        if self._connection_upgrade_requested():
            # Whoever takes the socket over inherits its timeout.
            self.socket.settimeout(None)
        return environ

    def _connection_upgrade_requested(self) -> bool:
        # Some proxies send "Connection: upgrade" with everything.
        is_asked: bool = self.headers.get("Upgrade", "").lower() == "websocket"
        return is_asked and self.command == "GET"

    def read_request(self, raw_requestline: str) -> bool:
        is_read: bool = super().read_request(raw_requestline)
        has_body = self.content_length or "Transfer-Encoding" in self.headers
        if has_body and self._connection_upgrade_requested():
            # Nobody reads that body; a proxy and we must not differ on where it ends.
            raise ValueError("an upgrade with a body")
        return is_read

    def handle_one_response(self) -> None:
        is_upgrade = self._connection_upgrade_requested()
        if is_upgrade:
            super().handle_one_response()
        else:
            with self.server.running:
                super().handle_one_response()
        if is_upgrade or self.server.is_stopping:
            self.close_connection = True

    def run_application(self) -> None:
        super().run_application()
        if not self._connection_upgrade_requested():
            self._read_the_rest()

    def _read_the_rest(self) -> None:
        """Take in what was not read, or the client would not read the answer; but not forever."""
        rest, left = self.wsgi_input, MAX_UNREAD_BYTES
        rest.send_100_continue_enabled = False
        with suppress(OSError):
            while left > 0 and (piece := rest.read(READ_BYTES)):
                left -= len(piece)
            if left > 0:
                return
        # gevent must not go on reading, and this is its only sign that there is no use in it.
        rest._chunked_input_error = self.close_connection = True  # noqa: SLF001

    def _handle_client_error(self, ex: Exception) -> Any:
        # gevent would print what the client sent, or a traceback.
        logger.debug("a request that cannot be read: %s", type(ex).__name__)
        return "400", b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-length: 0\r\n\r\n"

    def _log_error(self, t: Any, v: Any, tb: Any) -> None:
        if not issubclass(t, (gevent.GreenletExit, OSError)):
            logger.error("a connection failed; please report it", exc_info=(t, v, tb))


class Running:
    """How many requests run now."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait_for_none(self, timeout_seconds: float) -> bool:
        """Return True when no request runs any more, False after *timeout_seconds*."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, timeout_seconds)


class Server(WSGIServer):  # type: ignore[misc]
    """Serves one application; the port is taken by ``start``."""

    def __init__(self, address: tuple[str, int], app: Flask, max_clients: int) -> None:
        super().__init__(
            address,
            app,
            backlog=BACKLOG,
            spawn=Pool(max_clients),
            log=None,
            error_log=None,
            handler_class=_Handler,
        )
        self.running = Running()
        self.is_stopping = False

    def start(self) -> None:
        """Take the port and serve. Errors: ConfigurationError."""
        try:
            super().start()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "no such address"
            raise ConfigurationError(
                "--host or --port", f"cannot listen there: {reason}"
            ) from error


def wait_for_the_end() -> None:
    """Return when the process is asked to end by SIGTERM or SIGINT."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, asked.set)
    asked.wait()


def log_lost_exceptions() -> None:
    """Send what gevent would print about a failed greenlet to the log, which hides secrets."""

    def log(_context: object, kind: Any, error: Any, trace: Any) -> None:
        logger.error("something failed in the background", exc_info=(kind, error, trace))

    gevent.get_hub().print_exception = log


def raise_file_limit() -> None:
    """Allow as many open sockets as the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
