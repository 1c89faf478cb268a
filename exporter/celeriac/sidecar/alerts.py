"""Alertmanager's webhook: each alert to the log, the latest kept, news passed on."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from celeriac.clients.alertmanager_api import AlertmanagerApi, AlertmanagerError, Time, ToldAlert
from celeriac.sidecar.contract import Call, read_body
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.problems import LoginRefusedError, ProblemError

log = logging.getLogger("celery_alerts")
logger = logging.getLogger(__name__)

MAX_ALERTS = 500
MAX_ALERTS_PER_CALL = 1_000
MAX_TEXT_CHARACTERS = 1_000
Status = Literal["firing", "resolved"]
LEVELS = {"critical": logging.CRITICAL, "warning": logging.WARNING, "info": logging.INFO}


class WebhookAlert(ToldAlert, rename="camel", kw_only=True):
    """One alert as Alertmanager sends it; ``endsAt`` of one that fires is year 1 or to come."""

    status: Status
    ends_at: Time | None = None


class WebhookMessage(msgspec.Struct, rename="camel"):
    """Alertmanager's message, version 4; what is not named here is passed over."""

    version: Literal["4"]
    alerts: list[WebhookAlert]


class Alert(msgspec.Struct, frozen=True):
    """One alert; ``ends_at`` is null while it fires."""

    fingerprint: str
    status: Status
    name: str
    severity: str
    summary: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: dt.datetime
    ends_at: dt.datetime | None
    received_at: dt.datetime
    generator_url: str


class AlertsAnswer(msgspec.Struct, frozen=True):
    """The latest alerts, the last one first."""

    alerts: list[Alert]
    firing: int


class Accepted(msgspec.Struct, frozen=True):
    """How many alerts were taken."""

    accepted: int


class Alerts:
    """The latest of each alert, up to a bound. *token* is the webhook's; None closes it."""

    def __init__(
        self,
        token: str | None,
        metrics: SidecarMetrics,
        alertmanager: AlertmanagerApi | None = None,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._token = None if token is None else f"Bearer {token}".encode()
        self._metrics = metrics
        self._alertmanager = alertmanager
        self._now = now
        self._lock = threading.Lock()
        self._latest: dict[str, Alert] = {}
        self._listeners: list[Callable[[Alert], None]] = []

    def listen(self, listener: Callable[[Alert], None]) -> None:
        """Call *listener* with each alert that arrives."""
        self._listeners.append(listener)

    def latest(self) -> list[Alert]:
        """Return the latest of each alert, the last one first."""
        with self._lock:
            return list(reversed(self._latest.values()))

    def firing(self) -> list[Alert]:
        """Return what fires: as Alertmanager says, or else as its webhook said last."""
        if self._alertmanager is not None:
            try:
                firing = self._alertmanager.firing()[:MAX_ALERTS]
                return [_alert(told, self._now()) for told in firing]
            except AlertmanagerError as error:
                logger.warning("what fires is what was told before: %s", error)
        return [alert for alert in self.latest() if alert.status == "firing"]

    def receive(self, call: Call) -> Accepted:
        """Take a message of Alertmanager's. Errors: ProblemError 400, 401, 413, 415."""
        self._admit(call.request.headers.get("Authorization", ""))
        message = read_body(call, WebhookMessage)
        if len(message.alerts) > MAX_ALERTS_PER_CALL:
            raise ProblemError(413, f"more than {MAX_ALERTS_PER_CALL} alerts")
        alerts = [_alert(told, self._now(), told.status, told.ends_at) for told in message.alerts]
        self._keep(alerts)
        for alert in alerts:
            _write(alert)
            for listener in self._listeners:
                listener(alert)
        return Accepted(len(alerts))

    def show(self, _: Call) -> AlertsAnswer:
        alerts = self.latest()
        return AlertsAnswer(alerts, sum(alert.status == "firing" for alert in alerts))

    def _admit(self, authorization: str) -> None:
        given = authorization.encode("latin-1", "replace")
        if self._token is None or not hmac.compare_digest(given, self._token):
            reason = "alerts_token" if authorization else "missing"
            self._metrics.refused_login(reason)
            raise LoginRefusedError(reason)

    def _keep(self, alerts: Iterable[Alert]) -> None:
        with self._lock:
            for alert in alerts:
                self._latest.pop(alert.fingerprint, None)
                self._latest[alert.fingerprint] = alert
            while len(self._latest) > MAX_ALERTS:
                del self._latest[next(iter(self._latest))]


def _alert(
    told: ToldAlert,
    now: dt.datetime,
    status: Status = "firing",
    ends_at: dt.datetime | None = None,
) -> Alert:
    labels, annotations = _cut(told.labels), _cut(told.annotations)
    return Alert(
        fingerprint=told.fingerprint or _fingerprint(told.labels),
        status=status,
        name=labels.get("alertname", ""),
        severity=labels.get("severity", ""),
        summary=annotations.get("summary", annotations.get("description", "")),
        labels=labels,
        annotations=annotations,
        starts_at=told.starts_at,
        ends_at=ends_at if status == "resolved" else None,
        received_at=now,
        generator_url=told.generator_url[:MAX_TEXT_CHARACTERS],
    )


def _cut(texts: dict[str, str]) -> dict[str, str]:
    """Return texts that cannot fill the log; Alertmanager drops a message that is refused."""
    cut = MAX_TEXT_CHARACTERS
    return {name[:cut]: text[:cut] for name, text in texts.items()}


def _fingerprint(labels: dict[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(sorted(labels.items()))).hexdigest()[:16]


def _write(alert: Alert) -> None:
    """Write one line: the message for a person, the fields for a machine."""
    is_firing = alert.status == "firing"
    level = LEVELS.get(alert.severity, logging.WARNING) if is_firing else logging.INFO
    fields = {
        "alertname": alert.name,
        "status": alert.status,
        "severity": alert.severity,
        "fingerprint": alert.fingerprint,
        "labels": msgspec.json.encode(alert.labels).decode(),
        "annotations": msgspec.json.encode(alert.annotations).decode(),
        "starts_at": alert.starts_at.isoformat(),
    }
    log.log(level, "%s", _line(alert), extra=fields)


def _line(alert: Alert) -> str:
    labels = {k: v for k, v in alert.labels.items() if k not in ("alertname", "severity")}
    pairs = " ".join(f"{name}={text}" for name, text in sorted(labels.items()))
    kind = f"{alert.name or 'unnamed'} ({alert.severity or 'no severity'})"
    line = f"{alert.status} {kind} {pairs}: {alert.summary}"
    # Whatever a label says, one alert is one line, and no terminal takes it for a command.
    return "".join(c if c.isprintable() else " " for c in line)
