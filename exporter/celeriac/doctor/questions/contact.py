"""Does the broker let us in?"""

from __future__ import annotations

from celery import Celery

from celeriac.celery_app import address, connect
from celeriac.doctor.broker_facts import Asked, Contact
from celeriac.errors import BrokerRefusedError, BrokerUnavailableError


def ask(app: Celery, asked: Asked) -> Contact:
    """Connect once, and say what came of it."""
    try:
        connect(app).close()
    except BrokerRefusedError as error:
        return Contact(asked, "refused", _without(error, asked.broker))
    except BrokerUnavailableError as error:
        return Contact(asked, "unreachable", _without(error, asked.broker))
    return Contact(asked)


def address_of(app: Celery) -> str:
    """Return the broker's address without user and password."""
    return address(app.connection_for_write(app.conf.first("broker_url")))


def _without(error: Exception, broker: str) -> str:
    """Return what was said, without the address that the title has already."""
    return str(error).removeprefix(f"{broker}: ")
