"""The only call to Celery(): broker URL, TLS, transport options, accepted content."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import amqp.exceptions
import kombu.exceptions
import redis.exceptions
from celery import Celery
from kombu import Connection

from celeriac.errors import BrokerRefusedError, BrokerUnavailableError

COMMAND_TIMEOUT_SECONDS = 3.0
# RabbitMQ notices a dead client, and the client a dead broker, after two of these.
AMQP_HEARTBEAT_SECONDS = 8.0

_REFUSALS: tuple[type[Exception], ...] = (
    redis.exceptions.AuthenticationError,
    redis.exceptions.AuthorizationError,
    redis.exceptions.NoPermissionError,
    amqp.exceptions.AccessRefused,
    amqp.exceptions.NotAllowed,
    amqp.exceptions.PreconditionFailed,
)
_OUTAGES: tuple[type[Exception], ...] = (
    OSError,
    kombu.exceptions.OperationalError,
    redis.exceptions.RedisError,
    amqp.exceptions.AMQPError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """How to reach the broker, and the names Celery's own exchanges have there."""

    url: str
    transport_options: Mapping[str, Any] = field(default_factory=dict)
    ssl: Mapping[str, Any] | None = None
    event_exchange: str = "celeryev"
    control_exchange: str = "celery"

    @property
    def scheme(self) -> str:
        return self.url.partition("://")[0].lower()


def make_app(options: BrokerOptions) -> Celery:
    """Return an app that speaks JSON only and belongs to nobody else in this process."""
    app = Celery("celeriac", set_as_current=False, fixups=[])
    app.conf.update(
        broker_url=options.url,
        broker_transport_options=_with_timeouts(options),
        broker_use_ssl=dict(options.ssl) if options.ssl else None,
        broker_connection_timeout=COMMAND_TIMEOUT_SECONDS,
        accept_content=["json"],
        control_exchange=options.control_exchange,
        event_exchange=options.event_exchange,
        worker_enable_remote_control=False,
    )
    return app


def _with_timeouts(options: BrokerOptions) -> dict[str, Any]:
    """Add timeouts, so that a broker that has stopped answering does not stop a source."""
    if options.scheme.startswith(("redis", "sentinel", "valkey")):
        defaults: dict[str, Any] = {
            "socket_timeout": COMMAND_TIMEOUT_SECONDS,
            "socket_connect_timeout": COMMAND_TIMEOUT_SECONDS,
            "socket_keepalive": True,
        }
    elif options.scheme.startswith(("amqp", "pyamqp")):
        defaults = {
            "read_timeout": COMMAND_TIMEOUT_SECONDS,
            "write_timeout": COMMAND_TIMEOUT_SECONDS,
        }
    else:
        defaults = {}
    return defaults | dict(options.transport_options)


def connect(app: Celery, **options: Any) -> Connection:
    """Return a connection that is open. Errors: BrokerUnavailableError, BrokerRefusedError."""
    # The URL is given again because CELERY_BROKER_URL in the environment would replace it.
    connection = app.connection_for_write(app.conf.first("broker_url"), **options)
    with broker_errors(connection):
        connection.ensure_connection(
            max_retries=max(1, len(connection.alt)), interval_start=0, interval_step=0
        )
    return connection


@contextmanager
def broker_errors(connection: Connection) -> Iterator[None]:
    """Turn the drivers' errors into the project's own, named by the broker's address."""
    try:
        yield
    except (BrokerUnavailableError, BrokerRefusedError):
        raise
    except _REFUSALS as error:
        raise BrokerRefusedError(f"{address(connection)}: {brief(error)}") from error
    except _OUTAGES as error:
        if any(isinstance(cause, _REFUSALS) for cause in _causes(error)):
            raise BrokerRefusedError(f"{address(connection)}: {brief(error)}") from error
        raise BrokerUnavailableError(f"{address(connection)}: {brief(error)}") from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def brief(error: BaseException) -> str:
    """Return *error* in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300]


def address(connection: Connection) -> str:
    """Return where *connection* goes, without user and password."""
    parts = urllib.parse.urlsplit(connection.as_uri(include_password=False))
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
