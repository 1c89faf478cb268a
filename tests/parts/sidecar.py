"""The sidecar as its users run it: a process of its own, asked over HTTP."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import httpx

from parts.processes import Child, Part, accepts_connections, free_port
from tokens import SECRET, bearer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START_SECONDS = 60.0
TIMEOUT_SECONDS = 30.0
BASE = "/celery-admin"
NOBODY = "http://127.0.0.1:9"


class Sidecar(Part):
    """``celeriac sidecar`` with a database of its own; entered as soon as ``/readyz`` agrees.

    What is not given is an address where nobody listens. ``extra`` are more arguments of the
    command line, ``env`` more of the environment.
    """

    def __init__(
        self,
        broker_url: str = "redis://127.0.0.1:9/0",
        exporter_url: str = NOBODY,
        prometheus_url: str = NOBODY,
        *,
        extra: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.port = free_port()
        self.root = f"http://127.0.0.1:{self.port}"
        self.url = self.root + BASE
        self.database_path = self.folder / "sidecar.db"
        command = [sys.executable, "-m", "celeriac", "sidecar", "--broker-url", broker_url]
        command += ["--exporter-url", exporter_url, "--prometheus-url", prometheus_url]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--database-url", f"sqlite:///{self.database_path}"]
        environment = {"CELERIAC_JWT_SECRET": SECRET} | dict(env or {})
        self.child = self.adopt(Child("sidecar", [*command, *extra], self.folder, environment))

    def start(self) -> None:
        self.child.start()
        self.child.wait_until(lambda: self.is_ready, START_SECONDS, "/readyz")

    @property
    def is_ready(self) -> bool:
        return accepts_connections(self.port) and httpx.get(f"{self.root}/readyz").is_success

    def client(self, role: str = "admin", /, **claims: Any) -> httpx.Client:
        """Return a client that comes with a token of this role."""
        return httpx.Client(
            base_url=self.url, headers=bearer(role, **claims), timeout=TIMEOUT_SECONDS
        )

    def get(self, path: str, role: str = "admin", /, **parameters: Any) -> httpx.Response:
        """Ask once, with a token of this role."""
        with self.client(role) as client:
            return client.get(path, params=parameters)

    def post(
        self, path: str, body: object = None, role: str = "admin", /, **headers: str
    ) -> httpx.Response:
        """Send a JSON body once, with a token of this role; ``A_b`` is the header ``A-b``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with self.client(role) as client:
            return client.post(path, json=body, headers=named)
