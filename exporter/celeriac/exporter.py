"""The exporter's composition root: builds each object once, starts them in flow order."""

from __future__ import annotations

import gc
import logging
import signal
import threading
import types

from celeriac import __version__, brokers
from celeriac.celery_app import BrokerOptions, make_app
from celeriac.clock import system_clock
from celeriac.control import RemoteControl
from celeriac.exposition import compat, families
from celeriac.exposition.families import Family
from celeriac.exposition.health import Health
from celeriac.exposition.landing import landing_page
from celeriac.exposition.messages import Route
from celeriac.exposition.page import MetricsPage
from celeriac.exposition.server import HttpServer
from celeriac.exposition.web_config import WebConfig
from celeriac.model.admission import Limits
from celeriac.model.state import ClusterState, Intervals, StateOptions
from celeriac.model.tallies import Buckets
from celeriac.model.workers import Patience
from celeriac.service import Periodic, Service
from celeriac.settings import ExporterSettings
from celeriac.sources.events import Backoff, EventsSource
from celeriac.sources.queues import QueuesSource
from celeriac.sources.workers import WorkersOptions, WorkersSource

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
        state = ClusterState(_state_options(settings))
        self._health = Health(state, system_clock)
        self.server = HttpServer(
            settings.host, settings.port, self._routes(state), _web_config(settings)
        )
        self._workers = self._workers_source(state)
        self._queues = self._queues_source(state)
        sample_workers = Periodic(
            "workers", settings.worker_interval_seconds, self._workers.sample_once
        )
        sample_queues = Periodic(
            "queues", settings.queue_interval_seconds, self._queues.sample_once
        )
        events = self._events_source(state, sample_workers)
        self._services: tuple[Service, ...] = (self.server, events, sample_workers, sample_queues)

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
        self._workers.close()
        self._queues.close()

    def _routes(self, state: ClusterState) -> dict[str, Route]:
        page = MetricsPage(state, system_clock, _families(self._settings.compat))
        return {
            "/": lambda _: landing_page(__version__, LINKS),
            "/metrics": page.respond,
            "/livez": self._health.live,
            "/readyz": self._health.ready,
            "/health": self._health.health,
        }

    def _events_source(self, state: ClusterState, sample_workers: Periodic) -> EventsSource:
        options = _broker_options(self._settings)
        app = make_app(options)
        return EventsSource(
            lambda: brokers.subscribe(options.scheme, app),
            state,
            system_clock,
            sample_workers.poke,
            Backoff(cap_seconds=self._settings.retry_interval_seconds),
        )

    def _workers_source(self, state: ClusterState) -> WorkersSource:
        return WorkersSource(
            RemoteControl(make_app(_broker_options(self._settings))),
            state,
            system_clock,
            WorkersOptions(
                inspect_timeout_seconds=self._settings.inspect_timeout_seconds,
                enables_events=self._settings.enables_events,
            ),
        )

    def _queues_source(self, state: ClusterState) -> QueuesSource:
        options = _broker_options(self._settings)
        queues = brokers.open_queues(
            options.scheme, make_app(options), self._settings.broker.management_url
        )
        return QueuesSource(queues, state, system_clock, self._settings.queues)


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


def _broker_options(settings: ExporterSettings) -> BrokerOptions:
    broker = settings.broker
    return BrokerOptions(
        url=broker.url,
        transport_options=broker.transport_options,
        ssl=broker.ssl_options or None,
        event_exchange=broker.event_exchange,
        control_exchange=broker.control_exchange,
    )


def _state_options(settings: ExporterSettings) -> StateOptions:
    return StateOptions(
        buckets=Buckets(
            settings.runtime_buckets, settings.queue_wait_buckets, settings.prefetch_wait_buckets
        ),
        limits=Limits(
            tasks=settings.max_tasks,
            workers=settings.max_workers,
            queues=settings.max_queues,
            exceptions=settings.max_exceptions,
            series=settings.max_series,
            tracked_tasks=settings.max_tracked_tasks,
        ),
        patience=Patience(
            worker_timeout_seconds=settings.worker_timeout_seconds,
            reply_timeout_seconds=3 * settings.worker_interval_seconds,
            retention_seconds=settings.worker_retention_seconds,
        ),
        intervals=Intervals(settings.worker_interval_seconds, settings.queue_interval_seconds),
        expected_workers=settings.expected_workers,
        counts_processed_by_task=settings.counts_processed_by_task,
    )
