"""The connections that are open now, bounded: one that only waits makes room for a newcomer."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_COMPLAINTS = 60.0


class OpenConnection:
    """A client's socket, and since when it has been the client's turn to say something."""

    def __init__(self, sock: socket.socket, closing: threading.Event) -> None:
        self.sock = sock
        self.waiting_since: float | None = time.monotonic()
        self._closing = closing

    @property
    def is_closing(self) -> bool:
        """Whether the server stops, so that this answer should be the connection's last."""
        return self._closing.is_set()

    def wait_for_client(self) -> None:
        """Note that from now on we wait; raise ConnectionAbortedError if that makes no sense."""
        # First the note, then the look: whoever closes does it the other way around.
        self.waiting_since = time.monotonic()
        if self.is_closing:
            raise ConnectionAbortedError("the server is stopping")

    def work(self) -> None:
        """Note that it is our turn: the connection is not interrupted while we work."""
        self.waiting_since = None

    def interrupt(self) -> None:
        """End every read and write of the connection, whatever thread is in it."""
        # The plain socket's: that of ssl.SSLSocket pulls the session from under a reader's feet.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class OpenConnections:
    """At most ``limit`` connections, each in exactly one thread's care.

    When all places are taken, the connection that has waited longest for its client is closed for
    the newcomer, so that clients who say nothing cannot keep Prometheus out. If all are being
    answered, the newcomer is refused. ``evicted`` and ``refused`` count both. Once ``closing`` is
    set, a connection ends with the answer it is giving.
    """

    def __init__(self, limit: int, closing: threading.Event) -> None:
        self.evicted = 0
        self.refused = 0
        self._closing = closing
        self._limit = limit
        self._open: set[OpenConnection] = set()
        self._changed = threading.Condition()
        self._complained_at = -_SECONDS_BETWEEN_COMPLAINTS

    def admit(self, sock: socket.socket) -> OpenConnection | None:
        """Return the socket's connection, to be released by its thread; None if refused."""
        with self._changed:
            if len(self._open) >= self._limit and not self._make_room():
                return None
            connection = OpenConnection(sock, self._closing)
            self._open.add(connection)
            return connection

    def release(self, connection: OpenConnection) -> None:
        """Close the connection."""
        # Under the lock: an interruption must not hit a newcomer with the same file descriptor.
        with self._changed:
            self._open.discard(connection)
            connection.sock.close()
            self._changed.notify_all()

    def close(self, grace_seconds: float) -> None:
        """Close those that wait, let the others finish, and in the end close them too."""
        self._closing.set()
        with self._changed:
            self._interrupt([it for it in self._open if it.waiting_since is not None])
            if not self._changed.wait_for(lambda: not self._open, grace_seconds):
                self._interrupt(self._open)
                self._changed.wait_for(lambda: not self._open, 0.5)

    def _make_room(self) -> bool:
        waiting = [(it.waiting_since, it) for it in self._open if it.waiting_since is not None]
        self._complain()
        if not waiting:
            self.refused += 1
            return False
        _, longest = min(waiting, key=lambda pair: pair[0])
        longest.interrupt()
        self._open.discard(longest)
        self.evicted += 1
        return True

    def _complain(self) -> None:
        now = time.monotonic()
        if now - self._complained_at >= _SECONDS_BETWEEN_COMPLAINTS:
            self._complained_at = now
            logger.warning("all %d connections are taken: idle ones are closed", self._limit)

    @staticmethod
    def _interrupt(connections: list[OpenConnection] | set[OpenConnection]) -> None:
        for connection in connections:
            connection.interrupt()
