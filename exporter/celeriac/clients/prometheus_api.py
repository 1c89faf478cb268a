"""Prometheus' HTTP API, or that of anything behind the same paths: bounded in time and in bytes.

A ``Reading`` is one piece of work, such as a report: all its queries share one deadline.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import TypeAlias

from celeriac.clients import promql
from celeriac.clients.bounded_http import (
    HttpError,
    HttpServer,
    HttpTooLargeError,
    HttpTooSlowError,
    seconds_until,
)
from celeriac.clients.prometheus_answers import (
    Labels,
    Metrics,
    Milliseconds,
    Point,
    PrometheusAnswerError,
    PrometheusError,
    PrometheusTooSlowError,
    PrometheusUnavailableError,
    Series,
    Span,
    check_status,
    decode,
)

__all__ = ["Pending", "PrometheusApi", "PrometheusError", "Reading"]

MAX_ANSWER_BYTES = 48 << 20
QUERIES_AT_ONCE = 4
# Prometheus refuses more than 11,000 points a series.
MAX_POINTS = 10_000

Pending: TypeAlias = Callable[[], list[Series]]
"""Waits for what was begun. Errors: PrometheusError."""


class PrometheusApi:
    """Where Prometheus is, and how it is asked. Safe for several threads."""

    def __init__(
        self,
        url: str,
        *,
        ca_file: Path | None = None,
        token_file: Path | None = None,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        """Take a URL, which may carry user, password and a prefix of the path."""
        self._server = HttpServer(url, max_answer_bytes, ca_file)
        self._token_file = token_file

    @contextlib.contextmanager
    def reading(self, timeout_seconds: float) -> Iterator[Reading]:
        """Open a piece of work that must be done in this time."""
        threads = ThreadPoolExecutor(QUERIES_AT_ONCE, "prometheus")
        try:
            yield Reading(self, threads, time.monotonic() + timeout_seconds)
        finally:
            # A query that has missed the deadline ends by itself; nobody waits for it.
            threads.shutdown(wait=False, cancel_futures=True)

    def post(
        self,
        path: str,
        form: Mapping[str, str],
        deadline_mono: float,
        known: Metrics | None = None,
    ) -> list[Series]:
        """Send one query and return its series. Errors: PrometheusError."""
        headers = self._authorization()
        try:
            left = seconds_until(deadline_mono)
            # VictoriaMetrics would move the times of a query that it may cache.
            sent = {**form, "timeout": f"{left * 1000:.0f}ms", "nocache": "1"}
            answer = self._server.post(f"/api/v1{path}", deadline_mono, sent, headers)
        except HttpTooSlowError as error:
            raise PrometheusTooSlowError(f"Prometheus: {error}") from error
        except HttpTooLargeError as error:
            raise PrometheusAnswerError(f"Prometheus: {error}") from error
        except HttpError as error:
            raise PrometheusUnavailableError(f"Prometheus: {error}") from error
        check_status(answer.status, answer.body)
        return decode(answer.body, {} if known is None else known)

    def _authorization(self) -> dict[str, str]:
        """Read the token each time: whoever issues it puts a new one into the file."""
        if self._token_file is None:
            return {}
        try:
            token = self._token_file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise PrometheusError("the file of Prometheus' token cannot be read") from None
        return {"Authorization": f"Bearer {token}"}


class Reading:
    """Queries that share one deadline; up to four at a time."""

    def __init__(
        self, api: PrometheusApi, threads: ThreadPoolExecutor, deadline_mono: float
    ) -> None:
        self._api = api
        self._threads = threads
        self._deadline_mono = deadline_mono
        self._known: Metrics = {}

    def begin(self, template: str, selected: str, span: Span) -> Pending:
        """Begin to read each series' value at the span's end; its start gives the range."""
        text = promql.query(template, selected, span.end - span.start)
        form = {"query": text, "time": _seconds(span.end)}
        return self._submit("/query", form)

    def begin_steps(self, template: str, selected: str, span: Span, step: Milliseconds) -> Pending:
        """Begin to read each series' value at the span's start and every *step* up to its end."""
        text = promql.query(template, selected)
        pages = [
            self._submit(
                "/query_range",
                {
                    "query": text,
                    "start": _seconds(first),
                    "end": _seconds(min(span.end, first + step * (MAX_POINTS - 1))),
                    "step": _seconds(step),
                },
            )
            for first in range(span.start, span.end + 1, step * MAX_POINTS)
        ]
        return lambda: _joined(pages)

    def begin_samples(self, name: str, labels: Labels, span: Span) -> Pending:
        """Begin to read the samples of one series, or few that have more labels than these."""
        return self.begin("samples", promql.selector([name], sorted(labels)), span)

    def _submit(self, path: str, form: Mapping[str, str]) -> Pending:
        future = self._threads.submit(self._api.post, path, form, self._deadline_mono, self._known)
        return lambda: self._wait_for(future)

    def _wait_for(self, future: Future[list[Series]]) -> list[Series]:
        try:
            return future.result(seconds_until(self._deadline_mono))
        except (FutureTimeoutError, HttpTooSlowError) as error:
            raise PrometheusTooSlowError("Prometheus: no answer in time") from error


def _joined(pages: Iterable[Pending]) -> list[Series]:
    found: dict[tuple[str, Labels], list[Point]] = {}
    for page in pages:
        for series in page():
            found.setdefault((series.name, series.labels), []).extend(series.points)
    return [Series(name, labels, points) for (name, labels), points in found.items()]


def _seconds(when: Milliseconds) -> str:
    return f"{when / 1000:.3f}"
