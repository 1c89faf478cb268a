"""A server of HTTP that behaves as badly as it is told, on a port of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

Behaviour = Callable[[socket.socket], None]
GOODBYE_SECONDS = 10.0


def answer(body: bytes, status: str = "200 OK", *headers: str) -> Behaviour:
    """Answer at once."""
    return lambda client: client.sendall(head(len(body), status, *headers) + body)


def head(length: int, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {length}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


class RudeServer:
    """Reads one request of each connection, and then does what ``behaviour`` does."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.requests: list[bytes] = []
        self.is_ending = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.is_ending.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(GOODBYE_SECONDS)

    def say_nothing(self, _client: socket.socket) -> None:
        self.is_ending.wait()

    def drip(self, data: bytes) -> Behaviour:
        """Send a byte every tenth of a second."""

        def behave(client: socket.socket) -> None:
            for byte in data:
                if self.is_ending.wait(0.1):
                    return
                client.sendall(bytes([byte]))

        return behave

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.is_ending.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(lambda client=client: self._serve(client))  # type: ignore[misc]

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(GOODBYE_SECONDS)
            self.requests.append(_request(client))
            self.behaviour(client)


def _request(client: socket.socket) -> bytes:
    text = b""
    while b"\r\n\r\n" not in text:
        text += client.recv(65536)
    header, _, body = text.partition(b"\r\n\r\n")
    length = next(
        (
            int(line[15:])
            for line in header.lower().split(b"\r\n")
            if line[:15] == b"content-length:"
        ),
        0,
    )
    while len(body) < length:
        body += client.recv(65536)
    return header + b"\r\n\r\n" + body
