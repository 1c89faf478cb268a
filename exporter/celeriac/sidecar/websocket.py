"""One WebSocket client: its handshake, what it has to be sent, and whether it reads at all."""

from __future__ import annotations

import binascii
import os
import socket
import threading
import time
from base64 import b64decode
from collections.abc import Callable

from werkzeug.datastructures import Headers
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Event, Ping, Pong
from wsproto.frame_protocol import FrameProtocol
from wsproto.utilities import RemoteProtocolError, generate_accept_token

from celeriac.sidecar.problems import ProblemError

VERSION = "13"
KEY_BYTES = 16
READ_BYTES = 4096
# From one ping to the next; nobody has anything to say to us.
MAX_RECEIVED_BYTES = 16 << 10
MAX_FRAMES = 1024
LINGER_SECONDS = 0.5

GOING_AWAY, PROTOCOL_ERROR, NOT_READING, TOO_MUCH, TOKEN_EXPIRED = 1001, 1002, 1008, 1009, 4401

PING_SECONDS = 1.0
ANSWER_SECONDS = 4.0
LEAVE_SECONDS = 1.0


def accept(headers: Headers, protocol: str | None) -> bytes:
    """Return the answer to a handshake that ``check_handshake`` found good."""
    token = generate_accept_token(headers["Sec-WebSocket-Key"].strip().encode())
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"]
    lines.append(b"Sec-WebSocket-Accept: " + token)
    if protocol is not None:
        lines.append(b"Sec-WebSocket-Protocol: " + protocol.encode())
    return b"\r\n".join([*lines, b"", b""])


def check_handshake(headers: Headers, http: str) -> None:
    """Check what a client sends to become one, and by which HTTP. Errors: ProblemError 400, 426."""
    upgrade = {"Upgrade": "websocket", "Sec-WebSocket-Version": VERSION}
    connection = [word.strip().lower() for word in headers.get("Connection", "").split(",")]
    if headers.get("Upgrade", "").lower() != "websocket" or "upgrade" not in connection:
        raise ProblemError(426, "this is a WebSocket: ask for an upgrade", upgrade)
    if headers.get("Sec-WebSocket-Version", "") != VERSION:
        raise ProblemError(426, f"only version {VERSION} of WebSocket is spoken here", upgrade)
    if http != "HTTP/1.1":
        raise ProblemError(400, "a WebSocket needs HTTP/1.1")
    if not _is_key(headers.get("Sec-WebSocket-Key", "").strip()):
        raise ProblemError(400, "Sec-WebSocket-Key must be 16 bytes in base64")


def _is_key(text: str) -> bool:
    try:
        return len(b64decode(text, validate=True)) == KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def text_frame(text: bytes) -> bytes:
    """Return a message as it goes over the wire, the same for every client."""
    return bytes(_frames().send_data(text.decode(), fin=True))


def close_frame(code: int, reason: str = "") -> bytes:
    return bytes(_frames().close(code, reason))


def _frames() -> FrameProtocol:
    return FrameProtocol(client=False, extensions=[])


class Outbox:
    """What a client has still to be sent: of each kind the latest only, and not without end."""

    def __init__(self) -> None:
        self._frames: dict[str, bytes] = {}
        self._changed = threading.Condition()
        self.has_ended = False

    def put(self, kind: str, frame: bytes) -> None:
        """Have *frame* sent, in place of an unsent one of the same kind."""
        with self._changed:
            if self.has_ended:
                return
            self._frames[kind] = frame
            if len(self._frames) > MAX_FRAMES:
                del self._frames[next(iter(self._frames))]
            self._changed.notify()

    def end(self, frame: bytes) -> None:
        """Have *frame* sent as the last one, in place of everything unsent."""
        with self._changed:
            if not self.has_ended:
                self._frames, self.has_ended = {"end": frame}, True
                self._changed.notify()

    def take(self) -> bytes | None:
        """Wait for the next frame; None after the last one."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self.has_ended)
            if not self._frames:
                return None
            return self._frames.pop(next(iter(self._frames)))


class Client:
    """One connection. Its reader is the request's thread, its writer one of its own."""

    def __init__(self, file_number: int, expires_at: float | None) -> None:
        """Take the socket's file; *expires_at* is when the client's token does."""
        self._socket = socket.socket(fileno=os.dup(file_number))
        self._expires_at = expires_at
        self._ping = b""
        self._waited_seconds = 0.0
        self._received = 0
        self.outbox = Outbox()
        self.is_welcome = False
        self._writer = threading.Thread(target=self._write, name="websocket", daemon=True)

    def greet(self, head: bytes) -> None:
        """Answer the handshake, and send from now on. Errors: OSError."""
        self._socket.sendall(head)
        self._writer.start()

    def read(self, read: Callable[[int], bytes]) -> None:
        """Take the client's frames until it ends; whatever it says is dropped. Errors: OSError."""
        connection = Connection(ConnectionType.SERVER)
        try:
            while (data := read(READ_BYTES)) and not self._is_flooding(len(data)):
                connection.receive_data(data)
                for event in connection.events():
                    self._take(event)
        except RemoteProtocolError:
            self.leave(PROTOCOL_ERROR)
            time.sleep(LINGER_SECONDS)

    def close(self) -> None:
        """Let the last frame out, then end the connection."""
        self.leave()
        if self._writer.is_alive():
            self._writer.join(LINGER_SECONDS)
        self.cut()
        self._socket.close()

    def leave(self, code: int = GOING_AWAY, reason: str = "") -> None:
        """Say goodbye; if the client does not, it is cut off a little later."""
        self.outbox.end(close_frame(code, reason))
        self._waited_seconds = 0.0

    def cut(self) -> None:
        """End the connection; whoever waits for it wakes up."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def tick(self, seconds: float, now_wall: float) -> None:
        """Ping the client, and let it go if it is silent, has been told to, or has expired.

        *seconds* have passed since the last tick, or less if this process was held up.
        """
        self._waited_seconds += seconds
        if self.outbox.has_ended:
            if self._waited_seconds > LEAVE_SECONDS:
                self.cut()
        elif self._expires_at is not None and now_wall >= self._expires_at:
            self.leave(TOKEN_EXPIRED, "the token has expired")
        elif self._ping and self._waited_seconds > ANSWER_SECONDS:
            self.leave(NOT_READING, "no answer to a ping")
        elif not self._ping and self._waited_seconds >= PING_SECONDS:
            self._send_ping()

    def _send_ping(self) -> None:
        self._ping, self._waited_seconds, self._received = os.urandom(4), 0.0, 0
        self.outbox.put("ping", bytes(_frames().ping(self._ping)))

    def _is_flooding(self, n: int) -> bool:
        """Count what came since the last ping; say goodbye to a client that sends too much."""
        self._received += n
        if self._received <= MAX_RECEIVED_BYTES:
            return False
        self.leave(TOO_MUCH, "clients have nothing to say here")
        # An end with something unread is a reset, which would overtake the goodbye.
        time.sleep(LINGER_SECONDS)
        return True

    def _take(self, event: Event) -> None:
        if isinstance(event, Ping):
            self.outbox.put("pong", bytes(_frames().pong(bytes(event.payload))))
        elif isinstance(event, Pong) and bytes(event.payload) == self._ping:
            self._ping = b""
        elif isinstance(event, CloseConnection):
            self.outbox.end(close_frame(event.code))

    def _write(self) -> None:
        try:
            while (frame := self.outbox.take()) is not None:
                self._socket.sendall(frame)
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.cut()
