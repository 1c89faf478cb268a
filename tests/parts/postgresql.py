"""A private PostgreSQL server on a socket, of a user that is not root."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.parse

from parts.presence import POSTGRESQL_FOLDERS, require
from parts.processes import Child, Part, inherited_environment

START_SECONDS = 30.0
USER = "postgres"


class PostgreSQL(Part):
    """An empty server with the superuser ``postgres``, and no network. ``child`` can be killed."""

    def __init__(self) -> None:
        require("postgresql")
        super().__init__()
        self._bin = max(POSTGRESQL_FOLDERS.glob("*/bin"))
        self._data = self.folder / "data"
        command = [*self._prefix, self._bin / "postgres", "-D", self._data, "-k", self.folder]
        options = ["-c", "listen_addresses=", "-c", "fsync=off"]
        self.child = self.adopt(Child("postgres", [*map(str, command), *options], self.folder))

    @property
    def url(self) -> str:
        """The database's URL as SQLAlchemy takes it."""
        host = urllib.parse.quote(str(self.folder), safe="")
        return f"postgresql+psycopg://{USER}@/postgres?host={host}"

    def start(self) -> None:
        if not self._data.exists():
            self._make()
        self.child.start()
        self.child.wait_until(self._answers, START_SECONDS, "an answer")

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement on a connection of its own and return its rows."""
        import psycopg

        with psycopg.connect(host=str(self.folder), user=USER, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @property
    def _prefix(self) -> list[str]:
        # PostgreSQL refuses to run as root.
        if os.geteuid() != 0:
            return []
        return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]

    def _make(self) -> None:
        if self._prefix:
            shutil.chown(self.folder, USER)
        command = [*self._prefix, self._bin / "initdb", "-D", self._data, "-U", USER, "-A", "trust"]
        subprocess.run(
            [*map(str, command), "-E", "UTF8", "--no-sync"],
            cwd=self.folder,
            env=inherited_environment(),
            check=True,
            capture_output=True,
        )

    def _answers(self) -> bool:
        done = subprocess.run(
            [self._bin / "pg_isready", "-h", self.folder, "-q"], cwd=self.folder, check=False
        )
        return done.returncode == 0
