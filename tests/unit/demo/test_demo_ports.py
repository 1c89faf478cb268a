"""A default port is taken when it is free, and left alone when it is not."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from celeriac.demo.ports import HOST, accepts_connections, choose_port


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as server:
        yield server


def test_a_free_port_is_taken_as_it_is() -> None:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]

    assert choose_port(port) == port


def test_another_port_is_chosen_when_somebody_listens(listener: socket.socket) -> None:
    taken = listener.getsockname()[1]

    chosen = choose_port(taken)

    assert chosen != taken
    assert not accepts_connections(chosen)


def test_another_port_is_chosen_when_all_addresses_are_listened_on() -> None:
    with socket.create_server(("", 0)) as server:
        assert choose_port(server.getsockname()[1]) != server.getsockname()[1]


def test_a_listener_accepts_connections(listener: socket.socket) -> None:
    assert accepts_connections(listener.getsockname()[1])
