"""The rules of grafana/dashboard-linter for Prometheus, as functions from a dashboard to findings.

Written after their documentation. Variables keep their names as values here, so that a matcher
``job=~"$job"`` is seen as such; durations are those that Grafana fills in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from dashboards import promql
from dashboards.files import GRAFANAS_OWN, VARIABLE, Json, panels

NEEDS_UNIT = {"stat", "singlestat", "graph", "table", "timeseries", "gauge"}
NEEDS_WORDS = NEEDS_UNIT | {"state-timeline"}
DATASOURCE = {"$datasource", "${datasource}"}
RATE_INTERVAL_FUNCTIONS = {"rate", "irate"}
COUNTER_FUNCTIONS = {"rate", "irate", "increase", "resets", "absent_over_time"}
RATE_INTERVAL = promql.parse("rate(a[1m])").selectors[0].over


class Finding(NamedTuple):
    """A rule, and where it is not kept."""

    rule: str
    where: str


Rule = Callable[[Json], Iterator[str]]


def findings(dashboard: Json) -> list[Finding]:
    return [Finding(name, where) for name, rule in RULES.items() for where in rule(dashboard)]


def _variables(dashboard: Json) -> list[Json]:
    found: list[Json] = dashboard["templating"]["list"]
    return found


def _datasource_variable(dashboard: Json) -> Iterator[str]:
    found = [v for v in _variables(dashboard) if v["type"] == "datasource"]
    if [(v["name"], v["label"]) for v in found] != [("datasource", "Data source")]:
        yield "variables"


def _label_variable(name: str) -> Rule:
    def rule(dashboard: Json) -> Iterator[str]:
        found = [v for v in _variables(dashboard) if v["name"] == name]
        if not found:
            yield f"no variable {name}"
        for v in found:
            expected = ("query", name.title(), True, ".+")
            if (v["type"], v["label"], v["multi"], v["allValue"]) != expected:
                yield f"variable {name}"
            if v["datasource"]["uid"] not in DATASOURCE:
                yield f"data source of variable {name}"

    return rule


def _variable_queries(dashboard: Json) -> Iterator[str]:
    for v in _variables(dashboard):
        if v["type"] == "query":
            name, _, rest = v["query"]["query"].partition("(")
            try:
                assert name in {"label_values", "label_names", "metrics", "query_result"}
                promql.parse(_filled_in(rest.rpartition(",")[0] or "up"))
            except (AssertionError, ValueError):
                yield f"variable {v['name']}"


def _variables_reload(dashboard: Json) -> Iterator[str]:
    yield from (
        f"variable {v['name']}"
        for v in _variables(dashboard)
        if v["type"] == "query" and v["refresh"] != 2
    )


def _uneditable(dashboard: Json) -> Iterator[str]:
    if dashboard["editable"]:
        yield "dashboard"


def _panel_datasource(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        if panel["datasource"]["uid"] not in DATASOURCE:
            yield panel["title"]


def _panel_words(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        if panel["type"] in NEEDS_WORDS and not (panel["title"] and panel["description"]):
            yield panel["title"]


def _panel_unit(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        defaults = panel["fieldConfig"]["defaults"]
        if panel["type"] in NEEDS_UNIT and not (defaults.get("unit") or defaults.get("mappings")):
            yield panel["title"]


def _panel_targets(dashboard: Json) -> Iterator[str]:
    yield from (panel["title"] for panel in panels(dashboard) if not panel["targets"])


def _queries(dashboard: Json) -> Iterator[tuple[str, promql.Query]]:
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel["title"], promql.parse(_filled_in(target["expr"]))


def _target_promql(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        for target in panel["targets"]:
            try:
                promql.parse(_filled_in(target["expr"]))
            except ValueError as error:
                yield f"{panel['title']}: {error}"


def _of_selectors(is_wrong: Callable[[promql.Selector], bool]) -> Rule:
    def rule(dashboard: Json) -> Iterator[str]:
        for title, query in _queries(dashboard):
            yield from (f"{title}: {s.name}" for s in query.selectors if is_wrong(s))

    return rule


def _lacks_matcher(label: str) -> Callable[[promql.Selector], bool]:
    return lambda selector: (label, "=~", f"${label}") not in selector.matchers


def _has_own_interval(selector: promql.Selector) -> bool:
    return selector.function in RATE_INTERVAL_FUNCTIONS and selector.over != RATE_INTERVAL


def _is_bare_counter(selector: promql.Selector) -> bool:
    is_counter = selector.name.endswith(("_total", "_sum", "_bucket"))
    return is_counter and selector.function not in COUNTER_FUNCTIONS


def _filled_in(text: str) -> str:
    """Return a query with durations filled in and all else left as ``$name``."""

    def value(found: Any) -> str:
        name = found[1] or found[2]
        return GRAFANAS_OWN.get(name, f"${name}")

    return VARIABLE.sub(value, text)


RULES: dict[str, Rule] = {
    "template-datasource-rule": _datasource_variable,
    "template-job-rule": _label_variable("job"),
    "template-instance-rule": _label_variable("instance"),
    "template-label-promql-rule": _variable_queries,
    "template-on-time-change-reload-rule": _variables_reload,
    "uneditable-dashboard": _uneditable,
    "panel-datasource-rule": _panel_datasource,
    "panel-title-description-rule": _panel_words,
    "panel-units-rule": _panel_unit,
    "panel-no-targets-rule": _panel_targets,
    "target-promql-rule": _target_promql,
    "target-rate-interval-rule": _of_selectors(_has_own_interval),
    "target-job-rule": _of_selectors(_lacks_matcher("job")),
    "target-instance-rule": _of_selectors(_lacks_matcher("instance")),
    "target-counter-agg-rule": _of_selectors(_is_bare_counter),
}
