"""Evidence made by hand: a set-up in which all is well, to be changed at one place."""

from __future__ import annotations

from dataclasses import fields as dataclass_fields
from dataclasses import replace
from typing import Any

from cluster import EPOCH, bindings, stats
from cluster import Cluster as Cell

from celeriac import __version__
from celeriac.doctor.broker_facts import (
    Asked,
    BrokerFacts,
    Channel,
    Contact,
    EventQueueFacts,
    Names,
    Pidbox,
    RabbitFacts,
    RedisFacts,
    Trace,
)
from celeriac.doctor.evidence import Cluster, Evidence
from celeriac.doctor.findings import Finding, Severity, diagnose
from celeriac.doctor.listening import Heard, Voice
from celeriac.doctor.table import CHECKS
from celeriac.doctor.web_facts import (
    Datasource,
    ExporterFacts,
    GrafanaFacts,
    PrometheusFacts,
    Rule,
    SourceHealth,
    Target,
    WebContact,
    WebFacts,
)
from celeriac.model.facts import QueueDepth, WorkerConf, WorkerReport
from celeriac.model.snapshot import QueueView
from celeriac.model.worker import WorkerView

ASKED = Asked("redis://broker:6379/0", intervals={"workers": 10.0, "queues": 5.0, "beat": 15.0})
EXPORTER_URL = "http://exporter:9808"
PROMETHEUS_URL = "http://prometheus:9090"
GRAFANA_URL = "http://grafana:3000"
CONF = WorkerConf(sends_sent_events=True, result_backend="redis")
LABELS = {"job": "celeriac", "instance": "exporter:9808", "worker": "one@host"}


def worker(name: str = "one@host", **fields: Any) -> WorkerView:
    """Return a worker that is up, sends everything and answers."""
    made: dict[str, Any] = {
        "worker": name,
        "is_up": True,
        "version": "5.7.0",
        "last_heartbeat_at": EPOCH,
        "processed": 12.0,
        "finished": {},
        "processed_by_task": {},
        "cpu_seconds": {},
        "events_enabled": True,
        "clock_skew_seconds": -0.002,
        "report": report(name),
    }
    unknown = dict.fromkeys(field.name for field in dataclass_fields(WorkerView))
    return WorkerView(**unknown | made | fields)


def report(name: str = "one@host", conf: WorkerConf | None = CONF, **fields: Any) -> WorkerReport:
    made: dict[str, Any] = {"stats": stats(), "bindings": bindings("celery"), "conf": conf}
    return WorkerReport(name, **made | fields)


def queue(name: str = "celery", ready: int | None = 0, consumers: int | None = 1) -> QueueView:
    known: dict[str, Any] = {
        "queue": name,
        "depth": None if ready is None else QueueDepth(ready),
        "consumers": consumers,
        "workers": consumers,
    }
    return QueueView(**dict.fromkeys(QueueView._fields) | known)


def cluster(*workers: WorkerView, queues: tuple[QueueView, ...] = (), **fields: Any) -> Cluster:
    """Return a cluster of *workers*, each of which was heard; *fields* are of the cluster."""
    cell = Cell()
    for source in ("events", "workers", "queues", "beat"):
        cell.state.succeed(source, cell.now)
    names = [view.worker for view in workers]
    made: dict[str, Any] = {
        "asked": ASKED,
        "now": EPOCH,
        "listened_seconds": 12.0,
        "snapshot": replace(cell.snapshot(), workers=workers, queues=queues or (queue(),)),
        "heard": Heard({name: Voice(6, 10, (100,), 0.0) for name in names}),
        "answering": frozenset(names),
    }
    return Cluster(**made | fields)


REDIS = RedisFacts(
    ASKED,
    0,
    "",
    traces=(
        Trace(0, "", frozenset({"celery", "celery.pidbox", "celeryev"}), frozenset({"one@host"})),
    ),
    channels=frozenset({Channel("", 0, "celeryev")}),
)
RABBITMQ = RabbitFacts(
    ASKED, "/", pidboxes=(Pidbox("/", "one@host", "celery"),), is_api_configured=True
)
EVENT_QUEUE = EventQueueFacts(ASKED, "celeriac.events.default", QueueDepth(3, None, 1))
NAMES = Names(ASKED, {"celery": frozenset({"one@host"})}, frozenset({"celeryev"}))
EXPORTER = ExporterFacts(
    EXPORTER_URL,
    ASKED,
    sources={
        name: SourceHealth(is_successful=True, reason=None, age_seconds=1.0)
        for name in ("events", "workers", "queues")
    },
    version=__version__,
    celery_version="5.7.0",
)
PROMETHEUS = PrometheusFacts(
    PROMETHEUS_URL,
    EXPORTER_URL,
    series=(LABELS,),
    targets=(Target(LABELS, f"{EXPORTER_URL}/metrics", "up", "", 15.0, 10.0, 0.01),),
    rules=(Rule("CeleryNoWorkers", "alerting", "celery_active_workers == 0", ""),),
    alertmanagers=("http://alertmanager:9093/api/v2/alerts",),
)
GRAFANA = GrafanaFacts(
    GRAFANA_URL,
    datasources=(Datasource("Prometheus", None, has_celery=True),),
    dashboards=("Celery overview",),
)
WEB = WebFacts(
    WebContact(EXPORTER_URL),
    EXPORTER,
    WebContact(PROMETHEUS_URL),
    PROMETHEUS,
    WebContact(GRAFANA_URL),
    GRAFANA,
)


def healthy() -> Evidence:
    """Return evidence of a set-up in which every part was looked at and nothing is wrong."""
    broker = BrokerFacts(REDIS, RABBITMQ, EVENT_QUEUE, NAMES)
    return Evidence(ASKED, Contact(ASKED), broker, cluster(worker()), WEB)


def with_cluster(examined: Cluster) -> Evidence:
    return healthy()._replace(cluster=examined)


def with_broker(**facts: Any) -> Evidence:
    return healthy()._replace(broker=healthy().broker._replace(**facts))


def with_web(**facts: Any) -> Evidence:
    return healthy()._replace(web=WEB._replace(**facts))


def findings(code: str, evidence: Evidence) -> list[Finding]:
    """Return what the check *code* finds beyond that all is well."""
    (check,) = (check for check in CHECKS if check.code == code)
    found = diagnose([check], evidence).findings
    return [finding for finding in found if finding.severity is not Severity.OK]


def finding(code: str, evidence: Evidence) -> Finding:
    """Return the only thing that the check *code* finds."""
    (only,) = findings(code, evidence)
    return only


def words(found: Finding) -> str:
    """Return all that is said, title, evidence and remedy."""
    return "\n".join((found.title, *found.evidence, found.remedy))
