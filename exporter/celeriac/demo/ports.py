"""Which port does a part of the demo get?"""

from __future__ import annotations

import contextlib
import socket

HOST = "127.0.0.1"
CONNECT_TIMEOUT_SECONDS = 0.5


def choose_port(preferred: int) -> int:
    """Return the preferred port of the loopback interface, or a free one if that is taken."""
    if not accepts_connections(preferred) and can_be_bound(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def accepts_connections(port: int) -> bool:
    """Return whether somebody listens on the port."""
    with (
        contextlib.suppress(OSError),
        socket.create_connection((HOST, port), timeout=CONNECT_TIMEOUT_SECONDS),
    ):
        return True
    return False


def can_be_bound(port: int) -> bool:
    """Return whether a server could listen on the port."""
    with contextlib.suppress(OSError, OverflowError), socket.socket() as probe:
        # Connections of an earlier demo that linger in TIME_WAIT do not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        return True
    return False
