"""Performance reports: made from what Prometheus knows, saved, and shown again."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Response

from celeriac.clients import celery_history
from celeriac.clients.celery_history import Readings, Scope
from celeriac.clients.prometheus_answers import (
    PrometheusError,
    PrometheusTooSlowError,
    PrometheusUnavailableError,
    Span,
)
from celeriac.clients.prometheus_api import PrometheusApi
from celeriac.errors import CeleriacError
from celeriac.sidecar import report_figures
from celeriac.sidecar.contract import Call, read_body, read_whole
from celeriac.sidecar.database import DatabaseError
from celeriac.sidecar.problems import ProblemError
from celeriac.sidecar.recommendations import recommend
from celeriac.sidecar.report_markdown import markdown
from celeriac.sidecar.report_shapes import PerformanceReport, ReportList, ReportRequest
from celeriac.sidecar.report_store import ReportStore

logger = logging.getLogger(__name__)

JSON, MARKDOWN = "application/json", "text/markdown"
FIRST_YEAR = 2000
MAX_AT_ONCE = 4
DEFAULT_LISTED, MAX_LISTED = 50, 500
# The first that fits.
PROBLEMS: tuple[tuple[type[CeleriacError], int, str], ...] = (
    (PrometheusTooSlowError, 504,
     "Prometheus needs too long: ask for a shorter time, or allow more (--report-timeout)"),
    (PrometheusUnavailableError, 503, "Prometheus cannot be reached"),
    (PrometheusError, 502, "Prometheus gave no answer that can be used"),
    (DatabaseError, 503, "saved reports cannot be read"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """How long a window may be, how long a report may take, and what it is about."""

    max_days: int = 31
    timeout_seconds: float = 10.0
    time_zone: dt.tzinfo = dt.UTC
    job: str | None = None
    """Only what was scraped by this job of Prometheus'."""


class Reports:
    """The handlers."""

    def __init__(
        self,
        prometheus: PrometheusApi,
        store: ReportStore,
        options: ReportOptions,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._prometheus = prometheus
        self._store = store
        self._options = options
        self._clock = clock
        self._turns = threading.BoundedSemaphore(MAX_AT_ONCE)

    def create(self, call: Call) -> PerformanceReport | Response:
        asked = read_body(call, ReportRequest)
        window, scope = self._window(asked), Scope(self._options.job, asked.task, asked.queue)
        timeout_seconds = self._options.timeout_seconds
        with self._turn(), _problems(), self._prometheus.reading(timeout_seconds) as reading:
            readings = celery_history.read(reading, window, scope)
        report = make(readings, scope, self._clock())
        try:
            self._store.save(report)
        except DatabaseError as error:
            logger.warning("report %s is not saved: %s", report.report_id, error)
            report.is_saved = False
        return _shown(call, report)

    def list_saved(self, call: Call) -> ReportList:
        limit = read_whole(call, "limit", DEFAULT_LISTED, MAX_LISTED)
        with _problems():
            return ReportList(self._store.latest(limit))

    def show(self, call: Call) -> PerformanceReport | Response:
        with _problems():
            report = self._store.find(call.parameters["report_id"])
        if report is None:
            raise ProblemError(404, "there is no such report, or not any more")
        return _shown(call, report)

    def _window(self, asked: ReportRequest) -> Span:
        start, end = (self._milliseconds(time) for time in (asked.start, asked.end))
        if start >= end:
            raise ProblemError(400, "start must be before end")
        if start > self._clock().timestamp() * 1000:
            raise ProblemError(400, "start is in the future")
        if end - start > dt.timedelta(days=self._options.max_days).total_seconds() * 1000:
            raise ProblemError(400, f"at most {self._options.max_days} days")
        return Span(start, end)

    def _milliseconds(self, time: dt.datetime) -> int:
        if time.year < FIRST_YEAR:
            raise ProblemError(400, f"nothing is known of the time before {FIRST_YEAR}")
        local = time if time.tzinfo else time.replace(tzinfo=self._options.time_zone)
        return round(local.timestamp() * 1000)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=self._options.timeout_seconds):
            raise ProblemError(429, "too many reports are being made")
        try:
            yield
        finally:
            self._turns.release()


def make(readings: Readings, scope: Scope, generated_at: dt.datetime) -> PerformanceReport:
    """Return the report of what was read."""
    report = PerformanceReport(
        report_id=uuid.uuid4().hex,
        generated_at=generated_at,
        time_range=report_figures.time_range(readings.now.window),
        **report_figures.figures(readings.now),
        tasks=report_figures.tasks(readings.now),
        queues=report_figures.queues(readings),
        workers=report_figures.workers(readings),
        top_exceptions=report_figures.top_exceptions(readings.now),
        comparison=report_figures.comparison(readings),
        data_quality=report_figures.data_quality(readings),
        task=scope.task,
        queue=scope.queue,
        recommendations=[],
        optimization_recommendations=[],
    )
    report.recommendations = recommend(report)
    report.optimization_recommendations = [found.text for found in report.recommendations]
    return report


def _shown(call: Call, report: PerformanceReport) -> PerformanceReport | Response:
    """Return the report as the caller prefers it."""
    if call.request.accept_mimetypes.best_match([JSON, MARKDOWN], JSON) == JSON:
        return report
    return Response(markdown(report), content_type=f"{MARKDOWN}; charset=utf-8")


@contextmanager
def _problems() -> Iterator[None]:
    """Turn the errors of Prometheus and of the database into answers."""
    try:
        yield
    except (PrometheusError, DatabaseError) as error:
        logger.warning("no report: %s", error)
        found = (row for row in PROBLEMS if isinstance(error, row[0]))
        _, status, detail = next(found)
        raise ProblemError(status, detail) from error
