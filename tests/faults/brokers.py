"""The two brokers of these tests, by name."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import pytest

from parts.rabbitmq import RabbitMQ
from parts.valkey import Valkey

NAMES = ("valkey", "rabbitmq")


def broker(name: str, request: pytest.FixtureRequest) -> AbstractContextManager[Valkey | RabbitMQ]:
    """Return an empty Valkey, or the RabbitMQ of the whole run, which takes longer to start."""
    if name == "valkey":
        return Valkey()
    return nullcontext(request.getfixturevalue("shared_rabbitmq"))
