"""The demo's sidecar: its secrets, its tokens, and what it is told."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from celeriac.demo.ports import HOST
from celeriac.demo.state_dir import StateDir
from celeriac.sidecar_settings import TokenSettings
from celeriac.tokens import mint

DEFAULT_PORT = 8000
SECRET_BYTES = 48
TOKEN_SECONDS = 7 * 86_400
# Nobody listens there. Without it, a Prometheus of this machine's own would be asked.
NOWHERE = f"http://{HOST}:1"
# A page opened from disk, and one that a development server serves.
PAGES = ("null", "http://localhost", f"http://{HOST}")


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What the sidecar asks; None is not on this machine."""

    broker_file: Path
    exporter_url: str
    prometheus_url: str | None
    alertmanager_url: str | None


class Sidecar:
    """One sidecar: who may do what at ``host:port`` of it."""

    def __init__(self, state: StateDir, port: int) -> None:
        self.address = f"{HOST}:{port}"
        self.url = f"http://{self.address}"
        self.alerts_token_file = state.write_private("alerts-token", secrets.token_urlsafe())
        secret = secrets.token_urlsafe(SECRET_BYTES)
        self._tokens = TokenSettings(secret)
        self._secret_file = state.write_private("jwt-secret", secret)
        self._database = state.path / "sidecar.db"

    def token(self, role: str) -> str:
        """Return a token of this role, good for a week."""
        return mint(self._tokens, f"demo-{role}", role, TOKEN_SECONDS)

    def command(self, neighbours: Neighbours) -> list[str]:
        host, _, port = self.address.partition(":")
        options = {
            "--host": host,
            "--port": port,
            "--broker-url-file": str(neighbours.broker_file),
            "--exporter-url": neighbours.exporter_url,
            "--prometheus-url": neighbours.prometheus_url or NOWHERE,
            "--database-url": f"sqlite:///{self._database}",
            "--jwt-secret-file": str(self._secret_file),
            "--alerts-token-file": str(self.alerts_token_file),
            "--ws-auth": "optional",
            "--allowed-origins": ",".join(PAGES),
        }
        if neighbours.alertmanager_url is not None:
            options["--alertmanager-url"] = neighbours.alertmanager_url
        pairs = (word for pair in options.items() for word in pair)
        return [sys.executable, "-m", "celeriac", "sidecar", *pairs]
