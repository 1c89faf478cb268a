"""The traffic of a healthy cluster, a share of which can be made to fail."""

from __future__ import annotations

import contextlib
import itertools
import threading
from typing import TYPE_CHECKING, Any, Self

from kombu.exceptions import OperationalError
from redis import RedisError

from workload.drilled_app import make_app

if TYPE_CHECKING:
    from celery import Celery

EVERY_SECONDS = 0.1


class Load:
    """Ten tasks a second to the queue ``celery``, from a thread of its own."""

    def __init__(self, broker_url: str) -> None:
        self.app: Celery = make_app(broker_url)
        self.fails_every = 0
        self._runs = threading.Event()
        self._runs.set()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._runs.set()
        self._thread.join()
        self.app.close()

    def pause(self) -> None:
        self._runs.clear()

    def resume(self) -> None:
        self._runs.set()

    def send(self, name: str, *arguments: Any, queue: str = "celery", **options: Any) -> Any:
        """Publish one task, ``drilled.<name>``."""
        return self.app.send_task(f"drilled.{name}", arguments, queue=queue, **options)

    def _publish(self) -> None:
        for number in itertools.count(1):
            self._runs.wait()
            if self._is_over.wait(EVERY_SECONDS):
                return
            is_bad = bool(self.fails_every) and number % self.fails_every == 0
            with contextlib.suppress(OperationalError, RedisError):
                self.send("fail_if", is_bad, retry=False)
