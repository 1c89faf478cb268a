"""Brokers for every test that asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from parts.rabbitmq import RabbitMQ
from parts.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    """An empty Valkey server for this test alone."""
    with Valkey() as server:
        yield server


@pytest.fixture(scope="session")
def shared_rabbitmq() -> Iterator[RabbitMQ]:
    """One RabbitMQ node with its management API for the whole run; not to be broken."""
    with RabbitMQ(plugins=("rabbitmq_management",)) as node:
        # It takes connections before it takes commands.
        node.control("await_startup")
        yield node


@pytest.fixture
def rabbitmq_url(shared_rabbitmq: RabbitMQ, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty virtual host for this test alone."""
    vhost = f"test-{abs(hash(request.node.nodeid))}"
    yield shared_rabbitmq.add_vhost(vhost)
    shared_rabbitmq.control("delete_vhost", vhost)
