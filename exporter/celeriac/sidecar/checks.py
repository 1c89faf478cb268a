"""Is everything there that the sidecar needs? Each part looked at beside the others, briefly."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Literal, NamedTuple, TypeAlias

import msgspec
from celery import Celery

from celeriac.celery_app import connect
from celeriac.clients.exporter_page import ExporterPage, ExporterPageError
from celeriac.clients.prometheus_api import PrometheusApi
from celeriac.clients.promql import query
from celeriac.errors import CeleriacError
from celeriac.sidecar.database import Database

logger = logging.getLogger(__name__)

Status = Literal["healthy", "degraded", "unhealthy"]

FRESH_SECONDS = 2.0
# A little less than most probes wait; every part has a timeout of its own.
PATIENCE_SECONDS = 3.5
PROMETHEUS_SECONDS = 2.0
WORKERS = "celery_active_workers"


class Check(msgspec.Struct, frozen=True):
    """How one part is."""

    status: Status
    detail: str


Checks: TypeAlias = Mapping[str, Check]


class Part(NamedTuple):
    """What one look tells about, and what to believe if there is no answer."""

    names: tuple[str, ...]
    look: Callable[[], Checks]


class Checkup:
    """Looks at all parts at once, at most every two seconds, and waits for none for long."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._threads = ThreadPoolExecutor(4 * len(parts), "checkup")
        self._lock = threading.Lock()
        self._checks: Checks = {}
        self._looked_mono = float("-inf")

    def checks(self) -> Checks:
        """Return how every part is now, or was a moment ago."""
        with self._lock:
            if time.monotonic() - self._looked_mono >= FRESH_SECONDS:
                self._checks = self._look()
                self._looked_mono = time.monotonic()
            return self._checks

    def _look(self) -> Checks:
        looks = [(part, self._threads.submit(part.look)) for part in self._parts]
        wait([look for _, look in looks], PATIENCE_SECONDS)
        return {name: check for part, look in looks for name, check in _seen(part, look).items()}


def _seen(part: Part, look: Future[Checks]) -> Checks:
    if not look.done():
        return dict.fromkeys(part.names, Check("unhealthy", "no answer in time"))
    if error := look.exception():
        logger.error("a look at %s failed; please report it", part.names, exc_info=error)
        return dict.fromkeys(part.names, Check("unhealthy", "cannot be looked at"))
    return look.result()


def overall(checks: Checks) -> Status:
    """Return the status of the whole: without its broker, a cluster does nothing."""
    if checks["broker"].status == "unhealthy":
        return "unhealthy"
    return "healthy" if all(c.status == "healthy" for c in checks.values()) else "degraded"


def part(name: str, ask: Callable[[], object], otherwise: str = "") -> Part:
    """Return a part that is healthy if *ask* raises none of our errors.

    What else is said then are the error's own words, or *otherwise*.
    """

    def look() -> Checks:
        try:
            ask()
        except CeleriacError as error:
            return {name: Check("unhealthy", otherwise or str(error))}
        return {name: Check("healthy", "answers")}

    return Part((name,), look)


def exporter_part(exporter: ExporterPage) -> Part:
    """Return the exporter and, as only it knows them, the workers."""

    def look() -> Checks:
        try:
            workers = exporter.fetch([WORKERS]).one(WORKERS) or 0
        except ExporterPageError as error:
            unknown = Check("degraded", "not known without the exporter")
            return {"exporter": Check("unhealthy", str(error)), "workers": unknown}
        up = Check("healthy" if workers else "unhealthy", f"{workers:.0f} up")
        return {"exporter": Check("healthy", "answers"), "workers": up}

    return Part(("exporter", "workers"), look)


def broker_part(app: Celery) -> Part:
    return part("broker", lambda: connect(app).release(), "cannot be reached, or refuses")


def prometheus_part(api: PrometheusApi) -> Part:
    def ask() -> None:
        api.post("/query", {"query": query("alive")}, time.monotonic() + PROMETHEUS_SECONDS)

    return part("prometheus", ask)


def database_part(database: Database) -> Part:
    def ask() -> None:
        with database.read():
            pass

    return part("database", ask)
