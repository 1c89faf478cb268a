"""A socket that is read much at a time, whatever the pieces are in which it hands out bytes."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from celeriac.brokers.gathering import RECEIVE_BYTES, GatheringSocket
from certificates import signed

Pair = tuple[socket.socket, socket.socket]


def plain_pair(_: Path) -> Pair:
    return socket.socketpair()


def tls_pair(folder: Path) -> Pair:
    signed("broker").write(folder, "broker")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "broker.crt", folder / "broker.key")
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    ours, theirs = socket.socketpair()
    with ThreadPoolExecutor(1) as pool:
        broker = pool.submit(serving.wrap_socket, theirs, server_side=True)
        return trusting.wrap_socket(ours), broker.result()


@pytest.fixture(params=[plain_pair, tls_pair], ids=["plain", "tls"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    ours, theirs = request.param(tmp_path)
    with ours, theirs:
        yield ours, theirs


def test_many_small_pieces_are_one_read(pair: Pair) -> None:
    ours, broker = pair
    for number in range(100):
        broker.sendall(b"%02d" % number)
    read = bytes(GatheringSocket(ours).read())
    assert read == b"".join(b"%02d" % number for number in range(100))


def test_no_read_is_larger_than_its_buffer(pair: Pair) -> None:
    ours, broker = pair
    sent = bytes(range(256)) * (RECEIVE_BYTES // 100)
    gathering, found = GatheringSocket(ours), b""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(broker.sendall, sent)
        while len(found) < len(sent):
            read = gathering.read()
            assert 0 < len(read) <= RECEIVE_BYTES
            found += read
    assert found == sent


def test_silence_is_a_timeout_and_no_end(pair: Pair) -> None:
    ours, broker = pair
    gathering = GatheringSocket(ours)
    broker.sendall(b"x")
    assert bytes(gathering.read()) == b"x"
    with pytest.raises(TimeoutError):
        gathering.read()
    broker.sendall(b"y")
    assert bytes(gathering.read()) == b"y"


def test_what_came_before_the_end_is_read(pair: Pair) -> None:
    ours, broker = pair
    gathering = GatheringSocket(ours)
    broker.sendall(b"last")
    broker.shutdown(socket.SHUT_RDWR)
    assert bytes(gathering.read()) == b"last"
    with pytest.raises(OSError, match="closed"):
        gathering.read()
