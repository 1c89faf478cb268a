"""A child process that the test owns: started in a group of its own, ended with all of it.

Only what a ``Child`` started is ever signalled: its leader stays unreaped until the group is
gone, so neither its pid nor its group id can have passed to somebody else meanwhile.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

POLL_SECONDS = 0.02
STOP_SECONDS = 10.0
PROC = Path("/proc")
LOG_TAIL_CHARACTERS = 4000
TESTS = Path(__file__).resolve().parents[1]
PYTHON_PATH = os.pathsep.join([str(TESTS.parent / "exporter"), str(TESTS)])
# What a developer has set for a cluster of his own must not leak into a test.
PRIVATE_PREFIXES = ("CELERIAC_", "CELERY_", "WORKLOAD_", "BROKER_", "RABBITMQ_", "ERL_")


class PartFailedError(Exception):
    """A part did not do what the test waits for; the message carries the end of its log."""


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(predicate: Callable[[], object], timeout_seconds: float, what: str) -> None:
    """Return as soon as ``predicate()`` is true; raise ``TimeoutError`` that names ``what``."""
    deadline = time.monotonic() + timeout_seconds
    while not predicate():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_seconds:g} s in vain for {what}")
        time.sleep(POLL_SECONDS)


def accepts_connections(port: int, host: str = "127.0.0.1") -> bool:
    """Return True if somebody listens on the port."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


class Child:
    """One command, run in its own process group with its output in ``folder/name.log``.

    It may be started again after it has ended; the log then goes on.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        folder: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.command = [str(word) for word in command]
        self.folder = folder
        self.log_path = folder / f"{name}.log"
        self._env = inherited_environment() | dict(env or {})
        self._popen: subprocess.Popen[bytes] | None = None
        self._returncode: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()

    def start(self) -> None:
        """Start the command; raise ``PartFailedError`` if it runs already."""
        if self._popen is not None:
            raise PartFailedError(f"{self.name} was started twice")
        with self.log_path.open("ab") as log:
            self._popen = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._returncode = None
        atexit.register(self.kill)
        _end_orderly_on_sigterm()

    @property
    def pid(self) -> int:
        """The pid of the running command."""
        if self._popen is None:
            raise PartFailedError(f"{self.name} does not run")
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs or before its first start."""
        if self._popen is not None and not self.is_running:
            self._reap()
        return self._returncode

    @property
    def is_running(self) -> bool:
        return self._popen is not None and not _has_ended(self._popen.pid)

    def wait(self, timeout_seconds: float = 10.0) -> int:
        """Return the exit status once the command ended by itself."""
        wait_for(lambda: not self.is_running, timeout_seconds, f"the end of {self.name}")
        self._reap()
        assert self._returncode is not None
        return self._returncode

    def wait_until(
        self, predicate: Callable[[], object], timeout_seconds: float, what: str
    ) -> None:
        """Return as soon as ``predicate()`` is true.

        Raises:
            PartFailedError: the command ended first, or time ran out; with the end of its log.
        """
        try:
            wait_for(lambda: predicate() or not self.is_running, timeout_seconds, what)
        except TimeoutError as error:
            raise PartFailedError(f"{self.name}: {error}\n{self.log_tail()}") from error
        if not self.is_running:
            status = self.returncode
            raise PartFailedError(f"{self.name} ended with {status}\n{self.log_tail()}")

    def terminate(self, timeout_seconds: float = 15.0) -> int | None:
        """End the command politely, then the rest of its group by force; return its status."""
        if self._popen is None:
            return self._returncode
        # Only the leader is asked: a worker's own children must outlive its warm shutdown.
        self.signal(signal.SIGTERM)
        self.signal_group(signal.SIGCONT)
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: not self.is_running, timeout_seconds, f"the end of {self.name}")
        self._reap()
        return self._returncode

    def kill(self) -> None:
        """End the whole group by SIGKILL."""
        if self._popen is not None:
            self._reap()

    def pause(self) -> None:
        """Stop the whole group by SIGSTOP, and return when the command stands still."""
        self.signal_group(signal.SIGSTOP)
        if PROC.exists():
            wait_for(self._stands_still, STOP_SECONDS, f"{self.name} to stand still")

    def _stands_still(self) -> bool:
        """Return whether every thread of the command is stopped, or gone (proc(5): field 3)."""
        states = []
        for stat in (PROC / str(self.pid) / "task").glob("*/stat"):
            with contextlib.suppress(OSError):
                states.append(stat.read_text().rpartition(")")[2].split()[0])
        return not self.is_running or all(state in "TZX" for state in states)

    def resume(self) -> None:
        """Let the whole group go on by SIGCONT."""
        self.signal_group(signal.SIGCONT)

    def signal(self, signum: int) -> None:
        """Send a signal to the command alone."""
        os.kill(self.pid, signum)

    def signal_group(self, signum: int) -> None:
        """Send a signal to the command and everything that it started in its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signum)

    def local_ports(self) -> set[int]:
        """Return the TCP ports of its own ends of its connections (proc(5): /proc/pid/net/tcp)."""
        process = PROC / str(self.pid)
        sockets = set()
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                sockets.add(str(descriptor.readlink()))
        rows = [row.split() for row in (process / "net" / "tcp").read_text().splitlines()[1:]]
        return {
            int(row[1].rpartition(":")[2], 16) for row in rows if f"socket:[{row[9]}]" in sockets
        }

    def log_text(self) -> str:
        """Return everything the command has written so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self) -> str:
        """Return the end of the log."""
        return self.log_text()[-LOG_TAIL_CHARACTERS:]

    def _reap(self) -> None:
        self.signal_group(signal.SIGKILL)
        if self._popen is not None:
            self._returncode = self._popen.wait()
        self._popen = None
        atexit.unregister(self.kill)


class Part:
    """Something made of children in a folder of its own; leaves no process and no file behind.

    A subclass starts its children in ``start``; ``adopt`` makes them end with the part.
    """

    def __init__(self) -> None:
        self._ends = contextlib.ExitStack()
        folder = tempfile.TemporaryDirectory(prefix="celeriac-", ignore_cleanup_errors=True)
        self.folder = Path(folder.name)
        self._ends.callback(folder.cleanup)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start every child and return when the part can be used."""
        raise NotImplementedError

    def stop(self) -> None:
        """End every child, the last one first, and remove the folder."""
        self._ends.close()

    def adopt(self, child: Child) -> Child:
        """Make a child, running or not yet, end with this part."""
        self._ends.callback(child.terminate)
        return child


def inherited_environment() -> dict[str, str]:
    """Return the environment of a child: ours without settings of clusters, with our packages."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(PRIVATE_PREFIXES)}
    return kept | {"PYTHONPATH": PYTHON_PATH, "PYTHONUNBUFFERED": "1"}


def _end_orderly_on_sigterm() -> None:
    # By default SIGTERM, as timeout(1) sends it, ends Python without any clean-up.
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _has_ended(pid: int) -> bool:
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, pid, flags) is not None
