"""Links that carry the time range, the scope, and what was clicked on."""

from __future__ import annotations

from dataclasses import dataclass

from grafana.generate.looks import Json

SCOPE = "${__url_time_range}&${datasource:queryparam}&${namespace:queryparam}&${job:queryparam}"
RUNBOOKS = "https://github.com/celeriac/celeriac/blob/main/alerting/runbooks"


@dataclass(frozen=True, slots=True)
class Link:
    """A link to another dashboard; *label* is the variable there, and the label or column here."""

    title: str
    uid: str
    label: str = ""

    def json(self, template: str, field: str = "") -> Json:
        """Return the data link; *template* finds the value clicked on, *field* is its column."""
        clicked = "${__value.raw}" if field else template % self.label
        context = f"&var-{self.label}={clicked}" if self.label else ""
        return {"title": self.title, "url": f"/d/{self.uid}?{SCOPE}{context}"}


@dataclass(frozen=True, slots=True)
class Runbook:
    """A link from the name of an alert to what to do about it."""

    def json(self, _: str, field: str) -> Json:
        del field
        return {"title": "Runbook", "url": f"{RUNBOOKS}/${{__value.raw}}.md", "targetBlank": True}


TO_OVERVIEW = Link("Overview", "celeriac-overview")
TO_QUEUE = Link("This queue", "celeriac-queues", "queue")
TO_TASK = Link("This task", "celeriac-tasks", "task")
TO_WORKER = Link("This worker", "celeriac-workers", "worker")
TO_EXPORTER = Link("The exporter", "celeriac-exporter")
