"""One client's connection: reads requests within limits of time and size, writes the answers."""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from http.client import responses
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from celeriac.exposition.messages import Headers, Request, Response, gzipped_if_wanted, in_blocks
from celeriac.exposition.open_connections import OpenConnection

Answer = Callable[[str, Request], Response]

logger = logging.getLogger(__name__)

# Off the usual scrape intervals (15, 30, 60 s): not to close just when the next scrape is sent.
_IDLE_SECONDS = 35.0
_HEAD_SECONDS = 10.0
_WRITE_SECONDS = 30.0
_DRAIN_SECONDS = 2.0
_HEAD_BYTES = 65536
_DRAIN_BYTES = 1 << 20
_QUERY_FIELDS = 1000
# Smaller bodies go out in one write with their head.
_ONE_WRITE_BYTES = 16384


class RequestTooLargeError(OSError):
    """The client sent more than its allowance."""


class LimitedReader(io.RawIOBase):
    """Reads a socket until a deadline, however slowly it drips, and up to a number of bytes."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._deadline = 0.0
        self._bytes_left = 0

    def allow(self, seconds: float, size: int) -> None:
        """Give a new allowance, from now."""
        self._deadline = time.monotonic() + seconds
        self._bytes_left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._bytes_left <= 0:
            raise RequestTooLargeError("the request is too large")
        seconds_left = self._deadline - time.monotonic()
        if seconds_left <= 0:
            raise TimeoutError("the client took too long")
        self._sock.settimeout(seconds_left)
        count = self._sock.recv_into(buffer)
        self._bytes_left -= count
        return count


class HttpConnection(BaseHTTPRequestHandler):
    """Answers the requests of one client, until either side closes; the constructor does it all.

    Raises OSError when the client goes away or takes too long.
    """

    protocol_version = "HTTP/1.1"
    # Else a malformed first line would be answered without a status line.
    default_request_version = "HTTP/1.0"

    def __init__(self, connection: OpenConnection, answer: Answer, server: BaseServer) -> None:
        self._open_connection = connection
        self._answer = answer
        super().__init__(connection.sock, connection.sock.getpeername(), server)

    def setup(self) -> None:
        self.connection = self.request
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._reader = LimitedReader(self.connection)
        self.rfile = self._buffer = io.BufferedReader(self._reader)

    def finish(self) -> None:
        self.rfile.close()

    def handle_one_request(self) -> None:
        self._forget_last_request()
        try:
            if self._read_head():
                self._open_connection.work()
                self._send(self._answer(self.command, self._request))
                if self._has_body:
                    self._drain()
        except RequestTooLargeError:
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def handle_expect_100(self) -> bool:
        """Answer at once instead: we never want the body."""
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with the status alone, and close: what follows may be anything."""
        self.close_connection = True
        self._send(Response(f"{responses[code]}\n".encode(), status=code))
        self._drain()

    def version_string(self) -> str:
        return "celeriac"

    def _forget_last_request(self) -> None:
        self.close_connection = True
        self.command = self.requestline = ""
        self.request_version = self.default_request_version
        self._request = Request("")
        self._has_body = False

    def _read_head(self) -> bool:
        """Wait for a request; return False if there is none, or none that makes sense."""
        self._open_connection.wait_for_client()
        self._reader.allow(_IDLE_SECONDS, _HEAD_BYTES)
        if not self._buffer.peek(1):
            return False
        self._reader.allow(_HEAD_SECONDS, _HEAD_BYTES)
        self.raw_requestline = self.rfile.readline()
        return self.parse_request() and self._understand()

    def _understand(self) -> bool:
        headers = Headers(self.headers.items())
        # We read no body, so what follows it on this connection cannot be told from it.
        self._has_body = headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers
        self.close_connection |= self._has_body or not self._is_http_1_1
        try:
            url = urlsplit(self.path)
            query = parse_qs(url.query, keep_blank_values=True, max_num_fields=_QUERY_FIELDS)
        except ValueError:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return False
        self._request = Request(url.path, query, headers)
        return True

    @property
    def _is_http_1_1(self) -> bool:
        return self.request_version == "HTTP/1.1"

    def _send(self, response: Response) -> None:
        response = gzipped_if_wanted(response, self._request.headers.get("Accept-Encoding", ""))
        body = response.body
        if not (isinstance(body, bytes) or self._is_http_1_1):
            body = b"".join(body)
        head = self._head(response, body)
        self.connection.settimeout(_WRITE_SECONDS)
        if self.command == "HEAD":
            self.connection.sendall(head)
        elif isinstance(body, bytes):
            self._write_whole(head, body)
        else:
            self._write_chunks(head, body)
        logger.debug("%s %r %d", self.client_address[0], self.requestline, response.status)

    def _head(self, response: Response, body: bytes | Iterable[bytes]) -> bytes:
        """Return the status line and the headers, which settle whether the connection is kept."""
        self.close_connection |= self._open_connection.is_closing
        fields = {
            "Server": self.version_string(),
            "Date": self.date_time_string(),
            "Content-Type": response.content_type,
            **response.headers,
        }
        if isinstance(body, bytes):
            fields["Content-Length"] = str(len(body))
        else:
            fields["Transfer-Encoding"] = "chunked"
        if self.close_connection:
            fields["Connection"] = "close"
        status_line = f"HTTP/1.1 {response.status} {responses.get(response.status, '')}"
        lines = [status_line, *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def _write_whole(self, head: bytes, body: bytes) -> None:
        if len(body) <= _ONE_WRITE_BYTES:
            self.connection.sendall(head + body)
        else:
            self.connection.sendall(head)
            self.connection.sendall(body)

    def _write_chunks(self, head: bytes, body: Iterable[bytes]) -> None:
        self.connection.sendall(head)
        for block in in_blocks(body):
            self.connection.sendall(b"%x\r\n%b\r\n" % (len(block), block))
        self.connection.sendall(b"0\r\n\r\n")

    def _drain(self) -> None:
        """Swallow what is still being sent: to close with bytes unread would reset our answer."""
        self._open_connection.wait_for_client()
        socket.socket.shutdown(self.connection, socket.SHUT_WR)
        self._reader.allow(_DRAIN_SECONDS, _DRAIN_BYTES)
        with contextlib.suppress(RequestTooLargeError):
            while self.rfile.read1(_DRAIN_BYTES):
                pass
