"""The examination: gathers the evidence part by part, while the exporter's own sources listen."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TypeAlias
from urllib.parse import urlsplit

from celery import Celery

from celeriac.celery_app import make_app
from celeriac.clock import system_clock
from celeriac.cluster_watch import ClusterWatch, broker_options, state_options
from celeriac.control import RemoteControl
from celeriac.doctor import complaints
from celeriac.doctor.broker_facts import Asked, BrokerFacts
from celeriac.doctor.evidence import Cluster, Evidence
from celeriac.doctor.listening import ListeningState
from celeriac.doctor.questions import contact, web, workers
from celeriac.doctor.questions.broker import BrokerSide, open_side
from celeriac.doctor.unexamined import Unexamined
from celeriac.errors import BrokerError
from celeriac.settings import ExporterSettings

Progress: TypeAlias = Callable[[str], None]
"""Takes what is being done, in a few words."""

TICK_SECONDS = 0.5
# Often enough to see a short queue twice; the exporter itself asks less often.
WORKER_INTERVAL_SECONDS = 4.0
QUEUE_INTERVAL_SECONDS = 3.0


def examine(
    settings: ExporterSettings, places: web.Places, seconds: float, progress: Progress
) -> Evidence:
    """Look at everything, and listen for *seconds*; nobody else notices."""
    app = make_app(broker_options(settings))
    asked = _asked(settings, contact.address_of(app))
    progress(f"connecting to {asked.broker}")
    reached = contact.ask(app, asked)
    broker = BrokerFacts.none(closed := Unexamined("the broker could not be asked"))
    cluster: Cluster | Unexamined = closed
    if reached.failure is None:
        broker, cluster = _Examination(settings, asked, progress).listen(app, seconds)
    progress("asking exporter, Prometheus and Grafana")
    return Evidence(asked, reached, broker, cluster, web.ask(places, asked))


def _asked(settings: ExporterSettings, broker: str) -> Asked:
    return Asked(
        broker=broker,
        scheme=urlsplit(settings.broker.url).scheme.lower(),
        event_exchange=settings.broker.event_exchange,
        control_exchange=settings.broker.control_exchange,
        instance=settings.instance,
        keeps_events=settings.event_queue == "durable",
        event_queue_length=settings.event_queue_length,
        queues=settings.queues,
        expected_workers=settings.expected_workers,
        intervals={
            "workers": settings.worker_interval_seconds,
            "queues": settings.queue_interval_seconds,
            "beat": settings.beat_interval_seconds,
        },
    )


def _without_traces(settings: ExporterSettings) -> ExporterSettings:
    """Return settings that take no event from the exporter, and change nothing at a worker."""
    return replace(
        settings,
        event_queue="transient",
        enables_events=False,
        worker_interval_seconds=WORKER_INTERVAL_SECONDS,
        queue_interval_seconds=QUEUE_INTERVAL_SECONDS,
    )


class _Examination:
    """A broker that has let us in, and its workers."""

    def __init__(self, settings: ExporterSettings, asked: Asked, progress: Progress) -> None:
        self._settings = _without_traces(settings)
        self._asked = asked
        self._progress = progress
        self._state = ListeningState(state_options(self._settings))

    def listen(self, app: Celery, seconds: float) -> tuple[BrokerFacts, Cluster]:
        """Look from the side first: the sources declare things of their own."""
        management_url = self._settings.broker.management_url
        with closing(open_side(self._asked.scheme, app, self._asked, management_url)) as side:
            refusal = _attempt(side.look)
            with complaints.collected() as complained:
                cluster = self._watch(side, seconds)
            return _facts(side, refusal), replace(cluster, complaints=tuple(complained))

    def _watch(self, side: BrokerSide, seconds: float) -> Cluster:
        watch = ClusterWatch(self._settings, self._state)
        watch.start()
        try:
            self._hear(side, seconds)
            return self._cluster(seconds)
        finally:
            watch.stop()

    def _hear(self, side: BrokerSide, seconds: float) -> None:
        began_mono = time.monotonic()
        can_hear = True
        while (passed := time.monotonic() - began_mono) < seconds:
            self._progress(f"listening to the workers: {passed:.0f} of {seconds:g} s")
            tick = min(TICK_SECONDS, seconds - passed)
            can_hear = can_hear and _attempt(partial(side.overhear, tick)) is None
            if not can_hear:
                time.sleep(tick)

    def _cluster(self, seconds: float) -> Cluster:
        self._progress("asking the workers")
        control = RemoteControl(make_app(broker_options(self._settings)))
        answers = workers.ask(control, time.time())
        # What is new is shown at 0 the first time.
        self._state.snapshot(system_clock())
        now = system_clock()
        return Cluster(
            asked=self._asked,
            now=now.wall,
            listened_seconds=seconds,
            snapshot=self._state.snapshot(now),
            heard=self._state.heard(),
            answering=answers.answering,
            namesakes=answers.namesakes,
            due=answers.due,
        )


def _facts(side: BrokerSide, refusal: Unexamined | None) -> BrokerFacts:
    if refusal is not None:
        return BrokerFacts.none(refusal)
    try:
        return side.facts()
    except BrokerError as error:
        return BrokerFacts.none(Unexamined(str(error)))


def _attempt(ask: Callable[[], None]) -> Unexamined | None:
    """Return why it failed, None if it did not."""
    try:
        ask()
    except BrokerError as error:
        return Unexamined(str(error))
    return None
