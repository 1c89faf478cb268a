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
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from urllib3.exceptions import HTTPError

from celeriac.clients import promql
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
CHUNK_BYTES = 1 << 18
CONNECT_SECONDS = 3.0
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
        bearer_token_file: Path | None = None,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        clock_mono: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take an http or https URL, which may carry user, password and a prefix of the path."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise PrometheusError("Prometheus' URL must begin with http:// or https://")
        address = parts.netloc.rpartition("@")[2]
        self._base = urlunsplit((parts.scheme, address, parts.path.rstrip("/"), "", "")) + "/api/v1"
        self._bearer_token_file = bearer_token_file
        self._max_answer_bytes = max_answer_bytes
        self._clock_mono = clock_mono
        self._session = requests.Session()
        self._session.trust_env = False
        if parts.username is not None:
            self._session.auth = (unquote(parts.username), unquote(parts.password or ""))
        self._session.headers.update({"Accept-Encoding": "identity"})

    @contextlib.contextmanager
    def reading(self, timeout_seconds: float) -> Iterator[Reading]:
        """Open a piece of work that must be done in this time."""
        threads = ThreadPoolExecutor(QUERIES_AT_ONCE, "prometheus")
        try:
            yield Reading(self, threads, self._clock_mono() + timeout_seconds)
        finally:
            # A query that has missed the deadline ends by itself; nobody waits for it.
            threads.shutdown(wait=False, cancel_futures=True)

    def seconds_until(self, deadline_mono: float) -> float:
        """Return how much time is left. Errors: PrometheusTooSlowError if there is none."""
        left = deadline_mono - self._clock_mono()
        if left <= 0:
            raise PrometheusTooSlowError("Prometheus did not answer in the time allowed")
        return left

    def post(
        self,
        path: str,
        form: Mapping[str, str],
        deadline_mono: float,
        known: Metrics | None = None,
    ) -> list[Series]:
        """Send one query and return its series. Errors: PrometheusError."""
        try:
            return decode(self._read(path, form, deadline_mono), {} if known is None else known)
        except (requests.Timeout, TimeoutError) as error:
            raise PrometheusTooSlowError("Prometheus did not answer in time") from error
        except (requests.RequestException, HTTPError, OSError) as error:
            raise PrometheusUnavailableError(f"Prometheus: {_reason(error)}") from error

    def _read(self, path: str, form: Mapping[str, str], deadline_mono: float) -> bytes:
        left = self.seconds_until(deadline_mono)
        with self._session.post(
            self._base + path,
            # VictoriaMetrics would move the times of a query that it may cache.
            data={**form, "timeout": f"{left * 1000:.0f}ms", "nocache": "1"},
            headers=self._authorization(),
            timeout=(min(left, CONNECT_SECONDS), left),
            allow_redirects=False,
            stream=True,
        ) as response:
            body = b"".join(self._chunks(response, deadline_mono))
            has_timed_out = b'"errorType":"timeout"' in body[:CHUNK_BYTES]
            check_status(response.status_code, has_timed_out=has_timed_out)
            return body

    def _authorization(self) -> dict[str, str]:
        if self._bearer_token_file is None:
            return {}
        try:
            token = self._bearer_token_file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise PrometheusError("the file of Prometheus' bearer token cannot be read") from None
        return {"Authorization": f"Bearer {token}"}

    def _chunks(self, response: requests.Response, deadline_mono: float) -> Iterator[bytes]:
        """Yield the body as it comes; a slow one must not take longer than a silent one may."""
        left = self._max_answer_bytes
        while chunk := response.raw.read1(CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise PrometheusAnswerError(
                    f"Prometheus' answer is over {self._max_answer_bytes} bytes"
                )
            self.seconds_until(deadline_mono)
            yield chunk


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
            return future.result(self._api.seconds_until(self._deadline_mono))
        except FutureTimeoutError as error:
            raise PrometheusTooSlowError("Prometheus did not answer in time") from error


def _joined(pages: Iterable[Pending]) -> list[Series]:
    found: dict[tuple[str, Labels], list[Point]] = {}
    for page in pages:
        for series in page():
            found.setdefault((series.name, series.labels), []).extend(series.points)
    return [Series(name, labels, points) for (name, labels), points in found.items()]


def _seconds(when: Milliseconds) -> str:
    return f"{when / 1000:.3f}"


def _reason(error: Exception) -> str:
    """Say what went wrong without the address, which may carry a password."""
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted, or it speaks no TLS"
    return "no connection, or it was lost"
