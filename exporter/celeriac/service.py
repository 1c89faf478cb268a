"""The Start/Stop contract of everything that runs, and Periodic, the one sampling loop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

logger = logging.getLogger(__name__)


class Service(Protocol):
    """Something that runs beside others between one start and one stop.

    ``start`` returns at once and does not fail because a remote part is away.
    ``stop`` may be called twice, and returns when nothing of the service runs any more.
    """

    name: str

    def start(self) -> None: ...

    def stop(self) -> None: ...


def begin_to_stop(services: Iterable[Service]) -> list[threading.Thread]:
    """Stop them beside each other; return threads that end when they have stopped.

    With a broker that hangs, each may take its whole time.
    """
    stops = [threading.Thread(target=service.stop, daemon=True) for service in services]
    for stop in stops:
        stop.start()
    return stops


class Background:
    """A service with one thread, whose body watches ``self.stopping``."""

    def __init__(self, name: str, stop_timeout_seconds: float = 5.0) -> None:
        self.name = name
        self.stopping = threading.Event()
        self._stop_timeout_seconds = stop_timeout_seconds
        self._thread = threading.Thread(target=self._run_logged, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        if self._thread.is_alive():
            self._thread.join(self._stop_timeout_seconds)

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def run(self) -> None:
        """Do the work until ``self.stopping`` is set."""
        raise NotImplementedError

    def _run_logged(self) -> None:
        try:
            self.run()
        except Exception:
            logger.exception(
                "%s ended by an error that nobody expected; please report it", self.name
            )


class Periodic(Background):
    """Call ``run_once`` every ``interval_seconds``, at once when poked, until stopped.

    ``run_once`` may return after how many seconds it wants to run again instead. It reports its
    own failures; an exception that gets out of it ends the service.
    """

    def __init__(
        self, name: str, interval_seconds: float, run_once: Callable[[], float | None]
    ) -> None:
        super().__init__(name)
        self._interval_seconds = interval_seconds
        self._run_once = run_once
        self._due = threading.Event()

    def poke(self) -> None:
        """Make the next run due now."""
        self._due.set()

    def stop(self) -> None:
        self.stopping.set()
        self._due.set()
        super().stop()

    def run(self) -> None:
        while not self.stopping.is_set():
            self._due.clear()
            wish = self._run_once()
            if not self.stopping.is_set():
                self._due.wait(self._interval_seconds if wish is None else wish)
