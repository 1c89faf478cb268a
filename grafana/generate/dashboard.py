"""A dashboard as data: rows of panels that flow from left to right, variables, annotations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from grafana.generate.looks import BAD, CALM, Json
from grafana.generate.panels import DATASOURCE, Panel
from grafana.generate.queries import FIRING, each, select

SCHEMA_VERSION = 39
COLUMNS = 24
TAG = "celeriac"


class RowTooWideError(Exception):
    """A panel is wider than the dashboard."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels of one height under a title; those that do not fit go on in the next line."""

    title: str
    height: int
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice of label values, from a series that is cheap to list. Any number of them, or all."""

    name: str
    label: str
    query: str
    all_value: str = ".*"

    def json(self) -> Json:
        query = {"query": self.query, "refId": f"Variable-{self.name}"}
        return {
            "type": "query",
            "name": self.name,
            "label": self.label,
            "datasource": DATASOURCE,
            "definition": self.query,
            "query": query,
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": self.all_value,
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
            "options": [],
            "hide": 0,
            "regex": "",
            "skipUrlSync": False,
        }


NAMESPACE = Variable(
    "namespace", "Namespace", "label_values(celery_active_workers, namespace)"
)  # fmt: skip
JOB = Variable(
    "job", "Job", 'label_values(celery_active_workers{namespace=~"$namespace"}, job)', ".+"
)
QUEUE = Variable("queue", "Queue", f"label_values({select('celery_queue_length')}, queue)")
TASK = Variable("task", "Task", f"label_values({select('celery_task_received_total')}, task)")
SIDECAR = Variable("sidecar", "Sidecar", "label_values(celeriac_sidecar_audit_head, job)", ".+")
WORKER = Variable("worker", "Worker", f"label_values({select('celery_worker_up')}, worker)")


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard; its uid is part of links and runbooks, and stays."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    start: str = "now-1h"
    links: tuple[Json, ...] = field(default_factory=lambda: (OTHER_DASHBOARDS,))

    def json(self) -> Json:
        """Return the classic JSON that Grafana 11 to 13 load from a file or import by hand."""
        variables = (NAMESPACE, JOB, *self.variables)
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "fiscalYearStartMonth": 0,
            "liveNow": False,
            "refresh": "30s",
            "time": {"from": self.start, "to": "now"},
            "timezone": "browser",
            "weekStart": "",
            "links": list(self.links),
            "annotations": {"list": [ALERTS, STARTS]},
            "templating": {"list": [DATA_SOURCE, *(variable.json() for variable in variables)]},
            "panels": list(_panels(self.rows)),
        }


def _panels(rows: tuple[Row, ...]) -> Iterator[Json]:
    """Yield every panel with its place."""
    numbers, y = count(1), 0
    for row in rows:
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        yield {
            "type": "row", "title": row.title, "id": next(numbers), "gridPos": place,
            "collapsed": False, "panels": [],
        }  # fmt: skip
        y += 1
        x = 0
        for panel in row.panels:
            if panel.width > COLUMNS:
                raise RowTooWideError(panel.title)
            if x + panel.width > COLUMNS:
                x, y = 0, y + row.height
            place = {"x": x, "y": y, "w": panel.width, "h": row.height}
            yield panel.json() | {"id": next(numbers), "gridPos": place}
            x += panel.width
        y += row.height


DATA_SOURCE: Json = {
    "type": "datasource",
    "name": "datasource",
    "label": "Data source",
    "query": "prometheus",
    "options": [],
    "hide": 0,
    "includeAll": False,
    "multi": False,
    "refresh": 1,
    "regex": "",
    "skipUrlSync": False,
}

OTHER_DASHBOARDS: Json = {
    "type": "dashboards",
    "title": "Celery",
    "tags": [TAG],
    "asDropdown": False,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
    "icon": "external link",
    "tooltip": "",
    "url": "",
}


def _annotation(name: str, color: str, expression: str, title: str, words: str) -> Json:
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": expression,
        "step": "60s",
        "titleFormat": title,
        "textFormat": words,
    }


ALERTS = _annotation(
    "Alerts", BAD,
    FIRING,
    "{{alertname}}", "{{severity}} {{queue}}{{task}}{{worker}}",
)  # fmt: skip
# The window is a step, so that none is missed, and the minute that two scrapes may take.
STARTED = (
    f"count(time() - {each('celery_worker_start_timestamp_seconds')} < 60 + $__interval_ms / 1000)"
)
STARTS = _annotation(
    "Workers started", CALM, STARTED,
    "Workers started", "a deploy, a restart, or more workers",
)  # fmt: skip
