"""How is everything? Health, information, status, probes and the page of metrics."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec
from flask import Response
from msgspec import Meta

from celeriac.clients.exporter_page import LANDMARK, ExporterPage, ExporterPageError
from celeriac.sidecar.alerts import Alert, Alerts
from celeriac.sidecar.checks import Check, Checkup, Status, overall
from celeriac.sidecar.contract import Call
from celeriac.sidecar.dashboard import Dashboard, QueueRow, WorkerRow
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.numbers import LiveNumbers
from celeriac.sidecar.problems import ProblemError

TEXT = "text/plain"
ROOT = ""
SUCCESS = "celery_exporter_sample_success"


class HealthAnswer(msgspec.Struct):
    """Unhealthy without the broker; degraded if any other part is not healthy."""

    status: Status
    timestamp: dt.datetime
    checks: Annotated[dict[str, Check], Meta(description="by part, and why")]


class InfoAnswer(msgspec.Struct):
    """Which sidecar this is."""

    name: str
    version: str
    celery_version: str
    broker_transport: str
    features: list[str]


class SourceRow(msgspec.Struct):
    """One source of the exporter's; its age is null as long as it never succeeded."""

    source: str
    successful: bool
    age_seconds: float | None


class StatusAnswer(msgspec.Struct):
    """Everything."""

    status: Status
    timestamp: dt.datetime
    components: dict[str, Check]
    real_time_metrics: LiveNumbers
    workers: list[WorkerRow]
    queues: list[QueueRow]
    sources: list[SourceRow]
    firing_alerts: list[Alert]


@dataclass(slots=True)
class System:
    """The handlers."""

    checkup: Checkup
    info: InfoAnswer
    metrics: SidecarMetrics
    look_around: Callable[[], Dashboard]
    exporter: ExporterPage
    alerts: Alerts
    is_stopping: bool = False

    def show_health(self, _: Call) -> Response:
        checks = dict(self.checkup.checks())
        answer = HealthAnswer(overall(checks), dt.datetime.now(dt.UTC), checks)
        status = 503 if answer.status == "unhealthy" else 200
        return Response(msgspec.json.encode(answer), status, content_type="application/json")

    def show_info(self, _: Call) -> InfoAnswer:
        return self.info

    def show_status(self, _: Call) -> StatusAnswer:
        checks, overview = dict(self.checkup.checks()), self.look_around()
        return StatusAnswer(
            status=overall(checks),
            timestamp=overview.timestamp,
            components=checks,
            real_time_metrics=overview.real_time_metrics,
            workers=overview.workers,
            queues=overview.queues,
            sources=_sources(self.exporter),
            firing_alerts=self.alerts.firing(),
        )

    def show_metrics(self, call: Call) -> Response:
        page, content_type = self.metrics.page(call.request.headers.get("Accept", ""))
        return Response(page, content_type=content_type)

    def live(self, _: Call) -> Response:
        return Response("alive\n", content_type=f"{TEXT}; charset=utf-8")

    def ready(self, _: Call) -> Response:
        if self.is_stopping:
            raise ProblemError(503, "stopping")
        return Response("ready\n", content_type=f"{TEXT}; charset=utf-8")


def _sources(exporter: ExporterPage) -> list[SourceRow]:
    """Return the exporter's sources; none while it is away."""
    try:
        page = exporter.fetch([SUCCESS])
    except ExporterPageError:
        return []
    succeeded_at, successes = page.by(LANDMARK, "source"), page.by(SUCCESS, "source")
    return [
        SourceRow(source, bool(successes.get(source)), round(time.time() - at, 3) if at else None)
        for source, at in sorted(succeeded_at.items())
    ]
