"""The doctor on exporter, Prometheus and Grafana."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from examined import (
    EXPORTER,
    EXPORTER_URL,
    GRAFANA,
    GRAFANA_URL,
    LABELS,
    PROMETHEUS,
    PROMETHEUS_URL,
    finding,
    findings,
    with_web,
    words,
)

from celeriac.doctor.evidence import Evidence
from celeriac.doctor.findings import Severity, diagnose
from celeriac.doctor.table import CHECKS
from celeriac.doctor.unexamined import Unexamined
from celeriac.doctor.web_facts import Datasource, Rule, SourceHealth, Target, WebContact

ALERT = Rule("CeleryNoWorkers", "alerting", "celery_active_workers == 0", "")
TARGET = Target(LABELS, f"{EXPORTER_URL}/metrics", "up", "", 15.0, 10.0, 0.01)


def exporter(**fields: Any) -> Evidence:
    return with_web(exporter=replace(EXPORTER, **fields))


def prometheus(**fields: Any) -> Evidence:
    return with_web(prometheus=replace(PROMETHEUS, **fields))


def grafana(**fields: Any) -> Evidence:
    return with_web(grafana=replace(GRAFANA, **fields))


def test_an_exporter_that_was_named_and_does_not_answer_is_a_problem() -> None:
    contact = WebContact(EXPORTER_URL, "no connection: refused, nothing listens there")
    found = finding("exporter-unreachable", with_web(exporter_contact=contact))
    assert found.severity is Severity.PROBLEM
    assert EXPORTER_URL in found.title


def test_an_exporter_that_is_only_guessed_at_is_a_warning() -> None:
    contact = WebContact("http://localhost:9808", "no connection", is_given=False)
    found = finding("exporter-unreachable", with_web(exporter_contact=contact))
    assert found.severity is Severity.WARNING
    assert "--exporter-url" in found.remedy


def test_something_else_on_the_port_is_a_problem_and_nothing_else_is_said_of_it() -> None:
    evidence = exporter(version=None)
    assert finding("exporter-foreign", evidence).severity is Severity.PROBLEM
    blind = {code for part in diagnose(CHECKS, evidence).not_examined for code in part.codes}
    assert {"exporter-not-ready", "exporter-stale"} <= blind


def test_an_exporter_that_is_not_ready_says_why() -> None:
    failing = {"queues": SourceHealth(is_successful=False, reason="auth", age_seconds=None)}
    found = finding("exporter-not-ready", exporter(ready="auth", sources=failing))
    assert found.severity is Severity.PROBLEM
    assert "source queues fails: auth" in found.evidence
    assert "user and password" in found.remedy


def test_old_numbers_are_a_warning_with_their_age() -> None:
    old = {"workers": SourceHealth(is_successful=True, reason=None, age_seconds=90.0)}
    found = finding("exporter-stale", exporter(sources=old))
    assert (found.severity, found.evidence) == (
        Severity.WARNING,
        ("workers: last sampled 90 s ago",),
    )


def test_a_source_may_be_three_of_its_intervals_old() -> None:
    young = {"beat": SourceHealth(is_successful=True, reason=None, age_seconds=44.0)}
    assert findings("exporter-stale", exporter(sources=young)) == []


def test_lost_events_are_a_warning_with_their_number() -> None:
    found = finding("exporter-losses", exporter(missed=12.0, rejected={"body": 3.0, "event": 0.0}))
    assert found.severity is Severity.WARNING
    assert "12 task starts" in words(found)
    assert "body (3)" in words(found)


def test_a_gap_is_a_note() -> None:
    assert finding("exporter-gaps", exporter(gap_seconds=30.0)).severity is Severity.NOTE


def test_an_overflow_names_the_label() -> None:
    found = finding("exporter-overflow", exporter(overflows={"task": 9.0, "queue": 0.0}))
    assert (found.severity, found.title) == (
        Severity.WARNING,
        "More values than there is room for: task",
    )


def test_another_version_and_compat_are_notes() -> None:
    assert finding("exporter-version", exporter(version="0.0.1")).severity is Severity.NOTE
    compat = exporter(version=None, is_compat=True)
    assert finding("exporter-compat", compat).severity is Severity.NOTE
    assert findings("exporter-foreign", compat) == []


# -- Prometheus ----------------------------------------------------------------------------


def test_a_prometheus_that_does_not_answer_is_a_problem() -> None:
    contact = WebContact(PROMETHEUS_URL, "no answer within 5 s")
    found = finding("prometheus-unreachable", with_web(prometheus_contact=contact))
    assert (found.severity, found.evidence) == (Severity.PROBLEM, ("no answer within 5 s",))


def test_no_target_is_a_problem_with_the_lines_to_add() -> None:
    found = finding("prometheus-target", prometheus(series=(), targets=()))
    assert found.severity is Severity.PROBLEM
    assert "targets: ['exporter:9808']" in found.remedy


def test_a_target_that_fails_tells_its_error() -> None:
    failing = TARGET._replace(health="down", last_error="connection refused")
    found = finding("prometheus-target", prometheus(series=(), targets=(failing,)))
    assert found.title == f"Prometheus cannot scrape the exporter at {EXPORTER_URL}"
    assert "connection refused" in words(found)


def test_targets_that_cannot_be_listed_are_part_of_the_evidence() -> None:
    found = finding("prometheus-target", prometheus(series=(), targets=Unexamined("HTTP 404")))
    assert "HTTP 404" in words(found)


@pytest.mark.parametrize("gone", ["job", "instance"])
def test_series_without_job_or_instance_are_a_problem(gone: str) -> None:
    labels = {name: value for name, value in LABELS.items() if name != gone}
    found = finding("prometheus-labels", prometheus(series=(labels,)))
    assert (found.severity, gone in found.title) == (Severity.PROBLEM, True)


def test_a_label_that_hides_ours_is_named() -> None:
    hidden = {**LABELS, "exported_worker": "one@host", "worker": "node-7"}
    found = finding("prometheus-labels", prometheus(series=(hidden,)))
    assert "hidden by labels of its target: worker" in found.title
    assert "honor_labels" in found.remedy


def test_an_exporter_that_is_scraped_twice_is_a_note() -> None:
    twice = (LABELS, {**LABELS, "job": "copy"})
    assert finding("prometheus-twice", prometheus(series=twice)).severity is Severity.NOTE


def test_a_dropped_family_is_named() -> None:
    found = finding("prometheus-dropped", prometheus(dropped=frozenset({"celery_queue_length"})))
    assert (found.severity, found.title) == (
        Severity.PROBLEM,
        "Prometheus drops families of the exporter: celery_queue_length",
    )


def test_a_prometheus_of_another_time_is_a_warning() -> None:
    found = finding("prometheus-clock", prometheus(clock_ahead_seconds=-120.0))
    assert (found.severity, "2 min behind" in found.title) == (Severity.WARNING, True)


def test_rare_scrapes_are_a_warning() -> None:
    rare = prometheus(targets=(TARGET._replace(interval_seconds=300.0),))
    assert finding("prometheus-interval", rare).title == (
        "The exporter is scraped only every 5 min"
    )


def test_a_scrape_that_nearly_times_out_is_a_warning() -> None:
    slow = prometheus(targets=(TARGET._replace(last_duration_seconds=9.0),))
    assert finding("prometheus-interval", slow).title.startswith("A scrape takes 9.0 s")


def test_no_rule_is_a_warning() -> None:
    assert finding("prometheus-rules", prometheus(rules=())).severity is Severity.WARNING


def test_a_rule_that_fails_is_named() -> None:
    failing = ALERT._replace(last_error="many-to-many matching not allowed")
    found = finding("prometheus-rules", prometheus(rules=(ALERT, failing)))
    assert found.title == "1 rule cannot be evaluated: CeleryNoWorkers"
    assert "many-to-many" in words(found)


def test_rules_without_alert_are_a_note() -> None:
    recording = Rule("job:celery:sum", "recording", "sum(celery_active_workers)", "")
    assert finding("prometheus-rules", prometheus(rules=(recording,))).severity is Severity.NOTE


def test_no_alertmanager_is_a_warning() -> None:
    found = finding("prometheus-alertmanager", prometheus(alertmanagers=()))
    assert found.severity is Severity.WARNING


def test_a_server_without_rules_is_not_examined_for_them() -> None:
    diagnosis = diagnose(CHECKS, prometheus(rules=Unexamined("HTTP 404: nothing there")))
    (part,) = diagnosis.not_examined
    assert (part.codes, part.reason) == (("prometheus-rules",), "HTTP 404: nothing there")


# -- Grafana -------------------------------------------------------------------------------


def test_a_grafana_that_does_not_answer_is_a_problem() -> None:
    contact = WebContact(GRAFANA_URL, "no connection")
    found = finding("grafana-unreachable", with_web(grafana_contact=contact))
    assert found.severity is Severity.PROBLEM


def test_what_grafana_does_not_show_us_is_a_warning_about_the_token() -> None:
    found = finding("grafana-refused", grafana(datasources=Unexamined("HTTP 401")))
    assert found.severity is Severity.WARNING
    assert "--grafana-token-file" in found.remedy


def test_no_data_source_is_a_problem() -> None:
    assert finding("grafana-datasource", grafana(datasources=())).severity is Severity.PROBLEM


def test_a_data_source_that_fails_is_named_with_its_error() -> None:
    good = Datasource("Good", None, has_celery=True)
    bad = Datasource("Bad", "HTTP 502", has_celery=False)
    found = finding("grafana-datasource", grafana(datasources=(good, bad)))
    assert (found.severity, found.evidence) == (Severity.WARNING, ("Bad: HTTP 502",))


def test_data_sources_without_celery_are_a_problem() -> None:
    other = Datasource("Other", None, has_celery=False)
    assert finding("grafana-empty", grafana(datasources=(other,))).severity is Severity.PROBLEM


def test_no_dashboard_is_a_warning() -> None:
    assert finding("grafana-dashboards", grafana(dashboards=())).severity is Severity.WARNING
