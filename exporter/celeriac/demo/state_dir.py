"""The folder of one demo: its lock, its logs, its data, and ``env`` with addresses and tokens."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from celeriac.errors import ConfigurationError

OPTION = "--state-dir"
# Also the sign by which a folder is known as a demo's: only there anything is ever removed.
LOCK_NAME = "demo.lock"


class StateDir:
    """Where a demo keeps its files; of one demo at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self.env = self.path / "env"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder ready for a new demo, and keep every other one out of it.

        Raises:
            ConfigurationError: another demo runs there, it holds somebody else's files, or it
                cannot be written.
        """
        try:
            self._check_owner()
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / LOCK_NAME).open("a")
        except OSError as error:
            raise ConfigurationError(OPTION, f"cannot be used: {error.strerror}") from None
        with lock:
            self._take(lock.fileno())
            self._clear()
            try:
                yield
            finally:
                self.env.unlink(missing_ok=True)

    def write_env(self, values: Mapping[str, str]) -> None:
        """Write addresses and tokens, complete from the first moment that the file is there."""
        self.write_private("env.new", env_text(values)).replace(self.env)

    def write_private(self, name: str, text: str) -> Path:
        """Write a file that only its owner can read; return its path."""
        path = self.path / name
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        return path

    def _check_owner(self) -> None:
        is_ours = (self.path / LOCK_NAME).exists()
        if not is_ours and self.path.exists() and any(self.path.iterdir()):
            raise ConfigurationError(OPTION, f"{self.path} has files that are not a demo's")

    def _take(self, descriptor: int) -> None:
        try:
            # The kernel lets go of it when the process ends, however that happens.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                OPTION, f"another demo runs in {self.path}: end it, or name another directory"
            ) from None

    def _clear(self) -> None:
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != LOCK_NAME:
                entry.unlink()
        (self.path / ".gitignore").write_text("*\n", encoding="utf-8")
        self.logs.mkdir()


def env_text(values: Mapping[str, str]) -> str:
    """Return one ``KEY=value`` a line, quoted where a shell that reads the file needs it."""
    return "".join(f"{key}={shlex.quote(value)}\n" for key, value in values.items())
