"""THE table of routes: method, path, role, handler, what it is for, the shapes of answer and body.

The rows of a part are those whose handler is a method of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import msgspec
from flask import Response

from celeriac.sidecar.alerts import Accepted, Alerts, AlertsAnswer, WebhookMessage
from celeriac.sidecar.audit_view import FILTERS, AuditAnswer, AuditView
from celeriac.sidecar.batch import Batch, BatchRequest
from celeriac.sidecar.batch_answer import BatchAnswer
from celeriac.sidecar.contract import Call, Role, Route
from celeriac.sidecar.dashboard import Dashboard
from celeriac.sidecar.entrance import Entrance, TicketAnswer
from celeriac.sidecar.live import Live, MonitorAnswer, MonitorStatus
from celeriac.sidecar.numbers import LiveNumbers
from celeriac.sidecar.openapi import document
from celeriac.sidecar.queues import PurgeAnswer, Queues
from celeriac.sidecar.report_shapes import PerformanceReport, ReportList, ReportRequest
from celeriac.sidecar.reports import DEFAULT_LISTED, JSON, MARKDOWN, MAX_LISTED, Reports
from celeriac.sidecar.stream import Stream
from celeriac.sidecar.system import TEXT, HealthAnswer, InfoAnswer, StatusAnswer, System
from celeriac.sidecar.tasks import TaskAnswer, Tasks
from celeriac.sidecar.workers import ControlAnswer, ControlRequest, Workers

VIEWER, OPERATOR, ADMIN = Role.VIEWER, Role.OPERATOR, Role.ADMIN
ROOT = ""
TEXTS, DOCUMENTS = (TEXT,), (JSON, MARKDOWN)

TABLE: tuple[Route, ...] = (
    Route("GET", "/system/health", Role.NONE, System.show_health,
          "How everything is; 503 when unhealthy", HealthAnswer, also_with_answer=(503,)),
    Route("GET", "/system/info", Role.NONE, System.show_info,
          "Which sidecar this is", InfoAnswer),
    Route("GET", "/system/status", ADMIN, System.show_status,
          "Everything at once", StatusAnswer),
    Route("GET", "/monitoring/metrics/realtime", VIEWER, Live.show_numbers,
          "The live numbers", LiveNumbers, problems=(503,)),
    Route("GET", "/monitoring/dashboard", VIEWER, Live.show_dashboard,
          "The live numbers, and who and what is behind them", Dashboard, problems=(503,)),
    Route("POST", "/monitoring/start", OPERATOR, Live.keep_running,
          "Poll in the background until told to stop", MonitorAnswer),
    Route("POST", "/monitoring/stop", OPERATOR, Live.let_stop,
          "Poll only while somebody listens", MonitorAnswer),
    Route("GET", "/monitoring/status", VIEWER, Live.show_status,
          "Whether the numbers are polled in the background", MonitorStatus),
    Route("GET", "/monitoring/ws", VIEWER, Stream.upgrade,
          "The WebSocket; its messages are described in docs/live.md",
          query={"ticket": "From POST /monitoring/ws-ticket, instead of a token"},
          problems=(400, 426, 503), status=101, asks_itself=True),
    Route("POST", "/monitoring/ws-ticket", VIEWER, Entrance.issue_ticket,
          "A ticket that opens the WebSocket once", TicketAnswer),
    Route("POST", "/monitoring/reports/performance", VIEWER, Reports.create,
          "Make a performance report of a time, and save it", PerformanceReport, ReportRequest,
          problems=(502, 503, 504), content_types=DOCUMENTS),
    Route("GET", "/monitoring/reports", VIEWER, Reports.list_saved,
          "Saved performance reports", ReportList, problems=(503,),
          query={"limit": f"{DEFAULT_LISTED} unless told, {MAX_LISTED} at most"}),
    Route("GET", "/monitoring/reports/<report_id>", VIEWER, Reports.show,
          "A saved performance report", PerformanceReport,
          problems=(503,), content_types=DOCUMENTS),
    Route("POST", "/tasks/batch", OPERATOR, Batch.post,
          "Revoke tasks by id or filter; to terminate them needs the role admin",
          BatchAnswer, BatchRequest, problems=(409, 503)),
    Route("GET", "/tasks/<path:task_id>", VIEWER, Tasks.show,
          "Where a task is now: only workers are asked, not queues", TaskAnswer, problems=(503,)),
    Route("POST", "/workers/<worker>/control", ADMIN, Workers.post,
          "Tell a worker, or every worker by the name *, to do something",
          ControlAnswer, ControlRequest, problems=(409, 503)),
    Route("DELETE", "/queues/<path:queue>/messages", ADMIN, Queues.purge,
          "Throw away every message that waits, of all priorities", PurgeAnswer,
          query={"reason": "why, for the audit"}, problems=(409, 503)),
    Route("GET", "/audit", ADMIN, AuditView.show,
          "Who did what, to what, why, when, and what became of it", AuditAnswer,
          query=FILTERS, problems=(503,)),
    Route("POST", "/alerts", Role.NONE, Alerts.receive,
          "Alertmanager's webhook, version 4", Accepted, WebhookMessage,
          problems=(401,), asks_itself=True),
    Route("GET", "/alerts", VIEWER, Alerts.show, "The latest alerts", AlertsAnswer),
    Route("GET", "/metrics", Role.NONE, System.show_metrics,
          "The sidecar's own metrics", base=ROOT, content_types=TEXTS),
    Route("GET", "/livez", Role.NONE, System.live,
          "Is the process alive?", base=ROOT, content_types=TEXTS),
    Route("GET", "/readyz", Role.NONE, System.ready,
          "May it be asked?", base=ROOT, content_types=TEXTS, problems=(503,)),
)  # fmt: skip


def rows(*parts: object) -> tuple[Route, ...]:
    """Return the rows of these parts, ready to be called."""
    return tuple(
        replace(row, handler=partial(row.handler, part))
        for part in parts
        for row in TABLE
        if getattr(type(part), row.handler.__name__, None) is row.handler
    )


def with_document(routes: Sequence[Route]) -> tuple[Route, ...]:
    """Return the rows, and that of the document that describes them all."""

    def show(_: Call) -> Response:
        return Response(described, content_type=JSON)

    every = (*routes, Route("GET", "/openapi.json", Role.NONE, show, "This document"))
    described = msgspec.json.encode(document(every))
    return every
