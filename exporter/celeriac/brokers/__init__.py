"""One file per broker, one row per URL scheme."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

from celeriac.brokers.contract import EventStream, Queues, StoredSchedule
from celeriac.brokers.event_queue import EventQueue
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


def subscribe(scheme: str, app: Celery, queue: EventQueue) -> EventStream:
    """Return a new subscription. Errors: BrokerUnavailableError, BrokerRefusedError.

    The same *queue* every time: it knows what was counted last.
    """
    stream: EventStream = _module(scheme).BrokerEventStream(app, queue)
    return stream


def open_redbeat(scheme: str, app: Celery, key_prefix: str) -> StoredSchedule | None:
    """Return RedBeat's schedule, None if the broker is not Redis or *key_prefix* is empty."""
    if not key_prefix or _MODULES[scheme] != "celeriac.brokers.redis":
        return None
    schedule: StoredSchedule = import_module("celeriac.brokers.redbeat").RedBeatSchedule(
        app, key_prefix
    )
    return schedule


def _module(scheme: str) -> Any:
    return import_module(_MODULES[scheme])
