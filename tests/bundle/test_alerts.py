"""The alerts: each can be understood, is tested, and leads to a runbook and a dashboard."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundle.exported import EXPORTED
from bundle.rule_files import ALERTING, RUNBOOKS, TEST_FILES, Rule, alerts, recordings, selected

SEVERITIES = {"critical", "warning", "info", "none"}
COMPONENTS = {"broker", "worker", "queue", "task", "beat", "exporter", "sidecar", "watchdog"}
DASHBOARDS = {f"celeriac-{n}" for n in ("overview", "queues", "tasks", "workers", "exporter")}
RUNBOOK_URL = "https://github.com/celeriac/celeriac/blob/main/alerting/runbooks/{}.md"
# What every runbook has, in this order.
SECTIONS = ["## Meaning", "## See it", "## Usual causes", "## What to do", "## Silence"]
ALERTNAME = re.compile(r'alertname="(\w+)"')

every_alert = pytest.mark.parametrize(
    "alert", alerts(), ids=lambda alert: f"{alert.name}-{alert.labels['severity']}"
)


@cache
def promtool_tests() -> list[dict[str, Any]]:
    files = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in TEST_FILES)
    return [test for file in files for test in file["tests"]]


@cache
def texts_tested() -> set[tuple[str, str]]:
    """Return name and severity of each alert whose labels and texts a test demands."""
    return {
        (check["alertname"], expected["exp_labels"]["severity"])
        for test in promtool_tests()
        for check in test.get("alert_rule_test", ())
        for expected in check.get("exp_alerts", ())
    }


def clusters_tested(name: str) -> set[str]:
    """Return the jobs that the tests of one alert tell apart."""
    series = [
        entry["series"]
        for test in promtool_tests()
        if test["name"].startswith(f"{name}:")
        for entry in test["input_series"]
    ]
    return {job for text in series for job in re.findall(r'job="([^"]+)"', text)}


@every_alert
def test_an_alert_says_who_cares(alert: Rule) -> None:
    assert alert.labels["severity"] in SEVERITIES
    assert alert.labels["component"] in COMPONENTS


@every_alert
def test_a_summary_names_the_culprit(alert: Rule) -> None:
    assert "{{ $labels." in alert.annotations["summary"] or alert.name in (
        "CeleryExporterAbsent",
        "CeleryWatchdog",
    )


@every_alert
def test_a_description_has_a_first_step(alert: Rule) -> None:
    assert len(alert.annotations["description"]) > 40


@every_alert
def test_an_alert_leads_to_its_runbook(alert: Rule) -> None:
    assert alert.annotations["runbook_url"] == RUNBOOK_URL.format(alert.name)
    assert alert.name in {path.stem for path in RUNBOOKS}


@every_alert
def test_an_alert_leads_to_a_dashboard(alert: Rule) -> None:
    assert alert.annotations["dashboard"] in DASHBOARDS


@every_alert
def test_a_test_fires_the_alert(alert: Rule) -> None:
    fired = texts_tested()
    assert any(name == alert.name for name, _ in fired)


@pytest.mark.parametrize("name", sorted({a.name for a in alerts()} - {"CeleryWatchdog"}))
def test_the_tests_of_an_alert_have_its_neighbours(name: str) -> None:
    neighbours = {"fires", "healthy", "limit", "missing", "restart"}
    if name == "CeleryThresholdsMissing":  # It compares no numbers.
        neighbours.remove("limit")
    assert clusters_tested(name) >= neighbours


@pytest.mark.parametrize(
    "record", [rule.name for rule in recordings() if rule.group == "celeriac-thresholds"]
)
def test_every_threshold_is_read_by_an_alert(record: str) -> None:
    assert record in {wanted.name for alert in alerts() for wanted in selected(alert.expr)}


def test_every_runbook_has_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS} == {alert.name for alert in alerts()}


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_has_all_its_sections(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"# {path.stem}"
    assert [line for line in lines if line.startswith("## ")] == SECTIONS


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_query_in_a_runbook_asks_for_what_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8").partition("## See it")[2].partition("## Usual")[0]
    for query in filter(None, "".join(re.findall(r"```\n(.*?)```", text, re.S)).splitlines()):
        known = EXPORTED.keys() | {rule.name for rule in recordings()} | {"ALERTS", ""}
        assert {wanted.name for wanted in selected(query)} <= known


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_command_in_a_runbook_silences_its_own_alert(path: Path) -> None:
    silences = re.findall(r"amtool silence add (\S+)", path.read_text(encoding="utf-8"))
    assert set(silences) <= {f"alertname={path.stem}", "job=celeriac"}


def test_two_alerts_of_one_name_differ_in_severity() -> None:
    keys = [(alert.name, alert.labels["severity"]) for alert in alerts()]
    assert len(keys) == len(set(keys))


def test_the_page_on_alerts_names_them_all() -> None:
    page = (ALERTING.parent / "docs" / "alerts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (Celery\w+) \| ([a-z, ]+) \|", page, re.M)
    told = {(name, severity) for name, severities in rows for severity in severities.split(", ")}
    assert told == {(alert.name, alert.labels["severity"]) for alert in alerts()}
