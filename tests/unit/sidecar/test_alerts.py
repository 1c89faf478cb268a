"""Alertmanager's webhook: what it sends is logged, kept, shown and passed on."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from celeriac.clients.alertmanager_api import AlertmanagerError, ToldAlert
from celeriac.sidecar import Frame, create_app
from celeriac.sidecar.alerts import MAX_ALERTS, Alert, Alerts
from celeriac.sidecar.auth import Gate, SharedSecret, TokenRules
from celeriac.sidecar.limits import RateLimit
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.routes import rows
from tokens import SECRET, bearer

PATH = "/celery-admin/alerts"
HOOK = {"Authorization": "Bearer the webhook's own"}
FIRING: dict[str, Any] = {
    "status": "firing",
    "labels": {"alertname": "CeleryQueueBacklog", "severity": "critical", "queue": "mail"},
    "annotations": {"summary": "mail has waited for an hour", "runbook_url": "https://r/1"},
    "startsAt": "2026-01-02T03:04:05.123456789+01:00",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus/graph",
    "fingerprint": "a1b2c3",
}
RESOLVED = FIRING | {"status": "resolved", "endsAt": "2026-01-02T04:04:05Z"}


def message(*alerts: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Return what Alertmanager 0.27 sends."""
    whole = {
        "receiver": "celeriac",
        "status": "firing",
        "alerts": list(alerts),
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
    }
    return whole | changed


class Scene:
    """An application that has nothing but the alerts."""

    def __init__(
        self, token: str | None = "the webhook's own", alertmanager: Any | None = None
    ) -> None:
        metrics = SidecarMetrics()
        self.alerts = Alerts(token, metrics, alertmanager)
        gate = Gate(SharedSecret(SECRET), TokenRules())
        frame = Frame(gate, metrics, RateLimit("1000/second"), 1 << 20)
        self.client: FlaskClient = create_app(rows(self.alerts), frame).test_client()
        self.passed_on: list[Alert] = []
        self.alerts.listen(self.passed_on.append)

    def post(self, body: Any, headers: dict[str, str] = HOOK) -> int:
        return self.client.post(PATH, json=body, headers=headers).status_code

    def shown(self) -> Any:
        answer = self.client.get(PATH, headers=bearer("viewer"))
        assert answer.status_code == 200
        return answer.get_json()


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_an_alert_is_shown(scene: Scene) -> None:
    assert scene.post(message(FIRING)) == 200
    shown = scene.shown()
    assert shown["firing"] == 1
    alert = shown["alerts"][0]
    del alert["received_at"]
    assert alert == {
        "fingerprint": "a1b2c3",
        "status": "firing",
        "name": "CeleryQueueBacklog",
        "severity": "critical",
        "summary": "mail has waited for an hour",
        "labels": FIRING["labels"],
        "annotations": FIRING["annotations"],
        "starts_at": "2026-01-02T03:04:05.123457+01:00",
        "ends_at": None,
        "generator_url": "http://prometheus/graph",
    }


def test_an_alert_that_is_resolved_replaces_itself(scene: Scene) -> None:
    scene.post(message(FIRING))
    scene.post(message(RESOLVED, status="resolved"))
    shown = scene.shown()
    assert (shown["firing"], len(shown["alerts"])) == (0, 1)
    assert shown["alerts"][0]["ends_at"] == "2026-01-02T04:04:05Z"


def test_the_last_alert_comes_first(scene: Scene) -> None:
    for fingerprint in ("1", "2", "1"):
        scene.post(message(FIRING | {"fingerprint": fingerprint}))
    assert [alert["fingerprint"] for alert in scene.shown()["alerts"]] == ["1", "2"]


def test_only_the_latest_alerts_are_kept(scene: Scene) -> None:
    alerts = [FIRING | {"fingerprint": str(number)} for number in range(MAX_ALERTS + 10)]
    scene.post(message(*alerts))
    kept = scene.shown()["alerts"]
    assert (len(kept), kept[0]["fingerprint"]) == (MAX_ALERTS, str(MAX_ALERTS + 9))


def test_an_alert_without_a_fingerprint_is_known_by_its_labels(scene: Scene) -> None:
    nameless = {key: value for key, value in FIRING.items() if key != "fingerprint"}
    other = nameless | {"labels": {"alertname": "Other"}}
    scene.post(message(nameless, nameless, other))
    assert len(scene.shown()["alerts"]) == 2


def test_each_alert_is_passed_on(scene: Scene) -> None:
    scene.post(message(FIRING, RESOLVED))
    assert [alert.status for alert in scene.passed_on] == ["firing", "resolved"]


@pytest.mark.parametrize(
    ("changed", "level"),
    [
        ({}, logging.CRITICAL),
        ({"labels": {"severity": "warning"}}, logging.WARNING),
        ({"labels": {"severity": "info"}}, logging.INFO),
        ({"labels": {"severity": "whatever"}}, logging.WARNING),
        ({"labels": {}}, logging.WARNING),
        ({"status": "resolved"}, logging.INFO),
    ],
)
def test_the_severity_is_the_level(
    scene: Scene, caplog: pytest.LogCaptureFixture, changed: dict[str, Any], level: int
) -> None:
    caplog.set_level(logging.INFO, "celery_alerts")
    scene.post(message(FIRING | changed))
    records = [record for record in caplog.records if record.name == "celery_alerts"]
    assert [record.levelno for record in records] == [level]


def test_an_alert_is_one_line_with_fields(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.post(message(FIRING))
    record = next(record for record in caplog.records if record.name == "celery_alerts")
    assert record.getMessage() == (
        "firing CeleryQueueBacklog (critical) queue=mail: mail has waited for an hour"
    )
    assert (record.alertname, record.severity) == (  # type: ignore[attr-defined]
        "CeleryQueueBacklog",
        "critical",
    )


def test_no_label_makes_a_second_line(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    nasty = {"alertname": "A\nERROR forged\x1b[2J\u2028x"}
    scene.post(message(FIRING | {"labels": nasty}))
    record = next(record for record in caplog.records if record.name == "celery_alerts")
    assert record.getMessage().isprintable()


def test_a_long_text_is_cut(scene: Scene) -> None:
    long = {"summary": "x" * 100_000}
    assert scene.post(message(FIRING | {"annotations": long})) == 200
    assert len(scene.shown()["alerts"][0]["summary"]) == 1000


def test_unknown_fields_are_passed_over(scene: Scene) -> None:
    assert scene.post(message(FIRING | {"new": {"a": 1}}, newer=[1])) == 200


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"version": "4"},
        message(FIRING, version="3"),
        message(FIRING, version=4),
        message("firing"),  # type: ignore[arg-type]
        message(FIRING | {"status": "burning"}),
        message(FIRING | {"labels": {"a": 1}}),
        message(FIRING | {"labels": {str(number): "" for number in range(65)}}),
        message(FIRING | {"startsAt": "yesterday"}),
        message(FIRING | {"startsAt": "2026-01-02T03:04:05"}),
        message(FIRING | {"startsAt": None}),
        message(FIRING | {"fingerprint": "x" * 129}),
    ],
    ids=lambda body: str(body)[-40:],
)
def test_what_is_no_message_is_refused(scene: Scene, body: Any) -> None:
    assert scene.post(body) == 400
    assert scene.alerts.latest() == []


def test_too_many_alerts_are_refused(scene: Scene) -> None:
    assert scene.post(message(*[{"labels": {}} | FIRING] * 1001)) == 413


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "the webhook's own"},
        {"Authorization": "Bearer the webhook's ow"},
        {"Authorization": "bearer the webhook's own"},
        {"Authorization": "Bearer Ünser"},
        bearer("admin"),
    ],
    ids=["none", "bare", "shorter", "lower case", "not ASCII", "an admin's"],
)
def test_only_the_webhooks_own_token_may_post(scene: Scene, headers: dict[str, str]) -> None:
    assert scene.post(message(FIRING), headers) == 401


def test_without_a_token_of_its_own_the_webhook_is_closed() -> None:
    assert Scene(token=None).post(message(FIRING), {"Authorization": "Bearer None"}) == 401


def test_a_viewer_must_say_who_he_is(scene: Scene) -> None:
    assert scene.client.get(PATH).status_code == 401


class Alertmanager:
    """Says that these fire, or nothing."""

    def __init__(self, *alerts: dict[str, Any], is_away: bool = False) -> None:
        self._alerts = msgspec.convert(alerts, list[ToldAlert])
        self._is_away = is_away

    def firing(self) -> list[ToldAlert]:
        if self._is_away:
            raise AlertmanagerError("Alertmanager: no answer in time")
        return self._alerts


def test_what_fires_is_what_alertmanager_says() -> None:
    other = FIRING | {"labels": {"alertname": "Other", "severity": "warning"}}
    scene = Scene(alertmanager=Alertmanager(other))
    assert scene.post(message(FIRING)) == 200
    (alert,) = scene.alerts.firing()
    assert (alert.name, alert.status, alert.severity) == ("Other", "firing", "warning")
    assert alert.ends_at is None


@pytest.mark.parametrize("alertmanager", [None, Alertmanager(is_away=True)])
def test_without_alertmanager_it_is_what_its_webhook_said_last(alertmanager: Any) -> None:
    scene = Scene(alertmanager=alertmanager)
    gone = RESOLVED | {"fingerprint": "another"}
    assert scene.post(message(FIRING, gone)) == 200
    assert [alert.fingerprint for alert in scene.alerts.firing()] == ["a1b2c3"]


def test_alertmanager_may_say_much() -> None:
    scene = Scene(alertmanager=Alertmanager(*[FIRING] * (MAX_ALERTS + 1)))
    assert len(scene.alerts.firing()) == MAX_ALERTS
