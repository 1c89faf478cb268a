"""The settings of the sidecar: names, defaults, units. Frozen once they are made."""

from __future__ import annotations

import datetime as dt
import importlib.util
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from celeriac.errors import ConfigurationError
from celeriac.settings import BrokerSettings

DEFAULT_PORT = 8000
DEFAULT_DATABASE = Path("~/.local/share/celeriac/sidecar.db")
MIN_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Whose tokens are good: exactly one of *secret* and *jwks_url* is set."""

    secret: str | None = field(default=None, repr=False)
    jwks_url: str | None = None
    issuer: str | None = None
    audience: str | None = None
    role_claim: str = "role"


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """How much one caller, or all of them, may ask for."""

    max_revoke_ids: int = 10_000
    max_terminate_ids: int = 1_000
    max_body_bytes: int = 4 << 20
    max_websocket_clients: int = 1_000
    max_report_days: int = 31
    rate_limit: str = "60000/minute"


@dataclass(frozen=True, slots=True)
class SidecarSettings:
    """Everything ``celeriac sidecar`` is told. Durations are in seconds."""

    broker: BrokerSettings
    tokens: TokenSettings
    database_url: str = field(repr=False)
    host: str = "0.0.0.0"  # noqa: S104  its clients are on other hosts
    port: int = DEFAULT_PORT
    trusted_proxies: int = 0
    exporter_url: str = "http://localhost:9808"
    prometheus_url: str = "http://localhost:9090"
    prometheus_job: str | None = None
    prometheus_token_file: Path | None = None
    alertmanager_url: str | None = None
    ca_file: Path | None = None
    jwks_refresh_seconds: float = 20.0
    requires_websocket_token: bool = True
    allowed_origins: frozenset[str] = frozenset()
    alerts_token: str | None = field(default=None, repr=False)
    limits: LimitSettings = LimitSettings()
    time_zone: dt.tzinfo = dt.UTC
    poll_interval_seconds: float = 1.0
    control_timeout_seconds: float = 3.0
    report_timeout_seconds: float = 10.0
    operations_memory_seconds: float = 86_400.0


def jwt_secret(option: str, secret: str) -> str:
    """Return a secret for HS256, if it is as long as its hash."""
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise ConfigurationError(option, f"shorter than {MIN_SECRET_BYTES} bytes")
    return secret


def authorities(option: str, file: Path | None) -> Path | None:
    """Return a file of certificates, if that is what it is; None as None."""
    try:
        ssl.create_default_context(cafile=file)
    except OSError:
        raise ConfigurationError(option, "holds no certificate that can be read") from None
    return file


def default_database_url() -> str:
    """Return the URL of a file in the user's data folder."""
    return f"sqlite:///{DEFAULT_DATABASE.expanduser()}"


_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}


def database_url(option: str, text: str) -> str:
    """Return SQLAlchemy's URL of a SQLite file or a PostgreSQL database."""
    scheme, _, rest = text.partition("://")
    expected = "expected sqlite:///path or postgresql://user@host/database"
    try:
        port = urlsplit(text).port
        driver = _DRIVERS[scheme.partition("+")[0]]
    except (KeyError, ValueError):
        raise ConfigurationError(option, expected) from None
    is_file = rest.startswith("/") and len(rest) > 1
    if port == 0 or (driver == "sqlite" and not is_file) or not rest:
        raise ConfigurationError(option, expected)
    if driver != "sqlite" and importlib.util.find_spec("psycopg") is None:
        raise ConfigurationError(option, "needs pip install 'celeriac[postgresql]'")
    return f"{driver}://{rest}"


def time_zone(text: str) -> dt.tzinfo:
    """Return the time zone of that name. Errors: ValueError."""
    try:
        return dt.UTC if text.upper() == "UTC" else ZoneInfo(text)
    except (ZoneInfoNotFoundError, OSError):
        raise ValueError from None


_RATE = re.compile(r"[1-9][0-9]{0,8}/(second|minute|hour|day)")


def rate(text: str) -> str:
    """Return a rate such as ``60000/minute``. Errors: ValueError."""
    if not _RATE.fullmatch(text):
        raise ValueError
    return text


def origin(text: str) -> str:
    """Return the origin of a web page as browsers send it. Errors: ValueError."""
    parts = urlsplit(text)
    is_bare = not (parts.path or parts.query or parts.fragment or parts.username)
    if text != "null" and not (parts.scheme in {"http", "https"} and parts.hostname and is_bare):
        raise ValueError
    return text.lower()
