"""All settings: names, defaults, units, bounds. Frozen once they are made."""

from __future__ import annotations

import itertools
import logging
import math
import re
import ssl
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from celeriac.errors import ConfigurationError

logger = logging.getLogger(__name__)

DEFAULT_PORT = 9808
RUNTIME_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
WAIT_BUCKETS = (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
MAX_BUCKETS = 50


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """How the broker is reached."""

    url: str
    transport_options: Mapping[str, Any] = field(default_factory=dict)
    ssl_options: Mapping[str, Any] = field(default_factory=dict)
    management_url: str | None = None
    event_exchange: str = "celeryev"
    control_exchange: str = "celery"


@dataclass(frozen=True, slots=True)
class ExporterSettings:
    """Everything ``celeriac exporter`` is told. Durations are in seconds."""

    broker: BrokerSettings
    host: str = "0.0.0.0"  # noqa: S104  a scrape comes from another host
    port: int = DEFAULT_PORT
    web_config_file: Path | None = None
    queues: frozenset[str] = frozenset()
    runtime_buckets: tuple[float, ...] = RUNTIME_BUCKETS
    queue_wait_buckets: tuple[float, ...] = WAIT_BUCKETS
    prefetch_wait_buckets: tuple[float, ...] = WAIT_BUCKETS
    worker_interval_seconds: float = 10.0
    queue_interval_seconds: float = 5.0
    inspect_timeout_seconds: float = 2.0
    worker_timeout_seconds: float | None = None
    worker_retention_seconds: float = 3600.0
    retry_interval_seconds: float = 10.0
    expected_workers: int | None = None
    enables_events: bool = False
    instance: str = "default"
    event_queue: str = "durable"
    event_queue_length: int = 200_000
    expected_entries: tuple[tuple[str, str], ...] = ()
    """Pairs of a task and its schedule."""
    redbeat_key_prefix: str = "redbeat:"
    beat_interval_seconds: float = 15.0
    counts_processed_by_task: bool = False
    compat: str | None = None
    max_tasks: int = 500
    max_workers: int = 500
    max_queues: int = 200
    max_exceptions: int = 100
    max_beat_entries: int = 500
    max_series: int = 20_000
    max_tracked_tasks: int = 50_000


def buckets(option: str, text: str) -> tuple[float, ...]:
    """Read bounds in seconds, separated by commas: ascending, finite, none twice."""
    try:
        bounds = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ConfigurationError(option, "expected numbers separated by commas") from None
    # The +Inf bucket always exists; naming it is allowed.
    bounds = bounds[:-1] if bounds and bounds[-1] == math.inf else bounds
    if not bounds:
        raise ConfigurationError(option, "expected at least one bucket")
    if not all(math.isfinite(bound) for bound in bounds):
        raise ConfigurationError(option, "a bucket must be a finite number of seconds")
    if any(low >= high for low, high in itertools.pairwise(bounds)):
        raise ConfigurationError(option, "buckets must ascend, none twice")
    if len(bounds) > MAX_BUCKETS:
        raise ConfigurationError(option, f"at most {MAX_BUCKETS} buckets")
    return bounds


def secret_from_file(option: str, path: Path) -> str:
    """Return the first line of a file that only its owner should be able to read."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(option, f"cannot be read: {reason}") from None
    if mode & stat.S_IWOTH:
        raise ConfigurationError(option, "the file can be written by everybody: chmod 600 it")
    if mode & stat.S_IROTH:
        logger.warning("%s: the file can be read by everybody: chmod 600 it", option)
    secret = text.partition("\n")[0].strip()
    if not secret:
        raise ConfigurationError(option, "the file's first line is empty")
    return secret


_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_WORDS: Mapping[str, object] = {"true": True, "false": False, "none": None, "null": None}


_INSTANCE = re.compile(r"[A-Za-z0-9._-]{1,100}")


def instance(option: str, text: str) -> str:
    """Read an exporter's name, which becomes part of a queue's."""
    if not _INSTANCE.fullmatch(text):
        raise ConfigurationError(option, "expected at most 100 letters, digits and any of - _ .")
    return text


def key_values(option: str, pairs: Iterable[str]) -> dict[str, Any]:
    """Read ``key=value`` pairs; numbers, booleans and lists of numbers become what they are."""
    read = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise ConfigurationError(option, "expected key=value")
        read[key.strip()] = _value(value.strip())
    return read


def _value(text: str) -> object:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    if text.startswith("[") and text.endswith("]"):
        return [_value(part.strip()) for part in text[1:-1].split(",") if part.strip()]
    return text


# What kombu reads as a number, and would fail on in the middle of a connection.
_NUMERIC_OPTIONS = frozenset(
    {
        "visibility_timeout", "socket_timeout", "socket_connect_timeout", "max_connections",
        "health_check_interval", "unacked_mutex_expire", "read_timeout", "write_timeout",
        "polling_interval", "wait_time_seconds",
    }
)  # fmt: skip


def transport_options(option: str, pairs: Iterable[str]) -> dict[str, Any]:
    """Read ``--broker-transport-option``; a number that is none is refused here, not later."""
    options = key_values(option, pairs)
    for key, value in options.items():
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if key in _NUMERIC_OPTIONS and not is_number:
            raise ConfigurationError(option, f"{key} must be a number")
    steps = options.get("priority_steps")
    if steps is not None and not (
        isinstance(steps, list) and all(isinstance(step, int) for step in steps)
    ):
        raise ConfigurationError(option, "priority_steps must be a list, for instance [0,3,6,9]")
    return options


_CERT_REQS = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


def ssl_options(option: str, pairs: Iterable[str]) -> dict[str, Any]:
    """Read ``--broker-ssl-option``: the keys of Celery's ``broker_use_ssl``.

    ``cert_reqs`` may be written as Celery's documentation does (``CERT_REQUIRED``) or as redis-py
    does (``required``). A certificate and key that do not match are refused here.
    """
    options = key_values(option, pairs)
    for prefix in ("", "ssl_"):
        _read_cert_reqs(option, options, f"{prefix}cert_reqs")
        _check_files(option, options, prefix)
    return options


def _read_cert_reqs(option: str, options: dict[str, Any], key: str) -> None:
    if key in options:
        word = str(options[key]).lower().removeprefix("ssl.").removeprefix("cert_")
        if word not in _CERT_REQS:
            raise ConfigurationError(option, f"{key} must be none, optional or required")
        options[key] = _CERT_REQS[word]


def _check_files(option: str, options: dict[str, Any], prefix: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    names = [f"{prefix}{name}" for name in ("certfile", "keyfile", "ca_certs")]
    certificate, key, authorities = (options.get(name) for name in names)
    for name in names:
        if not isinstance(options.get(name, ""), str):
            raise ConfigurationError(option, f"{name} must be a path")
    try:
        if authorities:
            context.load_verify_locations(authorities)
        if certificate:
            context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        problem = "key and certificate do not belong together, or one cannot be used"
        raise ConfigurationError(option, f"{problem} ({error.reason})") from None
    except OSError as error:
        raise ConfigurationError(option, f"a file cannot be read: {error.strerror}") from None


def broker_url(option: str, text: str) -> str:
    """Return a broker's URL, or several separated by semicolons, after a look at its shape."""
    for url in text.split(";"):
        if "://" not in url:
            raise ConfigurationError(option, "expected a URL such as redis://host:6379/0")
        try:
            urlsplit(url).port  # noqa: B018  raises if it is out of range
        except ValueError:
            raise ConfigurationError(option, "the port in the URL is not a port") from None
    return text


def http_url(option: str, text: str | None) -> str | None:
    """Return an http or https URL, None as None."""
    if text is None:
        return None
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        # An address that does not end, or a port that is none.
        is_usable = False
    if not is_usable:
        raise ConfigurationError(option, "expected an http:// or https:// URL")
    return text
