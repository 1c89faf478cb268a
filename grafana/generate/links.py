"""Links that carry the time range, the scope, and what was clicked on."""

from __future__ import annotations

from dataclasses import dataclass

from grafana.generate.looks import Json

SCOPE = "${__url_time_range}&${datasource:queryparam}&${namespace:queryparam}&${job:queryparam}"
RUNBOOKS = "https://github.com/celeriac/celeriac/blob/main/alerting/runbooks"


@dataclass(frozen=True, slots=True)
class Link:
    """A link to another dashboard; *label* is what is clicked on, and the variable there."""

    title: str
    uid: str
    label: str = ""

    def of_series(self) -> Json:
        """Return the data link of a graph or a number."""
        return self._json(f"${{__field.labels.{self.label}}}")

    def of_cell(self) -> Json:
        """Return the data link of a table's column."""
        return self._json("${__value.raw}")

    def _json(self, clicked: str) -> Json:
        context = f"&var-{self.label}={clicked}" if self.label else ""
        return {"title": self.title, "url": f"/d/{self.uid}?{SCOPE}{context}"}


@dataclass(frozen=True, slots=True)
class Runbook:
    """A link from the name of an alert to what to do about it."""

    def of_cell(self) -> Json:
        return {"title": "Runbook", "url": f"{RUNBOOKS}/${{__value.raw}}.md", "targetBlank": True}


TO_QUEUES = Link("Queues", "celeriac-queues")
TO_TASKS = Link("Tasks", "celeriac-tasks")
TO_WORKERS = Link("Workers", "celeriac-workers")
TO_QUEUE = Link("This queue", "celeriac-queues", "queue")
TO_TASK = Link("This task", "celeriac-tasks", "task")
TO_WORKER = Link("This worker", "celeriac-workers", "worker")
TO_EXPORTER = Link("The exporter", "celeriac-exporter")
