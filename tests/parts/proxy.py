"""A TCP proxy between a client and a server, each of whose connections can go deaf."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

CHUNK_BYTES = 65536


class Link:
    """One connection through the proxy. ``said`` is the first that its client sent."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.said = b""
        self._ends = (client, server)
        self._passes = threading.Event()
        self._passes.set()
        for source, sink in (self._ends, self._ends[::-1]):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def black_hole(self) -> None:
        """Let nothing through any more, either way, and keep both connections open."""
        self._passes.clear()

    def heal(self) -> None:
        """Let everything through again, also what has waited."""
        self._passes.set()

    def close(self) -> None:
        self._passes.set()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                if source is self._ends[0] and len(self.said) < CHUNK_BYTES:
                    self.said += data
                self._passes.wait()
                sink.sendall(data)
        self.close()


class Proxy:
    """Listens on a port of loopback and passes everything on to another."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.links: list[Link] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for link in self.links:
            link.close()

    def links_that(self, condition: Callable[[bytes], bool]) -> list[Link]:
        """Return the connections whose client has said what *condition* looks for."""
        return [link for link in self.links if condition(link.said)]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.links.append(Link(client, socket.create_connection(self._target)))
