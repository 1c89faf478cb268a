"""One file per broker, one row per URL scheme."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

from celeriac.brokers.contract import EventStream, Queues
from celeriac.errors import ConfigurationError

# Each module has the classes BrokerQueues and BrokerEventStream. What kombu knows beyond this
# table goes through kombu.
_MODULES = dict.fromkeys(TRANSPORT_ALIASES, "celeriac.brokers.other") | {
    "redis": "celeriac.brokers.redis",
    "rediss": "celeriac.brokers.redis",
    "redis+socket": "celeriac.brokers.redis",
    "sentinel": "celeriac.brokers.redis",
    "amqp": "celeriac.brokers.amqp",
    "amqps": "celeriac.brokers.amqp",
    "pyamqp": "celeriac.brokers.amqp",
}


def check_scheme(scheme: str) -> None:
    """Raise ConfigurationError if no broker has URLs that begin with *scheme*."""
    if scheme not in _MODULES:
        known = ", ".join(sorted(_MODULES, key=str.lower))
        raise ConfigurationError("--broker-url", f"unknown scheme; known are {known}")


def open_queues(scheme: str, app: Celery, management_url: str | None = None) -> Queues:
    """Return the queues of the broker with URL *scheme*; connects when they are first fetched."""
    queues: Queues = _module(scheme).BrokerQueues(app, management_url)
    return queues


def subscribe(scheme: str, app: Celery) -> EventStream:
    """Return a new subscription. Errors: BrokerUnavailableError, BrokerRefusedError."""
    stream: EventStream = _module(scheme).BrokerEventStream(app)
    return stream


def _module(scheme: str) -> Any:
    return import_module(_MODULES[scheme])
