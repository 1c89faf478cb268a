"""What the doctor was told, and what it has seen of the broker beside the sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from celeriac.doctor.unexamined import Unexamined
from celeriac.model.facts import QueueDepth


@dataclass(frozen=True, slots=True)
class Asked:
    """What the doctor was told, as far as findings speak of it; no secret."""

    broker: str
    """The broker's address without user and password."""
    scheme: str = "redis"
    event_exchange: str = "celeryev"
    control_exchange: str = "celery"
    instance: str = "default"
    keeps_events: bool = True
    event_queue_length: int = 200_000
    queues: frozenset[str] = frozenset()
    expected_workers: int | None = None
    intervals: Mapping[str, float] = field(default_factory=dict)
    """How often each source is sampled, in seconds."""


@dataclass(frozen=True, slots=True)
class Contact:
    """Whether the broker let us in, and what it said if not."""

    asked: Asked
    failure: Literal["unreachable", "refused"] | None = None
    said: str = ""


class Trace(NamedTuple):
    """What Celery keeps in one Redis database under one prefix."""

    database: int
    prefix: str
    exchanges: frozenset[str]
    workers: frozenset[str]


class Channel(NamedTuple):
    """Where on a Redis server heartbeats are published."""

    prefix: str
    database: int
    exchange: str


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """Celery's keys in all databases of the server, and the channels of heartbeats."""

    asked: Asked
    database: int
    prefix: str
    traces: tuple[Trace, ...] = ()
    channels: frozenset[Channel] = frozenset()


class Pidbox(NamedTuple):
    """The queue in which a worker gets its commands."""

    vhost: str
    worker: str
    control_exchange: str


@dataclass(frozen=True, slots=True)
class RabbitFacts:
    """Celery's exchanges in one virtual host of RabbitMQ."""

    asked: Asked
    vhost: str
    has_event_exchange: bool = True
    has_control_exchange: bool = True
    event_exchange_conflict: str | None = None
    """What RabbitMQ says to Celery's own declaration of it, None if it agrees."""
    pidboxes: tuple[Pidbox, ...] | Unexamined = ()
    """Of all virtual hosts that the management API shows."""
    is_api_configured: bool = False


@dataclass(frozen=True, slots=True)
class EventQueueFacts:
    """The durable queue of the exporter; *depth* is None if there is none."""

    asked: Asked
    name: str
    depth: QueueDepth | None


@dataclass(frozen=True, slots=True)
class Names:
    """The exchanges that are in use, whatever we were told."""

    asked: Asked
    control: Mapping[str, frozenset[str]]
    """The workers that listen to each control exchange."""
    events: frozenset[str]


class BrokerFacts(NamedTuple):
    """What was seen beside the sources; each kind of broker has its own part."""

    redis: RedisFacts | Unexamined
    rabbitmq: RabbitFacts | Unexamined
    event_queue: EventQueueFacts | Unexamined
    names: Names | Unexamined

    @classmethod
    def none(cls, why: Unexamined) -> BrokerFacts:
        """Return that nothing of it could be examined."""
        return cls(why, why, why, why)
