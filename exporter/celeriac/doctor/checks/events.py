"""Do all events come that metrics of tasks are made of?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from celeriac.doctor.evidence import Cluster
from celeriac.doctor.findings import Check, Look, Verdict, note, problem, warning
from celeriac.doctor.listening import Voice
from celeriac.doctor.words import listed, several, span
from celeriac.model.snapshot import QueueView
from celeriac.model.starts import POOLS_WITHOUT_RACE
from celeriac.model.worker import WorkerView

EVENTS = Look("the events", lambda evidence: evidence.heard)

# Whoever joins in the middle may take a start of each worker for one that it has not heard.
UNCERTAIN_STARTS = 2

# Before, celery.events.dispatcher throws away what another thread adds while it sends.
FIRST_VERSION_FOR_THREADS = (5, 7)

_SWITCH_ON = (
    "Start the workers with -E, or set worker_send_task_events = True; or let the exporter switch "
    "them on: --enable-events."
)


def task_events_off(cluster: Cluster) -> Iterator[Verdict]:
    switched = {worker.worker: _sends_task_events(cluster, worker) for worker in cluster.up}
    off = {name for name, is_on in switched.items() if is_on is False}
    unknown = {name for name, is_on in switched.items() if is_on is None}
    if off:
        judge = problem if len(off) == len(switched) else warning
        yield judge(
            f"{several(len(off), 'worker')} without task events: {listed(off)}",
            "they count tasks in their heartbeats and send no event about them, so every "
            "celery_task_* family lacks them",
            remedy=_SWITCH_ON,
        )
    if unknown:
        yield note(
            f"Task events cannot be told yet of {several(len(unknown), 'worker')}: "
            f"{listed(unknown)}",
            f"they ran no task in {span(cluster.listened_seconds)}, worker_send_task_events is "
            "off, and no command tells whether -E was given",
            remedy=f"Ask again while they work. {_SWITCH_ON}",
        )


def _sends_task_events(cluster: Cluster, worker: WorkerView) -> bool | None:
    """Return what is certain: an event, a count that grew without one, or the configuration."""
    if cluster.heard.voices.get(worker.worker, Voice()).task_events:
        return True
    if worker.events_enabled is not None:
        return worker.events_enabled
    conf = worker.report.conf if worker.report else None
    return True if conf is not None and conf.sends_task_events else None


def sent_events_off(cluster: Cluster) -> Iterator[Verdict]:
    confs = {report.worker: report.conf for report in cluster.reports if report.conf}
    off = {name for name, conf in confs.items() if not conf.sends_sent_events}
    silent = {task: count for task, count in cluster.heard.unannounced.items() if count}
    if not silent and (cluster.heard.sent or not off):
        return
    # What waits may have been announced before anybody listened.
    is_doubtful = not off and any(map(_has_backlog, cluster.snapshot.queues))
    judge = note if is_doubtful else warning
    yield judge(
        f"Clients do not announce what they publish{': ' if silent else ''}{listed(silent)}",
        *_sent_evidence(cluster, silent, off),
        remedy="Set task_send_sent_event = True where tasks are published (web processes, beat), "
        "and restart them. Until then there is no celery_task_queue_wait_seconds of these tasks, "
        "and their queue may be 'unknown'.",
    )


def _has_backlog(queue: QueueView) -> bool:
    return bool(queue.workers and queue.depth and queue.depth.ready)


def _sent_evidence(cluster: Cluster, silent: dict[str, int], off: set[str]) -> Iterator[str]:
    if silent:
        counts = (f"{task} ({count})" for task, count in silent.items())
        yield f"received by workers without a task-sent before: {listed(counts)}"
    if off:
        yield f"task_send_sent_event is off in the configuration of {listed(off)}"
    if cluster.heard.senders:
        yield f"clients that do announce: {listed(cluster.heard.senders)}"


def unreadable(cluster: Cluster) -> Iterator[Verdict]:
    rejected = {
        reason: count
        for reason, count in cluster.snapshot.exporter.counts.events_rejected.items()
        if count
    }
    if rejected:
        reasons = listed(f"{reason} ({count})" for reason, count in rejected.items())
        yield warning(
            f"Events that cannot be read: {reasons}",
            "they are counted in celery_exporter_events_rejected_total and nowhere else",
            remedy="Set event_serializer = 'json' on workers and clients, without compression "
            "of events. unknown_type is an application's own event, and does no harm.",
        )


def lost_by_workers(cluster: Cluster) -> Iterator[Verdict]:
    losing = {
        f"{worker.worker}: celery {worker.version}, pool {worker.report.stats.pool}"
        for worker in cluster.up
        if worker.report and worker.report.stats and _loses_events(worker, worker.report.stats.pool)
    }
    if losing:
        yield warning(
            f"{several(len(losing), 'worker')} that may lose task events before sending them",
            *sorted(losing),
            remedy="Upgrade the workers to Celery 5.7, or give them the prefork pool. What they "
            "lose is counted in celery_exporter_events_missed_total.",
        )


def _loses_events(worker: WorkerView, pool: str) -> bool:
    numbers = tuple(map(int, re.findall(r"\d+", worker.version or "")[:2]))
    is_old = len(numbers) == 2 and numbers < FIRST_VERSION_FOR_THREADS
    return is_old and pool not in POOLS_WITHOUT_RACE and worker.events_enabled is not False


def missed(cluster: Cluster) -> Iterator[Verdict]:
    count = cluster.snapshot.exporter.events_missed
    if count > UNCERTAIN_STARTS * len(cluster.up):
        yield warning(
            f"{several(count, 'event')} of task starts missed while we listened",
            "workers counted more tasks than they told of, although their events are on",
            remedy="Look for a slow network or an overloaded broker between workers and us; on "
            "Redis, client-output-buffer-limit pubsub cuts off a slow subscriber.",
        )


CHECKS = (
    Check("task-events-off", EVENTS, "every worker sends task events", task_events_off),
    Check("sent-events-off", EVENTS, "clients announce what they publish", sent_events_off),
    Check("events-unreadable", EVENTS, "every event can be read", unreadable),
    Check("events-lost", EVENTS, "no worker loses events of its own", lost_by_workers),
    Check("events-missed", EVENTS, "no event is missed", missed),
)
