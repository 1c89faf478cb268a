"""What to look at first: queries and calls, each of which answers after a minute."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class Look:
    """One PromQL query and what it shows."""

    shows: str
    query: str
    is_trouble: bool = False
    """A healthy demo has nothing to show here."""


LOOKS = (
    Look(
        "Backlog: every three minutes media gets more than slow@demo can do",
        "sum by (queue) (celery_queue_length)",
        is_trouble=True,
    ),
    Look(
        "Throughput, by task",
        "sum by (task) (rate(celery_task_succeeded_total[1m]))",
    ),
    Look(
        "Failures, by task and exception",
        "sum by (task, exception) (increase(celery_task_exceptions_total[5m]))",
    ),
    Look(
        "How long nineteen of twenty tasks wait at most, by queue",
        "histogram_quantile(0.95, "
        "sum by (queue, le) (rate(celery_task_queue_wait_seconds_bucket[1m])))",
    ),
    Look(
        "A queue that fills and that nobody consumes",
        "celery_queue_length and on (queue) celery_queue_consumers == 0",
        is_trouble=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the sidecar and what it is for; ``body`` makes it a POST."""

    shows: str
    path: str
    body: str = ""


CALLS = (
    Call("Workers, queues, the busiest tasks and the alerts of now", "monitoring/dashboard"),
    Call(
        "A report of the last hour, to read",
        "monitoring/reports/performance",
        '{"start": "\'$(date -u -d -1hour +%FT%TZ)\'", "end": "\'$(date -u +%FT%TZ)\'"}',
    ),
)


def command_line(call: Call) -> str:
    """Return what a shell runs that has read the file ``env``."""
    words = ["curl", "-sH", '"Authorization: Bearer $SIDECAR_TOKEN"']
    if call.body:
        words += ["-H", "Accept:text/markdown", "-H", "Content-Type:application/json"]
        words += ["-d", f"'{call.body}'"]
    return " ".join([*words, f"$SIDECAR_URL/celery-admin/{call.path}"])


def graph_url(prometheus_url: str, query: str) -> str:
    """Return the page of Prometheus that draws the query over the last quarter of an hour."""
    parameters = {"g0.expr": query, "g0.tab": "0", "g0.range_input": "15m"}
    return f"{prometheus_url}/graph?{urlencode(parameters)}"
