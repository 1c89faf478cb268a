"""One WebSocket client: its handshake, its outbox, and how long it may be silent."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.frame_protocol import FrameProtocol

from celeriac.sidecar.problems import ProblemError
from celeriac.sidecar.stream import TICK_SECONDS
from celeriac.sidecar.websocket import (
    ANSWER_SECONDS,
    LEAVE_SECONDS,
    MAX_FRAMES,
    MAX_RECEIVED_BYTES,
    PING_SECONDS,
    Client,
    Outbox,
    accept,
    check_handshake,
    text_frame,
)

WAIT_SECONDS = 5.0
# The example of RFC 6455.
KEY, TOKEN = "dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GOOD = {
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "WebSocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def test_a_good_handshake_is_accepted() -> None:
    headers = Headers(GOOD)
    check_handshake(headers, "HTTP/1.1")
    assert accept(headers, "celeriac.bearer").splitlines()[3:] == [
        b"Sec-WebSocket-Accept: " + TOKEN,
        b"Sec-WebSocket-Protocol: celeriac.bearer",
        b"",
    ]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Upgrade": None}, 426),
        ({"Upgrade": "h2c"}, 426),
        ({"Connection": None}, 426),
        ({"Connection": "keep-alive"}, 426),
        ({"Sec-WebSocket-Version": None}, 426),
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Sec-WebSocket-Version": "13, 8"}, 426),
        ({"Sec-WebSocket-Key": None}, 400),
        ({"Sec-WebSocket-Key": ""}, 400),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZ"}, 400),
        ({"Sec-WebSocket-Key": KEY + KEY}, 400),
        ({"Sec-WebSocket-Key": "ünïcödé"}, 400),
    ],
    ids=str,
)
def test_a_faulty_handshake_is_refused(changed: dict[str, str | None], status: int) -> None:
    headers = {name: text for name, text in (GOOD | changed).items() if text is not None}
    with pytest.raises(ProblemError) as caught:
        check_handshake(Headers(headers), "HTTP/1.1")
    assert caught.value.status == status
    if status == 426:
        assert caught.value.headers == {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}


def test_an_older_http_is_refused() -> None:
    with pytest.raises(ProblemError) as caught:
        check_handshake(Headers(GOOD), "HTTP/1.0")
    assert caught.value.status == 400


# -- the outbox --------------------------------------------------------------------------------


def test_frames_leave_in_the_order_they_came() -> None:
    outbox = Outbox()
    for kind in ("greeting", "picture", "numbers"):
        outbox.put(kind, kind.encode())
    assert [outbox.take() for _ in range(3)] == [b"greeting", b"picture", b"numbers"]


def test_only_the_latest_of_a_kind_is_sent() -> None:
    outbox = Outbox()
    for number in range(1000):
        outbox.put("numbers", b"%d" % number)
    outbox.put("alert", b"alert")
    assert [outbox.take(), outbox.take()] == [b"999", b"alert"]


def test_an_outbox_nobody_empties_does_not_grow_without_end() -> None:
    outbox = Outbox()
    for number in range(2 * MAX_FRAMES):
        outbox.put(f"alert {number}", b"%d" % number)
    outbox.end(b"end")
    assert [outbox.take(), outbox.take()] == [b"end", None]
    assert outbox.take() is None


def test_a_full_outbox_keeps_the_latest() -> None:
    outbox = Outbox()
    for number in range(MAX_FRAMES + 1):
        outbox.put(f"alert {number}", b"%d" % number)
    assert outbox.take() == b"1"


def test_nothing_comes_after_the_end() -> None:
    outbox = Outbox()
    outbox.end(b"first")
    outbox.end(b"second")
    outbox.put("numbers", b"numbers")
    assert [outbox.take(), outbox.take()] == [b"first", None]


def test_whoever_waits_for_a_frame_gets_the_next() -> None:
    outbox, taken = Outbox(), list[bytes | None]()
    thread = threading.Thread(target=lambda: taken.append(outbox.take()))
    thread.start()
    outbox.put("numbers", b"numbers")
    thread.join(WAIT_SECONDS)
    assert taken == [b"numbers"]


# -- a client ----------------------------------------------------------------------------------


class Peer:
    """The other end of a client's connection."""

    def __init__(self, expires_at: float | None = None) -> None:
        ours, self.socket = socket.socketpair()
        self.socket.settimeout(WAIT_SECONDS)
        self.client = Client(ours.fileno(), expires_at)
        self._ours = ours
        self._protocol = Connection(ConnectionType.CLIENT)
        self._reader = threading.Thread(target=self._serve)
        self.client.greet(b"")
        self._reader.start()

    def _serve(self) -> None:
        with self._ours:
            # A peer that is gone resets the connection.
            with contextlib.suppress(OSError):
                self.client.read(self._ours.makefile("rb").read1)
            self.client.close()

    def send(self, event: Event) -> None:
        self.socket.sendall(self._protocol.send(event))

    def event(self) -> Event:
        """Return the next event, the last one for the end of the connection."""
        while True:
            for event in self._protocol.events():
                return event
            self._protocol.receive_data(self.socket.recv(65536) or None)

    def events(self) -> Iterator[Event]:
        """Yield every event up to the end."""
        while not isinstance(event := self.event(), CloseConnection):
            yield event
        yield event

    def tick(self, seconds: float, now_wall: float = 0.0) -> None:
        """Let so much time pass, and a little more."""
        for part in (seconds, 0.01):
            self.client.tick(part, now_wall)

    def answer_ping(self) -> None:
        """Answer the next ping, and return when that has been noticed."""
        ping = self.event()
        assert isinstance(ping, Ping)
        self.send(ping.response())
        self.send(Ping(b"noticed?"))
        assert isinstance(self.event(), Pong)

    def end(self) -> None:
        self.socket.close()
        self._reader.join(WAIT_SECONDS)
        assert not self._reader.is_alive()


@pytest.fixture
def connect() -> Iterator[Callable[..., Peer]]:
    peers: list[Peer] = []

    def make(expires_at: float | None = None) -> Peer:
        peers.append(Peer(expires_at))
        return peers[-1]

    yield make
    for peer in peers:
        peer.end()


Connect = Callable[..., Peer]


def frames() -> st.SearchStrategy[bytes]:
    """Return frames that are nearly right: any opcode, any flags, any length, masked or not."""

    def frame(first: int, is_masked: bool, length: int, payload: bytes) -> bytes:
        return bytes([first, is_masked << 7 | length]) + payload

    first = st.one_of(st.integers(0, 255), st.sampled_from([0x81, 0x01, 0x80, 0x88, 0x89, 0x8A]))
    return st.builds(frame, first, st.booleans(), st.integers(0, 127), st.binary(max_size=140))


def test_a_frame_arrives(connect: Connect) -> None:
    peer = connect()
    peer.client.outbox.put("numbers", text_frame("grün".encode()))
    event = peer.event()
    assert isinstance(event, TextMessage)
    assert event.data == "grün"


def test_a_ping_is_answered(connect: Connect) -> None:
    peer = connect()
    peer.send(Ping(b"hello"))
    event = peer.event()
    assert isinstance(event, Pong)
    assert event.payload == b"hello"


def test_a_client_that_answers_stays(connect: Connect) -> None:
    peer = connect()
    for _ in range(10):
        peer.tick(PING_SECONDS)
        peer.answer_ping()
    assert not peer.client.outbox.has_ended


def test_a_client_that_does_not_answer_is_told_to_leave(connect: Connect) -> None:
    peer = connect()
    peer.tick(PING_SECONDS)
    peer.tick(ANSWER_SECONDS)
    *_, last = peer.events()
    assert isinstance(last, CloseConnection)
    assert last.code == 1008


def test_a_pong_nobody_asked_for_is_no_answer(connect: Connect) -> None:
    peer = connect()
    peer.tick(PING_SECONDS)
    assert isinstance(peer.event(), Ping)
    peer.send(Pong(b"whatever"))
    peer.send(Ping(b"noticed?"))
    assert isinstance(peer.event(), Pong)
    peer.tick(ANSWER_SECONDS)
    assert peer.client.outbox.has_ended


def test_a_client_whose_buffers_are_full_is_cut_off(connect: Connect) -> None:
    peer = connect()
    peer.client.outbox.put("numbers", text_frame(b"x" * (8 << 20)))
    peer.tick(PING_SECONDS)
    peer.tick(ANSWER_SECONDS)
    peer.tick(LEAVE_SECONDS)
    received = 0
    while data := peer.socket.recv(1 << 20):
        received += len(data)
    assert received < 8 << 20


def test_it_takes_less_than_ten_seconds_to_be_rid_of_one_who_does_not_read() -> None:
    assert PING_SECONDS + ANSWER_SECONDS + LEAVE_SECONDS + 3 * TICK_SECONDS < 9


def test_a_token_that_expires_ends_the_connection(connect: Connect) -> None:
    peer = connect(expires_at=1000.0)
    peer.tick(1, now_wall=999.0)
    assert not peer.client.outbox.has_ended
    peer.tick(1, now_wall=1000.0)
    event = peer.event()
    assert isinstance(event, CloseConnection)
    assert event.code == 4401


def test_a_client_that_closes_is_answered(connect: Connect) -> None:
    peer = connect()
    peer.send(CloseConnection(1000, "bye"))
    event = peer.event()
    assert isinstance(event, CloseConnection)
    assert event.code == 1000


def test_what_a_client_says_is_dropped(connect: Connect) -> None:
    peer = connect()
    peer.send(TextMessage("hello"))
    peer.send(Ping(b"x"))
    assert isinstance(peer.event(), Pong)


def test_a_client_that_says_too_much_is_told_to_leave(connect: Connect) -> None:
    peer = connect()
    peer.send(TextMessage("x" * (2 * MAX_RECEIVED_BYTES)))
    event = peer.event()
    assert isinstance(event, CloseConnection)
    assert event.code == 1009


def test_a_client_may_say_a_little_for_ever(connect: Connect) -> None:
    peer = connect()
    for _ in range(10):
        peer.send(TextMessage("x" * (MAX_RECEIVED_BYTES // 4)))
        peer.tick(PING_SECONDS)
        peer.answer_ping()
    assert not peer.client.outbox.has_ended


@pytest.mark.parametrize(
    "raw",
    [
        b"\x81\x05hello",
        b"\xff\xff\xff\xff",
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x89\xfe",
    ],
    ids=["not masked", "reserved", "endless", "long ping"],
)
def test_what_is_no_frame_ends_the_connection(connect: Connect, raw: bytes) -> None:
    peer = connect()
    peer.socket.sendall(raw)
    event = peer.event()
    assert isinstance(event, CloseConnection)
    assert event.code == 1002


def test_frames_after_the_goodbye_are_dropped(connect: Connect) -> None:
    peer = connect()
    protocol = FrameProtocol(client=True, extensions=[])
    peer.socket.sendall(bytes(protocol.close(1000) + protocol.ping(b"x") + protocol.close(1000)))
    event = peer.event()
    assert isinstance(event, CloseConnection | Pong)


@given(st.lists(st.one_of(st.binary(min_size=1), frames()), max_size=8))
def test_nothing_that_is_sent_is_more_than_a_protocol_error(pieces: list[bytes]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, mock.patch("celeriac.sidecar.websocket.LINGER_SECONDS", 0):
        client = Client(ours.fileno(), None)
        client.read(lambda _: pieces.pop(0) if pieces else b"")
        client.close()


def test_a_client_that_vanishes_ends_its_writer(connect: Connect) -> None:
    peer = connect()
    peer.socket.close()
    peer.end()
    assert not peer.client._writer.is_alive()
