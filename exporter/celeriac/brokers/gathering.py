"""A socket read seldom and much at a time: a system call for each message costs as much as it."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress

POLL_SECONDS = 0.5
RECEIVE_BYTES = 262_144
# How long what follows may wait, so that it comes together. A page is seldom asked for sooner.
GATHER_SECONDS = 0.02


class GatheringSocket:
    """Reads from a connection that somebody else has set up, and keeps."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(POLL_SECONDS)
        self._socket = sock
        self._buffer = memoryview(bytearray(RECEIVE_BYTES))
        self._is_by_records = isinstance(sock, ssl.SSLSocket)
        self._has_caught_up = False

    def read(self) -> memoryview:
        """Return what has come, good until the next call.

        Raises TimeoutError if nothing came for half a second, another OSError if it is over.
        """
        if self._has_caught_up:
            time.sleep(GATHER_SECONDS)
        count = self._socket.recv_into(self._buffer)
        if count == 0:
            raise ConnectionResetError("the broker closed the connection")
        if self._is_by_records:
            count = self._filled_up(count)
        self._has_caught_up = count < RECEIVE_BYTES
        return self._buffer[:count]

    def _filled_up(self, count: int) -> int:
        """Add all that is there after *count* bytes: TLS hands out no more than a record a call.

        Brokers send records of a few hundred bytes. An error will come again with the next read.
        """
        self._socket.settimeout(0)
        with suppress(OSError):
            while count < RECEIVE_BYTES and (more := self._socket.recv_into(self._buffer[count:])):
                count += more
        self._socket.settimeout(POLL_SECONDS)
        return count
