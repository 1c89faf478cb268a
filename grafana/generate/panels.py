"""Panels as data: each kind is one call, with what it shows, its unit, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from grafana.generate.links import Link
from grafana.generate.looks import NEUTRAL, OUTCOMES, Below, Json, Levels, Words, mappings

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
NOTHING = "no data"
NEEDS_RULES = "no data (made by Celeriac's recording rules)"


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL query; *legend* names its series, as Grafana's ``{{label}}``."""

    promql: str
    legend: str = ""
    color: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel in Grafana's terms, without its place."""

    kind: str
    title: str
    description: str
    queries: tuple[Query, ...] = ()
    width: int = 8
    options: Json = field(default_factory=dict)
    defaults: Json = field(default_factory=dict)
    overrides: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()
    is_instant: bool = False
    is_table: bool = False
    max_points: int | None = None

    def json(self) -> Json:
        """Return the panel as Grafana reads it, all but ``id`` and ``gridPos``."""
        field_config = {"defaults": self.defaults, "overrides": list(self.overrides)}
        panel: Json = {
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "targets": [self._target(n, query) for n, query in enumerate(self.queries)],
            "options": self.options,
            "fieldConfig": field_config,
        }
        if self.transformations:
            panel["transformations"] = list(self.transformations)
        if self.max_points:
            panel["maxDataPoints"] = self.max_points
        return panel

    def _target(self, number: int, query: Query) -> Json:
        target: Json = {
            "refId": ref(number),
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": query.promql,
            "instant": self.is_instant,
            "range": not self.is_instant,
            "format": "table" if self.is_table else "time_series",
        }
        if query.legend:
            target["legendFormat"] = query.legend
        return target


def ref(number: int) -> str:
    return chr(ord("A") + number)


def stat(
    title: str,
    description: str,
    query: str,
    unit: str = "short",
    *,
    levels: Levels | Below = NEUTRAL,
    words: Words | None = None,
    legend: str = "",
    width: int = 2,
    link: Link | None = None,
    is_loud: bool = False,
    nothing: str = NOTHING,
) -> Panel:
    """A number as of the end of the range, and under it the *legend* if there is one.

    *is_loud* fills the panel with the number's colour.
    """
    return Panel(
        "stat", title, description, (Query(query, legend),), width,
        options={
            "colorMode": "background_solid" if is_loud else "value",
            "graphMode": "none",
            "justifyMode": "center",
            "orientation": "auto",
            "reduceOptions": _LAST,
            "textMode": "value_and_name" if legend else "value",
            "wideLayout": False,
        }
        | ({"text": {"titleSize": 15, "valueSize": 36}} if legend else {}),
        defaults=defaults_of(unit, levels, words, nothing)
        | ({"links": [link.of_series()]} if link else {}),
        is_instant=True,
    )  # fmt: skip


def graph(
    title: str,
    description: str,
    queries: str | Sequence[Query],
    unit: str = "short",
    *,
    legend: str = "",
    levels: Levels | None = None,
    link: Link | None = None,
    width: int = 8,
    is_stacked: bool = False,
    needs_rules: bool = False,
    most: float | None = None,
) -> Panel:
    """Lines over time. *levels* draws its values as lines of their own."""
    asked = (Query(queries, legend),) if isinstance(queries, str) else tuple(queries)
    nothing = NEEDS_RULES if needs_rules else NOTHING
    defaults = defaults_of(unit, levels or Levels(), None, nothing)
    defaults["color"] = {"mode": "palette-classic"}
    defaults["custom"] = {
        "drawStyle": "line",
        "lineWidth": 1 if is_stacked else 2,
        "fillOpacity": 50 if is_stacked else 0,
        "showPoints": "never",
        "spanNulls": False,
        "lineInterpolation": "linear",
        "stacking": {"mode": "normal" if is_stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if levels else "off"},
    }
    defaults["min"] = 0
    if most is not None:
        defaults["max"] = most
    if link:
        defaults["links"] = [link.of_series()]
    return Panel(
        "timeseries", title, description, asked, width,
        options={
            "legend": {
                "showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": [],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        defaults=defaults,
        overrides=tuple(named(q.legend, _fixed(q.color)) for q in asked if q.color),
    )  # fmt: skip


def outcomes(
    title: str, description: str, promql: str, *, label: str = "outcome", needs_rules: bool = False
) -> Panel:
    """Tasks a second by how they ended, stacked, each outcome in its own colour."""
    panel = graph(title, description, promql, "ops", legend=f"{{{{{label}}}}}", is_stacked=True,
                  needs_rules=needs_rules)  # fmt: skip
    colors = (named(outcome, _fixed(color)) for outcome, color in OUTCOMES.items())
    return replace(panel, overrides=tuple(colors))


def timeline(
    title: str,
    description: str,
    queries: Sequence[Query],
    words: Words,
    *,
    width: int,
    nothing: str = NOTHING,
) -> Panel:
    """What was the case when: a bar a series, with gaps where it was not."""
    defaults = defaults_of("none", NEUTRAL, words, nothing)
    defaults["custom"] = {"fillOpacity": 80, "lineWidth": 0, "spanNulls": False}
    return Panel(
        "state-timeline", title, description, tuple(queries), width,
        options={
            "mergeValues": True,
            "showValue": "auto",
            "alignValue": "left",
            "rowHeight": 0.8,
            "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "single", "sort": "none"},
        },
        defaults=defaults,
        max_points=300,
    )  # fmt: skip


_LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}


def defaults_of(unit: str, levels: Levels | Below, words: Words | None, nothing: str) -> Json:
    return {
        "unit": unit,
        "noValue": nothing,
        "color": {"mode": "thresholds"},
        "thresholds": levels.json(),
        "mappings": mappings(words or {}, nothing),
    }


def named(name: str, *properties: Mapping[str, object]) -> Json:
    return {"matcher": {"id": "byName", "options": name}, "properties": list(properties)}


def _fixed(color: str) -> Json:
    return {"id": "color", "value": {"mode": "fixed", "fixedColor": color}}
