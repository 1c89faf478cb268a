"""Alertmanager: each alert finds its receivers, an incident is told once, messages read well.

Renew the golden messages with ``RENEW_GOLDEN=1 pytest tests/bundle -k message``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundle.rule_files import ALERTING, Rule, alerts, groups
from bundle.tools import amtool
from parts.incidents import CONFIGURATION, BundleAlertmanager

pytestmark = pytest.mark.real

TEMPLATES = ALERTING / "alertmanager" / "templates"
GOLDEN = Path(__file__).parents[1] / "golden" / "notifications"
RECEIVERS = {
    "critical": "sidecar,page",
    "warning": "sidecar,chat",
    "info": "sidecar,mail",
    "none": "watchdog",
}
SECRETS = {
    "routing_key",
    "api_url",
    "slack_api_url",
    "smtp_auth_password",
    "credentials",
    "password",
}


def route(*labels: str) -> str:
    """Return the receivers of an alert with these labels."""
    said = amtool("config", "routes", "test", f"--config.file={CONFIGURATION}", *labels)
    return said.splitlines()[0]


def keys(node: Any) -> set[str]:
    """Return every key of a document."""
    if isinstance(node, dict):
        return set(node).union(*(keys(child) for child in node.values()))
    return set().union(*(keys(child) for child in node)) if isinstance(node, list) else set()


def test_alertmanager_reads_the_configuration() -> None:
    assert "SUCCESS" in amtool("check-config", CONFIGURATION)


def test_no_secret_is_in_the_configuration() -> None:
    assert not keys(yaml.safe_load(CONFIGURATION.read_text())) & SECRETS


@pytest.mark.parametrize("severity", sorted({alert.labels["severity"] for alert in alerts()}))
def test_a_severity_finds_its_receivers(severity: str) -> None:
    name = next(a.name for a in alerts() if a.labels["severity"] == severity)
    assert route(f"alertname={name}", f"severity={severity}") == RECEIVERS[severity]


def test_what_is_not_about_celery_goes_to_nobody() -> None:
    assert route("alertname=NodeDown", "severity=critical") == "nobody"


@pytest.fixture(scope="module")
def alertmanager() -> Iterator[BundleAlertmanager]:
    with BundleAlertmanager() as part:
        yield part


def names(**labels: str) -> set[str]:
    """Return the alerts that have these labels."""
    return {alert.name for alert in alerts() if labels.items() <= alert.labels.items()}


QUEUES = names(component="queue")
MOVING = names(component="worker") | QUEUES | names(component="task") | names(component="beat")
OF_THE_BROKER = {"CeleryExporterSourceStale", "CeleryEventsMissed", "CeleryTaskEventsOff"}
OF_NOBODY = {"CeleryWorkersBelowExpected", "CeleryWorkerLost", "CeleryWorkerStalled"}
WITHOUT_EXPORTER = {"CeleryExporterDown", "CeleryExporterAbsent", "CeleryWatchdog"}
OF_A_QUEUE = {"CeleryQueueWaitLong", "CeleryQueueDrainSlow", "CeleryQueueGrowing"}
HELD_BACK = {
    "CeleryExporterDown": names() - WITHOUT_EXPORTER - names(component="sidecar"),
    "CeleryExporterAbsent": names() - WITHOUT_EXPORTER - names(component="sidecar"),
    "CeleryBrokerDown": MOVING | OF_THE_BROKER,
    "CeleryNoActiveWorkers": QUEUES | OF_NOBODY | {"CeleryBeatEntryOverdue"},
    "CeleryQueueStuck": OF_A_QUEUE,
    "CeleryQueueWithoutConsumers": OF_A_QUEUE,
    "CelerySidecarAuditFailing": set[str](),
    "CeleryBacklogHigh": set[str](),
}


@pytest.mark.parametrize("source", HELD_BACK)
def test_an_alert_holds_back_what_follows_from_it(
    source: str, alertmanager: BundleAlertmanager
) -> None:
    # Each other alert meets it in a cluster of its own: else it could be held back by a third.
    others = [alert for alert in alerts() if alert.name != source]
    pairs = {f"{source} {index}": other for index, other in enumerate(others)}
    alertmanager.post(
        {"alertname": rule.name, "job": job, "queue": "mail"} | rule.labels
        for job, other in pairs.items()
        for rule in (critical(source), other)
    )
    held_back = set[str]().union(*(alertmanager.held_back(job) for job in pairs))
    assert held_back - {source} == HELD_BACK[source]


def critical(name: str) -> Rule:
    return next(a for a in alerts() if a.name == name and a.labels["severity"] == "critical")


def test_a_queue_holds_back_nothing_of_another(alertmanager: BundleAlertmanager) -> None:
    stuck = {"alertname": "CeleryQueueStuck", "job": "two", "queue": "mail"}
    slow = {"alertname": "CeleryQueueWaitLong", "job": "two", "queue": "web"}
    alertmanager.post([stuck, slow])
    assert alertmanager.held_back("two") == set()


def test_critical_holds_back_the_warning_of_the_same(alertmanager: BundleAlertmanager) -> None:
    both = {"alertname": "CeleryBacklogHigh", "job": "shop", "component": "queue"}
    alertmanager.post([both | {"severity": "critical"}, both | {"severity": "warning"}])
    assert alertmanager.held_back("shop") == {"CeleryBacklogHigh"}


@pytest.mark.parametrize("incident", ["queue", "resolved", "names"])
@pytest.mark.parametrize("template", ["title", "text", "slack", "html", "color"])
def test_a_message_reads_as_it_did(incident: str, template: str) -> None:
    kind = "html" if template == "html" else "text"
    said = amtool(
        "template", "render", f"--template.glob={TEMPLATES}/*.tmpl", f"--template.type={kind}",
        f"--template.data={GOLDEN / f'{incident}.json'}",
        f"--template.text={{{{ template \"celeriac.{template}\" . }}}}",
    )  # fmt: skip
    golden = GOLDEN / f"{incident}.{template}.txt"
    if os.environ.get("RENEW_GOLDEN"):
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")


def test_what_holds_others_back_lasts_longer_than_they_do() -> None:
    for source, held_back in HELD_BACK.items():
        for name in held_back:
            assert lasts_minutes(source) > lasts_minutes(name)


def lasts_minutes(name: str) -> int:
    """Return how long an alert goes on when its condition has ended."""
    raw = [rule for _, group in groups() for rule in group["rules"] if rule.get("alert") == name]
    return max(int(rule.get("keep_firing_for", "0m")[:-1]) for rule in raw)
