"""A broker connection that is made when it is needed and dropped when it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

from celery import Celery
from kombu import Connection

from celeriac.celery_app import broker_errors, connect

Opened = TypeVar("Opened")


class Session(Generic[Opened]):
    """Keeps one connection and what *open_on* made of it, until the first error."""

    def __init__(
        self, app: Celery, open_on: Callable[[Connection], Opened], **options: Any
    ) -> None:
        self._app = app
        self._open_on = open_on
        self._options = options
        self._connection: Connection | None = None
        self._opened: Opened | None = None

    @contextmanager
    def use(self) -> Iterator[Opened]:
        """Yield what was opened. Errors: BrokerUnavailableError, BrokerRefusedError."""
        try:
            if self._connection is None or self._opened is None:
                self._connection = connect(self._app, **self._options)
                with broker_errors(self._connection):
                    self._opened = self._open_on(self._connection)
            with broker_errors(self._connection):
                yield self._opened
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        connection, self._connection, self._opened = self._connection, None, None
        if connection is not None:
            # The other side may be gone already; there is nothing left to say to it.
            with suppress(Exception):
                connection.collect(socket_timeout=0.5)
