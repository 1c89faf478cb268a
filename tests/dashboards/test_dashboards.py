"""The dashboards: up to date, clean, and asking only for what there is."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from celeriac.exposition.families import FAMILIES
from dashboards import linter, promql
from dashboards.files import PATHS, Json, asks, filled_in, panels, read, variables
from grafana.generate.__main__ import DASHBOARDS, FOLDER, text
from grafana.generate.dashboard import COLUMNS
from grafana.generate.links import RUNBOOKS
from grafana.generate.queries import RULES, exported_names, recorded_names, sidecar_names

ACCEPTED = yaml.safe_load((Path(__file__).parent / "accepted_findings.yml").read_text())
PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
PROMETHEUS_OWN = {"up", "ALERTS", "ALERTS_FOR_STATE"} | PROCESS
TARGET_LABELS = {"namespace", "job", "instance", "pod", "container", "endpoint"}
LABELS = TARGET_LABELS | {label for family in FAMILIES for label in family.labels}
# Of rules and alerts, of the sidecar, of histograms, and what the dashboards add themselves.
LABELS |= {"event", "alertname", "alertstate", "severity", "kind", "code", "le", "why"}
GRAFANAS_PARAMETERS = {"from", "to"}

every_dashboard = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def is_accepted(finding: linter.Finding) -> bool:
    return any(
        finding.rule == row["rule"] and re.fullmatch(row["where"], finding.where)
        for row in ACCEPTED
    )


def links(panel: Json) -> list[str]:
    config = panel["fieldConfig"]
    found = list(config["defaults"].get("links", ()))
    for override in config["overrides"]:
        found += [link for p in override["properties"] if p["id"] == "links" for link in p["value"]]
    return [link["url"] for link in found]


def test_the_committed_dashboards_are_what_the_generator_makes() -> None:
    made = {FOLDER / f"{dashboard.uid}.json": text(dashboard) for dashboard in DASHBOARDS}
    committed = {path: path.read_text(encoding="utf-8") for path in PATHS}
    assert committed == made, "run: python -m grafana.generate"


@every_dashboard
def test_the_linter_finds_nothing_that_is_not_accepted(path: Path) -> None:
    assert [one for one in linter.findings(read(path)) if not is_accepted(one)] == []


def test_every_accepted_finding_is_found_and_has_a_reason() -> None:
    found = [finding for path in PATHS for finding in linter.findings(read(path))]
    for row in ACCEPTED:
        assert row["why"]
        assert any(
            one.rule == row["rule"] and re.fullmatch(row["where"], one.where) for one in found
        ), row


@every_dashboard
def test_every_metric_exists(path: Path) -> None:
    dashboard = read(path)
    known = exported_names() | recorded_names() | sidecar_names() | PROMETHEUS_OWN
    asked = {
        selector.name
        for ask in asks(dashboard)
        for selector in promql.parse(filled_in(ask.promql, dashboard)).selectors
    }
    assert asked <= known


@every_dashboard
def test_every_label_exists(path: Path) -> None:
    dashboard = read(path)
    for ask in asks(dashboard):
        query = promql.parse(filled_in(ask.promql, dashboard))
        matched = {matcher[0] for s in query.selectors for matcher in s.matchers}
        assert query.labels | matched <= LABELS, ask


@every_dashboard
def test_every_label_of_a_legend_is_one_that_its_query_keeps(path: Path) -> None:
    for panel in panels(read(path)):
        for target in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")):
                assert label in target["expr"] or label == "instance", panel["title"]


@every_dashboard
def test_every_link_leads_somewhere(path: Path) -> None:
    known = {read(p)["uid"]: set(variables(read(p))) | {"datasource"} for p in PATHS}
    for panel in panels(read(path)):
        for url in links(panel):
            if "/runbooks/" in url:
                continue
            folder, _, uid = urlsplit(url).path.rpartition("/")
            assert (folder, uid in known) == ("/d", True), url
            names = {name for name, _ in parse_qsl(urlsplit(url).query)}
            assert {n.removeprefix("var-") for n in names if n.startswith("var-")} <= known[uid]


@every_dashboard
def test_every_link_keeps_time_data_source_namespace_and_job(path: Path) -> None:
    for panel in panels(read(path)):
        for url in links(panel):
            kept = ("${__url_time_range}", "${datasource:queryparam}", "${namespace:queryparam}")
            if url.startswith("/d/"):
                assert all(one in url for one in (*kept, "${job:queryparam}")), url


@every_dashboard
def test_every_panel_says_what_no_data_means(path: Path) -> None:
    for panel in panels(read(path)):
        assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]


@every_dashboard
def test_panels_fill_their_rows_without_touching(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in read(path)["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    height = max(y for _, y in taken) + 1
    assert len(taken) == COLUMNS * height, "a hole"


@every_dashboard
def test_a_graph_has_at_most_ten_series_of_names(path: Path) -> None:
    for panel in panels(read(path)):
        for target in panel["targets"]:
            names = re.findall(r"\{\{(task|queue|worker)\}\}", target.get("legendFormat", ""))
            if panel["type"] in {"timeseries", "state-timeline"} and names:
                assert re.search(r"topk\(10,", target["expr"]), panel["title"]


def test_alerts_and_dashboards_agree_on_where_runbooks_and_dashboards_are() -> None:
    rules = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in RULES.glob("*.yml")]
    alerts = [
        r for file in rules for group in file["groups"] for r in group["rules"] if "alert" in r
    ]
    uids = {read(path)["uid"] for path in PATHS}
    for alert in alerts:
        notes = alert["annotations"]
        assert notes.get("dashboard", "celeriac-overview") in uids, alert["alert"]
        assert notes.get("runbook_url", RUNBOOKS).startswith(RUNBOOKS), alert["alert"]
