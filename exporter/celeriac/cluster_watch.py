"""What follows one broker's cluster: the state and the sources that write it, without a page."""

from __future__ import annotations

from celeriac import brokers
from celeriac.brokers.event_queue import EventQueue
from celeriac.celery_app import BrokerOptions, make_app
from celeriac.clock import system_clock
from celeriac.control import RemoteControl
from celeriac.model.admission import Limits
from celeriac.model.state import ClusterState, Intervals, StateOptions
from celeriac.model.tallies import Buckets
from celeriac.model.workers import Patience
from celeriac.service import Periodic, Service
from celeriac.settings import ExporterSettings
from celeriac.sources.beat import BeatSource
from celeriac.sources.events import Backoff, EventsSource
from celeriac.sources.queues import QueuesSource
from celeriac.sources.workers import WorkersOptions, WorkersSource


class ClusterWatch:
    """All sources of one broker, each with a thread and a connection of its own.

    They write *state*, which belongs to whoever reads it.
    """

    name = "sources"

    def __init__(self, settings: ExporterSettings, state: ClusterState) -> None:
        self._settings = settings
        self._workers = self._workers_source(state)
        self._queues = self._queues_source(state)
        self._beat = self._beat_source(state)
        sample_workers = Periodic(
            "workers", settings.worker_interval_seconds, self._workers.sample_once
        )
        sample_queues = Periodic(
            "queues", settings.queue_interval_seconds, self._queues.sample_once
        )
        sample_beat = Periodic("beat", settings.beat_interval_seconds, self._beat.sample_once)
        events = self._events_source(state, sample_workers)
        self._services: tuple[Service, ...] = (events, sample_workers, sample_queues, sample_beat)

    def start(self) -> None:
        """Start everything; the broker may be absent."""
        for service in self._services:
            service.start()

    def stop(self) -> None:
        for service in reversed(self._services):
            service.stop()
        self._workers.close()
        self._queues.close()
        self._beat.close()

    def _events_source(self, state: ClusterState, sample_workers: Periodic) -> EventsSource:
        options = broker_options(self._settings)
        app, queue = make_app(options), event_queue(self._settings)
        return EventsSource(
            lambda: brokers.subscribe(options.scheme, app, queue),
            state,
            system_clock,
            sample_workers.poke,
            Backoff(cap_seconds=self._settings.retry_interval_seconds),
        )

    def _workers_source(self, state: ClusterState) -> WorkersSource:
        return WorkersSource(
            RemoteControl(make_app(broker_options(self._settings))),
            state,
            system_clock,
            WorkersOptions(
                inspect_timeout_seconds=self._settings.inspect_timeout_seconds,
                enables_events=self._settings.enables_events,
            ),
        )

    def _queues_source(self, state: ClusterState) -> QueuesSource:
        options = broker_options(self._settings)
        queues = brokers.open_queues(
            options.scheme, make_app(options), self._settings.broker.management_url
        )
        return QueuesSource(queues, state, system_clock, self._settings.queues)

    def _beat_source(self, state: ClusterState) -> BeatSource:
        options = broker_options(self._settings)
        stored = brokers.open_redbeat(
            options.scheme, make_app(options), self._settings.redbeat_key_prefix
        )
        return BeatSource(state, system_clock, stored, self._settings.expected_entries)


def broker_options(settings: ExporterSettings) -> BrokerOptions:
    """Return how the broker is reached."""
    broker = settings.broker
    return BrokerOptions(
        url=broker.url,
        transport_options=broker.transport_options,
        ssl=broker.ssl_options or None,
        event_exchange=broker.event_exchange,
        control_exchange=broker.control_exchange,
    )


def event_queue(settings: ExporterSettings) -> EventQueue:
    """Return the queue in which events wait while the exporter is away, if its broker has any."""
    return EventQueue(
        settings.instance,
        is_durable=settings.event_queue == "durable",
        max_length=settings.event_queue_length,
    )


def state_options(settings: ExporterSettings) -> StateOptions:
    """Return what the state of a cluster is told at its birth."""
    return StateOptions(
        buckets=Buckets(
            settings.runtime_buckets, settings.queue_wait_buckets, settings.prefetch_wait_buckets
        ),
        limits=Limits(
            tasks=settings.max_tasks,
            workers=settings.max_workers,
            queues=settings.max_queues,
            exceptions=settings.max_exceptions,
            beat_entries=settings.max_beat_entries,
            series=settings.max_series,
            tracked_tasks=settings.max_tracked_tasks,
        ),
        patience=Patience(
            worker_timeout_seconds=settings.worker_timeout_seconds,
            reply_timeout_seconds=3 * settings.worker_interval_seconds,
            retention_seconds=settings.worker_retention_seconds,
            switches_events_on=settings.enables_events,
        ),
        intervals=Intervals(settings.worker_interval_seconds, settings.queue_interval_seconds),
        expected_workers=settings.expected_workers,
        counts_processed_by_task=settings.counts_processed_by_task,
    )
