"""The linter finds what it should: each rule is broken once."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from dashboards import linter
from dashboards.files import FOLDER, Json, panels, read

CLEAN = read(FOLDER / "celeriac-queues.json")


def first_target(dashboard: Json) -> Json:
    target: Json = panels(dashboard)[0]["targets"][0]
    return target


def variable(dashboard: Json, name: str) -> Json:
    return next(v for v in dashboard["templating"]["list"] if v["name"] == name)


def asking(promql: str) -> Callable[[Json], Any]:
    return lambda dashboard: first_target(dashboard).update(expr=promql)


BREAKS: dict[str, Callable[[Json], Any]] = {
    "template-datasource-rule": lambda d: variable(d, "datasource").update(name="ds"),
    "template-job-rule": lambda d: variable(d, "job").update(allValue=".*"),
    "template-label-promql-rule": lambda d: variable(d, "queue")["query"].update(query="what(x)"),
    "template-on-time-change-reload-rule": lambda d: variable(d, "queue").update(refresh=1),
    "uneditable-dashboard": lambda d: d.update(editable=True),
    "panel-datasource-rule": lambda d: panels(d)[0]["datasource"].update(uid="abc"),
    "panel-title-description-rule": lambda d: panels(d)[0].update(description=""),
    "panel-units-rule": lambda d: panels(d)[0]["fieldConfig"]["defaults"].update(
        unit="", mappings=[]
    ),
    "panel-no-targets-rule": lambda d: panels(d)[0].update(targets=[]),
    "target-rate-interval-rule": asking('rate(celery_task_sent_total{job=~"$job"}[1h])'),
    "target-job-rule": asking("celery_queue_length"),
    "target-counter-agg-rule": asking('celery_task_sent_total{job=~"$job"}'),
}


@pytest.mark.parametrize("rule", BREAKS)
def test_a_broken_rule_is_found(rule: str) -> None:
    broken = copy.deepcopy(CLEAN)
    before = {finding for finding in linter.findings(CLEAN) if finding.rule == rule}
    BREAKS[rule](broken)
    assert {finding for finding in linter.findings(broken) if finding.rule == rule} - before


def test_a_query_that_cannot_be_parsed_is_found() -> None:
    broken = copy.deepcopy(CLEAN)
    first_target(broken).update(expr="sum(")
    assert list(linter.RULES["target-promql-rule"](broken))
