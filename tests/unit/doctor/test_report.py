"""The doctor's report: words, JSON, exit codes; and its table of checks against the docs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest
from examined import ASKED, healthy, with_broker, with_cluster
from examined import cluster as cluster_of

from celeriac import __version__
from celeriac.doctor.broker_facts import Contact, RedisFacts, Trace
from celeriac.doctor.evidence import Evidence
from celeriac.doctor.findings import Diagnosis, Finding, NotExamined, Severity, diagnose
from celeriac.doctor.report import as_json, as_text
from celeriac.doctor.table import CHECKS
from celeriac.doctor.unexamined import Unexamined

DOCS = Path(__file__).parents[3] / "docs" / "doctor.md"

FAULTY = Diagnosis(
    (
        Finding(
            "redis-database",
            Severity.PROBLEM,
            "Celery is not in database 0 but in 1",
            ("no worker gives a sign of life in database 0, prefix ''", "database 1: heartbeats"),
            "End --broker-url in /1, as the workers' broker_url does.",
        ),
        Finding("results", Severity.NOTE, "No result backend", ("nothing needs it",), "None."),
        Finding("broker-unreachable", Severity.OK, "the broker answers"),
        Finding("broker-refused", Severity.OK, "the broker lets us in"),
    ),
    (
        NotExamined("Grafana", "no --grafana-url was given", ("grafana-unreachable",)),
        NotExamined("Grafana's dashboards", "no --grafana-url was given", ("grafana-dashboards",)),
    ),
)
FAULTY_TEXT = """\
redis://broker:6379/0: listened for 12 s, 1 worker up

PROBLEM  Celery is not in database 0 but in 1  [redis-database]
         - no worker gives a sign of life in database 0, prefix ''
         - database 1: heartbeats
         → End --broker-url in /1, as the workers' broker_url does.

NOTE     No result backend  [results]
         - nothing needs it
         → None.

In order: the broker answers; the broker lets us in.

Not examined: Grafana and Grafana's dashboards (no --grafana-url was given).

1 problem, 0 warnings; 2 checks in order, 1 note."""


def text(diagnosis: Diagnosis, evidence: Evidence) -> str:
    return click.unstyle(as_text(diagnosis, evidence))


def test_the_report_is_as_it_was_agreed() -> None:
    assert text(FAULTY, healthy()) == FAULTY_TEXT


def test_no_line_is_wider_than_a_terminal() -> None:
    evidence = with_cluster(cluster_of())._replace(broker=with_broker(redis=_elsewhere()).broker)
    assert max(map(len, text(diagnose(CHECKS, evidence), evidence).splitlines())) <= 100


def _elsewhere() -> RedisFacts:
    workers = frozenset(f"worker-with-a-long-name-{number}@host" for number in range(9))
    return RedisFacts(ASKED, 0, "", (Trace(1, "", frozenset({"celery.pidbox"}), workers),))


def test_the_worst_comes_first() -> None:
    evidence = with_broker(redis=_elsewhere())
    severities = [finding.severity for finding in diagnose(CHECKS, evidence).findings]
    assert severities == sorted(severities, reverse=True)


def test_a_healthy_set_up_is_said_to_be() -> None:
    evidence = healthy()
    diagnosis = diagnose(CHECKS, evidence)
    said = text(diagnosis, evidence)
    assert (diagnosis.exit_code, diagnosis.not_examined) == (0, ())
    assert said.endswith(f"Healthy: {len(CHECKS)} checks in order, 0 notes.")
    assert all(check.well in said.replace("\n", " ") for check in CHECKS)


@pytest.mark.parametrize(
    ("worst", "code"),
    [(Severity.OK, 0), (Severity.NOTE, 0), (Severity.WARNING, 1), (Severity.PROBLEM, 3)],
)
def test_the_exit_code_is_that_of_the_worst(worst: Severity, code: int) -> None:
    findings = tuple(
        Finding("code", severity, "title") for severity in Severity if severity <= worst
    )
    assert Diagnosis(findings, ()).exit_code == code


def test_a_closed_broker_leaves_nothing_unsaid() -> None:
    why = Unexamined("the broker could not be asked")
    evidence = healthy()._replace(
        contact=Contact(ASKED, "unreachable", "Connection refused."),
        broker=type(healthy().broker).none(why),
        cluster=why,
    )
    diagnosis = diagnose(CHECKS, evidence)
    found = {finding.code for finding in diagnosis.findings}
    blind = {code for part in diagnosis.not_examined for code in part.codes}
    assert found | blind == {check.code for check in CHECKS}
    assert found & blind == set()
    assert why.reason in text(diagnosis, evidence).replace("\n", " ")


# -- JSON ----------------------------------------------------------------------------------


def test_json_has_the_fields_that_programs_rely_on() -> None:
    report = json.loads(as_json(FAULTY, healthy()))
    assert report["summary"] == {
        "healthy": False,
        "worst": "problem",
        "exit_code": 3,
        "broker": "redis://broker:6379/0",
        "workers": ["one@host"],
        "problem": 1,
        "warning": 0,
        "note": 1,
        "ok": 2,
    }
    assert report["findings"][0] == {
        "code": "redis-database",
        "severity": "problem",
        "title": "Celery is not in database 0 but in 1",
        "evidence": list(FAULTY.findings[0].evidence),
        "remedy": "End --broker-url in /1, as the workers' broker_url does.",
    }
    assert report["not_examined"][0] == {
        "part": "Grafana",
        "reason": "no --grafana-url was given",
        "codes": ["grafana-unreachable"],
    }
    assert report["versions"]["celeriac"] == __version__


def test_json_of_a_closed_broker_knows_no_workers() -> None:
    evidence = healthy()._replace(cluster=Unexamined("the broker could not be asked"))
    assert json.loads(as_json(FAULTY, evidence))["summary"]["workers"] is None


# -- the table -----------------------------------------------------------------------------


def test_no_code_is_in_the_table_twice() -> None:
    codes = [check.code for check in CHECKS]
    assert len(codes) == len(set(codes))


def test_a_code_is_words_with_hyphens() -> None:
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", check.code) for check in CHECKS)


def test_the_docs_have_every_check_in_the_order_of_the_table() -> None:
    table = DOCS.read_text(encoding="utf-8").partition("## What it checks")[2]
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+?) \| (.+?) \|", table, re.MULTILINE)
    assert rows == [(check.code, check.well, check.look.name) for check in CHECKS]
