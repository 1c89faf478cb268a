"""The acting half of the sidecar: builds what changes the cluster, and what remembers it."""

from __future__ import annotations

from celery import Celery

from celeriac.control import RemoteControl
from celeriac.neighbour import Neighbour
from celeriac.service import Periodic, Service, begin_to_stop
from celeriac.sidecar.audit import Audit
from celeriac.sidecar.audit_view import AuditView
from celeriac.sidecar.batch import Batch, Limits
from celeriac.sidecar.database import Database
from celeriac.sidecar.fleet import Fleet
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.operations import Operations
from celeriac.sidecar.queues import Queues
from celeriac.sidecar.standing import Standing
from celeriac.sidecar.tasks import Tasks
from celeriac.sidecar.workers import Workers

TEND_SECONDS = 10.0


class Acting:
    """``handlers`` answer to rows of the table; between start and stop, late workers are told."""

    name = "acting"

    def __init__(
        self,
        app: Celery,
        database: Database,
        metrics: SidecarMetrics,
        limits: Limits,
        memory_seconds: float,
    ) -> None:
        self.fleet = Fleet(app)
        self.audit = Audit(database, metrics)
        operations = Operations(self.audit, database)
        standing = Standing(database, self.fleet, RemoteControl(app), memory_seconds)
        self._services: tuple[Service, ...] = (
            Periodic("audit", TEND_SECONDS, self.audit.tend),
            standing,
            Neighbour(app, standing.task_ids, self.fleet.forget),
        )
        seconds = limits.answer_seconds
        self.handlers = (
            AuditView(database),
            Batch(self.fleet, operations, standing, limits),
            Queues(app, operations),
            Tasks(self.fleet, standing, seconds),
            Workers(self.fleet, operations, seconds),
        )

    def start(self) -> None:
        for service in self._services:
            service.start()

    def stop(self) -> None:
        for stop in begin_to_stop(self._services):
            stop.join()
