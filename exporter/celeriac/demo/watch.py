"""Waiting that ends early: when the demo is told to stop, or when one of its children has died."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import types
from collections.abc import Callable, Iterator

from celeriac.demo.children import Children
from celeriac.errors import CeleriacError

POLL_SECONDS = 0.2
START_TIMEOUT_SECONDS = 60.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequestedError(Exception):
    """Somebody wants the demo to end; no failure."""


class StartTimeoutError(CeleriacError):
    """A part of the demo runs, and did not become what it should be in time."""


class Watch:
    """Every wait of the demo goes through here."""

    def __init__(self, children: Children, stop_requested: threading.Event) -> None:
        self._children = children
        self._stop_requested = stop_requested

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Return as soon as ``is_so()``.

        Raises:
            StopRequestedError: the demo was told to stop meanwhile.
            ChildDiedError: a child has ended.
            StartTimeoutError: it took more than a minute; ``what`` is named in the message.
        """
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not is_so():
            if time.monotonic() > deadline:
                raise StartTimeoutError(f"waited {START_TIMEOUT_SECONDS:g} s in vain for {what}")
            self._pause()

    def hold(self, duration_seconds: float | None) -> None:
        """Return after that long, None: never; raise as ``until`` does."""
        end = None if duration_seconds is None else time.monotonic() + duration_seconds
        while end is None or time.monotonic() < end:
            self._pause()

    def _pause(self) -> None:
        if self._stop_requested.wait(POLL_SECONDS):
            raise StopRequestedError
        self._children.check()


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into an event, until the context ends."""
    requested = threading.Event()

    def request(_signal: int, _frame: types.FrameType | None) -> None:
        requested.set()

    before = {number: signal.signal(number, request) for number in STOP_SIGNALS}
    try:
        yield requested
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
