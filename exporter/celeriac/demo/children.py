"""The processes that the demo starts: each in a session of its own, none left behind.

``leash.py`` ties each to the demo, so on Linux they end even when the demo is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from celeriac.errors import CeleriacError

LEASH = [sys.executable, "-I", "-S", str(Path(__file__).with_name("leash.py"))]
LOG_TAIL_LINES = 15
POLL_SECONDS = 0.05
POLITE_SECONDS = 5.0
# What somebody has set for a cluster of his own must not reach the demo's.
FOREIGN_SETTINGS = ("CELERIAC_", "CELERY_")


class ChildDiedError(CeleriacError):
    """Something that the demo started has ended by itself; the message has the end of its log."""

    def __init__(self, name: str, status: int | None, log_tail: str) -> None:
        super().__init__(f"{name} ended with status {status}; the end of its log:\n{log_tail}")


class Child:
    """One running command, and whatever that starts in its process group."""

    def __init__(self, name: str, command: Sequence[str], logs: Path) -> None:
        self.name = name
        self._log = logs / f"{name}.log"
        with self._log.open("wb") as log:
            self._popen = subprocess.Popen(  # noqa: S603  the demo's own commands
                [*LEASH, str(os.getpid()), *command],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C on the terminal reaches the demo alone, which ends the rest in order.
                start_new_session=True,
            )
        self._status: int | None = None

    @property
    def is_running(self) -> bool:
        if self._status is None:
            self._status = self._popen.poll()
            if self._status is not None:
                # At once: a group's id stays taken only while the group has a member.
                self._kill_group()
        return self._status is None

    def check(self) -> None:
        """Raise ``ChildDiedError`` if the command does not run any more."""
        if not self.is_running:
            raise ChildDiedError(self.name, self._status, self._log_tail())

    def ask_to_end(self) -> None:
        # The command alone: a worker's pool must outlive its warm shutdown.
        if self.is_running:
            self._popen.terminate()

    def kill(self) -> None:
        """End the command and its group by force, now."""
        if self.is_running:
            self._kill_group()
            self._status = self._popen.wait()

    def _kill_group(self) -> None:
        # macOS answers EPERM for a group of zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)

    def _log_tail(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LOG_TAIL_LINES:])


class Children:
    """All of them; the first one started, on which the others depend, is the last to end.

    Start them from the main thread: on Linux, the death of the thread is what ends them.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start a command; its output goes to ``logs/NAME.log``."""
        self._children.append(Child(name, command, self._logs))

    def check(self) -> None:
        """Raise ``ChildDiedError`` for the first that has ended."""
        for child in self._children:
            child.check()

    def stop(self) -> None:
        """Ask all to end, kill those that take longer than a few seconds, and wait for them."""
        _end(self._children[1:])
        _end(self._children[:1])


def _end(children: Sequence[Child]) -> None:
    for child in children:
        child.ask_to_end()
    deadline = time.monotonic() + POLITE_SECONDS
    while any(child.is_running for child in children) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for child in children:
        child.kill()


def _environment() -> dict[str, str]:
    kept = {key: text for key, text in os.environ.items() if not key.startswith(FOREIGN_SETTINGS)}
    return kept | {"PYTHONUNBUFFERED": "1"}
