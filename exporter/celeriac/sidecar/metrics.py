"""The sidecar's own metrics, ``celeriac_sidecar_*``, in a registry of their own."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import choose_encoder

PREFIX = "celeriac_sidecar"


class SidecarMetrics:
    """What happened in this process. Every method may be called from any thread."""

    def __init__(self, clock_mono: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests", "route", "code")
        self._refused = self._counter("logins_refused", "Logins that were refused", "reason")
        self._operations = self._counter("operations", "Operations", "kind", "outcome")
        self._clients = self._gauge("websocket_clients", "WebSocket clients now")
        self._audit_failures = self._counter("audit_failures", "Audit records not written")
        self._audit_head = self._gauge("audit_head", "Sequence number of the last audit record")
        self._polled_at = math.nan
        age = self._gauge("poll_age_seconds", "Age of the live numbers; NaN before the first")
        age.set_function(lambda: clock_mono() - self._polled_at)

    def request(self, route: str, code: int) -> None:
        """Count one answer; *route* is the row's path, never what was asked for."""
        self._requests.labels(route, code).inc()

    def refused_login(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    def operation(self, kind: str, outcome: str) -> None:
        self._operations.labels(kind, outcome).inc()

    def websocket_clients(self, n: int) -> None:
        self._clients.set(n)

    def audit_failed(self) -> None:
        self._audit_failures.inc()

    def audit_head(self, sequence: int) -> None:
        self._audit_head.set(sequence)

    def polled(self, mono: float) -> None:
        """Say that the live numbers are those of *mono*, by the monotonic clock."""
        self._polled_at = mono

    def page(self, accept: str) -> tuple[bytes, str]:
        """Return the page of metrics and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", text, registry=self.registry)
