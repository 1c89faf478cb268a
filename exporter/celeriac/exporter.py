"""The exporter's composition root: builds each object once, starts them in flow order."""

from __future__ import annotations

import gc
import logging
import signal
import threading
import types

from celeriac import __version__
from celeriac.clock import system_clock
from celeriac.cluster_watch import ClusterWatch, state_options
from celeriac.exposition import compat, families
from celeriac.exposition.families import Family
from celeriac.exposition.health import Health
from celeriac.exposition.landing import landing_page
from celeriac.exposition.messages import Route
from celeriac.exposition.page import MetricsPage
from celeriac.exposition.server import HttpServer
from celeriac.exposition.web_config import WebConfig
from celeriac.model.state import ClusterState
from celeriac.service import Service
from celeriac.settings import ExporterSettings

logger = logging.getLogger(__name__)

# Objects made and not freed until the collector looks for cycles; Python's own is 700.
GARBAGE_THRESHOLD = 20_000

LINKS = {
    "/metrics": "All metrics, from memory",
    "/health": "Every source and its age",
    "/readyz": "Is there something true to serve?",
    "/livez": "Is the process alive?",
}


class Exporter:
    """Everything that runs for one broker. The port is taken by the constructor."""

    def __init__(self, settings: ExporterSettings) -> None:
        self._settings = settings
        state = ClusterState(state_options(settings))
        self._health = Health(state, system_clock)
        self.server = HttpServer(
            settings.host, settings.port, self._routes(state), _web_config(settings)
        )
        self._services: tuple[Service, ...] = (self.server, ClusterWatch(settings, state))

    def start(self) -> None:
        """Start everything; the broker may be absent."""
        for service in self._services:
            service.start()
        logger.info("celeriac %s serves metrics at %s/metrics", __version__, self.server.url)

    def stop(self) -> None:
        """Stop everything, the listener last; whoever asks meanwhile is told."""
        self._health.is_stopping = True
        for service in reversed(self._services):
            service.stop()

    def _routes(self, state: ClusterState) -> dict[str, Route]:
        page = MetricsPage(state, system_clock, _families(self._settings.compat))
        return {
            "/": lambda _: landing_page(__version__, LINKS),
            "/metrics": page.respond,
            "/livez": self._health.live,
            "/readyz": self._health.ready,
            "/health": self._health.health,
        }


def run(settings: ExporterSettings) -> None:
    """Run an exporter until SIGTERM or SIGINT."""
    exporter = Exporter(settings)
    asked_to_stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: types.FrameType | None) -> None:
        asked_to_stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    exporter.start()
    _spare_the_collector()
    asked_to_stop.wait()
    logger.info("stopping")
    exporter.stop()


def _spare_the_collector() -> None:
    """Keep the garbage collector from walking over what stays: modules, and remembered tasks."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 20)


def _families(compat_name: str | None) -> tuple[Family, ...]:
    return compat.FAMILIES if compat_name == compat.NAME else families.FAMILIES


def _web_config(settings: ExporterSettings) -> WebConfig | None:
    return WebConfig(settings.web_config_file) if settings.web_config_file else None
