"""What the sidecar remembers, in SQLite or PostgreSQL: one writer at a time, and nothing half."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, create_engine, event, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from celeriac.errors import CeleriacError

LOCK_TIMEOUT_SECONDS = 3
# Any numbers that nobody else takes.
WRITERS_LOCK, USERS_LOCK = 0x63656C65, 0x63656C66

metadata = MetaData()

_CONNECT: dict[str, dict[str, Any]] = {
    "sqlite": {"timeout": LOCK_TIMEOUT_SECONDS},
    "postgresql": {
        "application_name": "celeriac-sidecar",
        "connect_timeout": LOCK_TIMEOUT_SECONDS,
        "tcp_user_timeout": LOCK_TIMEOUT_SECONDS * 1000,
    },
}
# Held until the end of the transaction, against every other process too.
_BEGIN_WRITING = {
    "sqlite": ("BEGIN IMMEDIATE",),
    "postgresql": (
        f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'",
        "SET LOCAL synchronous_commit = on",
        f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})",
    ),
}
_BEGIN_READING = {
    "sqlite": ("BEGIN",),
    "postgresql": ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",),
}


class DatabaseError(CeleriacError):
    """The database cannot be used: check that it is there, its free space and its permissions."""


class Database:
    """Makes its file and tables when it is first written to; takes any number of threads."""

    def __init__(self, url: str) -> None:
        self._dialect = url.partition(":")[0].partition("+")[0]
        self._engine = create_engine(
            url,
            connect_args=_CONNECT[self._dialect],
            pool_timeout=LOCK_TIMEOUT_SECONDS,
            pool_pre_ping=True,
        )
        self._path = Path(self._engine.url.database or "") if self._dialect == "sqlite" else None
        self._has_tables = False
        # SQLite waits for another writer without letting other greenlets run.
        self._writing = threading.Lock()
        self._ends = ExitStack()
        if self._path:
            event.listen(self._engine, "connect", _set_up_sqlite)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a transaction that no other runs beside. Errors: DatabaseError, IntegrityError."""
        with self._writing, _named_errors():
            if not self._has_tables and self._path:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.touch(mode=0o600)
            with self._begin(_BEGIN_WRITING) as connection:
                if not self._has_tables:
                    metadata.create_all(connection)
                yield connection
            self._has_tables = True

    @contextmanager
    def read(self, *, makes_tables: bool = True) -> Iterator[Connection]:
        """Yield a transaction that sees one moment. Errors: DatabaseError."""
        if makes_tables and not self._has_tables:
            # What cannot be written may still be read.
            with suppress(DatabaseError), self.write():
                pass
        with _named_errors():
            if self._path and not self._path.exists():
                raise FileNotFoundError(self._path)
            with self._begin(_BEGIN_READING) as connection:
                yield connection

    @cached_property
    def was_ours_alone(self) -> bool:
        """Whether no other process used the database when this was first asked.

        From then on, others find that it is used. Errors: DatabaseError.
        """
        with _named_errors():
            return self._claim_file(self._path) if self._path else self._claim_server()

    def close(self) -> None:
        self._ends.close()
        self._engine.dispose()

    def _claim_file(self, path: Path) -> bool:
        path.parent.mkdir(parents=True, exist_ok=True)
        claim = os.open(f"{path}-users", os.O_RDWR | os.O_CREAT, 0o600)
        # Whatever ends the process ends its claim.
        self._ends.callback(os.close, claim)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            fcntl.flock(claim, fcntl.LOCK_SH)
        return True

    def _claim_server(self) -> bool:
        connection = self._ends.enter_context(self._engine.connect())
        connection.execution_options(isolation_level="AUTOCOMMIT")
        is_alone = bool(connection.scalar(text(f"SELECT pg_try_advisory_lock({USERS_LOCK})")))
        connection.execute(text(f"SELECT pg_advisory_lock_shared({USERS_LOCK})"))
        if is_alone:
            connection.execute(text(f"SELECT pg_advisory_unlock({USERS_LOCK})"))
        return is_alone

    @contextmanager
    def _begin(self, statements: Mapping[str, tuple[str, ...]]) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            for statement in statements[self._dialect]:
                connection.exec_driver_sql(statement)
            yield connection


def _set_up_sqlite(connection: Any, _: object) -> None:
    # Transactions begin when we say so (sqlite3 of Python 3.11 and later).
    connection.isolation_level = None
    # The log is flushed at every commit: what is written outlives a power cut.
    for pragma in ("journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")


@contextmanager
def _named_errors() -> Iterator[None]:
    """Turn errors into our own; the texts of SQLAlchemy's hold statements and their values."""
    try:
        yield
    except IntegrityError:
        raise
    except (SQLAlchemyError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        raise DatabaseError(f"the database cannot be used ({type(cause).__name__})") from error
