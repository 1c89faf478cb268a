"""The exporters that Celeriac is compared with, in an environment of their own from PyPI.

It is not Celeriac's environment, because celery-exporter wants older releases of what both use.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, TypeAlias

import requests

from bench.consumers import Consumer
from bench.figures import CELERY_EXPORTER, FLOWER
from bench.stage import ROOT
from bench.subscriptions import is_subscribed
from parts.processes import Child, Part, accepts_connections, free_port

FOLDER = ROOT / ".bench" / "others"
PACKAGES = ("prometheus-exporter-celery", "flower", "kombu[redis]")
SHOWN = ("prometheus-exporter-celery", "flower", "celery", "kombu", "redis", "prometheus-client")
# Twice: warnings about somebody's private index are none of ours.
QUIETLY = ("--quiet", "--quiet", "--disable-pip-version-check")
START_SECONDS = 60.0
# Under load a page takes them tens of seconds.
PAGE_SECONDS = 600.0
# It has no console script.
_RUN_CELERY_EXPORTER = "from src.cli import cli; cli()"
_TELL_VERSIONS = (
    "import importlib.metadata as m, json, sys;"
    "print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
)

Start: TypeAlias = Callable[[str], Consumer]
"""Takes a broker's URL, returns a consumer that is not started yet."""


def install(say: Callable[[str], None], folder: Path = FOLDER) -> Path:
    """Return the Python of the others' environment; made with pip if it is not there yet."""
    python, complete = folder / "bin" / "python", folder / ".complete"
    if not complete.exists():
        say(f"installing {', '.join(PACKAGES)} from PyPI in {folder}")
        _run([sys.executable, "-m", "venv", "--clear", folder])
        _run([python, "-m", "pip", "install", *QUIETLY, *PACKAGES])
        complete.touch()
    say("beside " + ", ".join(f"{name} {release}" for name, release in versions(python).items()))
    return python


def versions(python: Path) -> dict[str, str]:
    """Return the installed releases by package."""
    told: dict[str, str] = json.loads(_run([python, "-c", _TELL_VERSIONS, *SHOWN]))
    return told


def the_others(python: Path | None) -> tuple[Start, ...]:
    """Return how to start each of them; nothing if they shall not take part."""
    if python is None:
        return ()
    return (lambda url: CeleryExporter(python, url), lambda url: Flower(python, url))


class _Other(Part):
    """One of them: entered when it has subscribed to events and serves its page."""

    name: str
    count: ClassVar[re.Pattern[str]]
    """A line of its page that counts task events: their kind, and how many."""

    def __init__(self, python: Path, broker_url: str) -> None:
        super().__init__()
        self._broker_url = broker_url
        self._port = free_port()
        self.page_url = f"http://127.0.0.1:{self._port}/metrics"
        command = [str(python), *self._arguments()]
        # Without our packages on its path.
        self.child = self.adopt(Child(self.name, command, self.folder, {"PYTHONPATH": ""}))

    def start(self) -> None:
        self.child.start()
        listens = self.child.wait_until
        listens(lambda: accepts_connections(self._port), START_SECONDS, "its page")
        listens(lambda: is_subscribed(self._broker_url), START_SECONDS, "its subscription")

    @property
    def pid(self) -> int:
        return self.child.pid

    def counted(self) -> Counter[str]:
        """Return the task events by type; heartbeats are on neither's page."""
        page = requests.get(self.page_url, timeout=PAGE_SECONDS)
        page.raise_for_status()
        return task_events(self.count, page.text)

    def _arguments(self) -> Sequence[str]:
        raise NotImplementedError


class CeleryExporter(_Other):
    """danihodovic/celery-exporter with its defaults."""

    name = CELERY_EXPORTER
    count = re.compile(r"^celery_task_([a-z]+)_total\{.*\} (\S+)$", re.MULTILINE)

    def _arguments(self) -> Sequence[str]:
        options = (f"--broker-url={self._broker_url}", "--host=127.0.0.1", f"--port={self._port}")
        return ("-c", _RUN_CELERY_EXPORTER, *options)


class Flower(_Other):
    """mher/flower with its defaults."""

    name = FLOWER
    count = re.compile(r'^flower_events_total\{.*type="task-([a-z]+)".*\} (\S+)$', re.MULTILINE)

    def _arguments(self) -> Sequence[str]:
        broker = f"--broker={self._broker_url}"
        return ("-m", "celery", broker, "flower", f"--port={self._port}", "--address=127.0.0.1")


def task_events(line: re.Pattern[str], page: str) -> Counter[str]:
    """Return the sum of what the lines of a page say, by type."""
    counts: Counter[str] = Counter()
    for kind, value in line.findall(page):
        counts[f"task-{kind}"] += int(float(value))
    return counts


def _run(command: Sequence[str | Path]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
