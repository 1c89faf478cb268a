"""What is asked of a broker beside its queues and events: one row for each kind."""

from __future__ import annotations

import time
from typing import Protocol

from celery import Celery

from celeriac.doctor.broker_facts import Asked, BrokerFacts
from celeriac.doctor.questions.rabbitmq import RabbitSide
from celeriac.doctor.questions.redis import RedisSide
from celeriac.doctor.unexamined import Unexamined

_REDIS = frozenset({"redis", "rediss", "redis+socket", "sentinel"})
_RABBITMQ = frozenset({"amqp", "amqps", "pyamqp"})


class BrokerSide(Protocol):
    """A broker seen from the side; ``look`` comes before anything of ours is declared there.

    Each call may raise BrokerUnavailableError or BrokerRefusedError.
    """

    def look(self) -> None:
        """See what is there of Celery's."""

    def overhear(self, seconds: float) -> None:
        """Take that long to hear what no source of ours is subscribed to."""

    def facts(self) -> BrokerFacts:
        """Return what was seen and heard."""

    def close(self) -> None: ...


def open_side(scheme: str, app: Celery, asked: Asked, management_url: str | None) -> BrokerSide:
    """Return the broker with URL *scheme*; connects when it is first looked at."""
    if scheme in _REDIS:
        return RedisSide(app, asked)
    return RabbitSide(app, asked, management_url) if scheme in _RABBITMQ else _Nothing(scheme)


class _Nothing:
    """Of any other transport, the sources tell all that there is to know."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme

    def look(self) -> None: ...

    def overhear(self, seconds: float) -> None:
        time.sleep(seconds)

    def facts(self) -> BrokerFacts:
        return BrokerFacts.none(Unexamined(f"{self._scheme}:// cannot be asked for it"))

    def close(self) -> None: ...
