"""Are messages held where they wait in vain, or for so long that they are delivered twice?"""

from __future__ import annotations

from collections.abc import Iterator

from celeriac.doctor.evidence import Cluster, Due
from celeriac.doctor.findings import Check, Look, Verdict, warning
from celeriac.doctor.words import listed, several, span
from celeriac.model.facts import WorkerConf, WorkerReport
from celeriac.model.tallies import TallyView
from celeriac.model.worker import WorkerView

DELIVERY = Look("the messages that workers hold", lambda evidence: evidence.workers)

LONG_TASK_SECONDS = 60.0
# kombu's Redis transport, where visibility_timeout is not set (kombu.transport.redis 5.7).
VISIBILITY_TIMEOUT_SECONDS = 3600.0


def prefetched(cluster: Cluster) -> Iterator[Verdict]:
    slow_tasks = {tally.task for tally in cluster.snapshot.tallies if _is_slow(tally)}
    for worker in cluster.up:
        report = worker.report or WorkerReport(worker.worker)
        multiplier = report.conf.prefetch_multiplier if report.conf else 1
        waiting = len(report.reserved or ())
        slow = {
            task: age
            for task, age in _running(report, _now_there(cluster, worker))
            if age > LONG_TASK_SECONDS or task in slow_tasks
        }
        if waiting and slow and multiplier != 1:
            yield _held_back(report.worker, waiting, multiplier, slow)


def _now_there(cluster: Cluster, worker: WorkerView) -> float:
    """Return what the worker's own clock says, by which its tasks began."""
    return cluster.now + (worker.clock_skew_seconds or 0.0)


def _running(report: WorkerReport, now: float) -> Iterator[tuple[str, float]]:
    """Yield each active task and for how long it has been running."""
    for request in report.active or ():
        if request.started_at is not None:
            yield request.task, now - request.started_at


def _is_slow(tally: TallyView) -> bool:
    runtime = tally.runtime
    return runtime is not None and runtime.sum > LONG_TASK_SECONDS * max(1, sum(runtime.counts))


def _held_back(worker: str, waiting: int, multiplier: int, slow: dict[str, float]) -> Verdict:
    return warning(
        f"{worker} holds {several(waiting, 'task')} back behind long ones: {listed(slow)}",
        *(f"{task} has been running for {span(age)}" for task, age in sorted(slow.items())),
        f"worker_prefetch_multiplier is {multiplier}; what is prefetched is in no "
        "celery_queue_length, and no other worker can take it",
        remedy="Set worker_prefetch_multiplier = 1, and task_acks_late = True for long tasks; or "
        "give long tasks a queue and workers of their own.",
    )


def redelivered(cluster: Cluster) -> Iterator[Verdict]:
    if not cluster.asked.scheme.startswith(("redis", "rediss", "sentinel", "valkey")):
        return
    confs = {report.worker: report.conf for report in cluster.reports if report.conf}
    timeouts = {worker: _timeout(conf) for worker, conf in confs.items()}
    shortest = min(timeouts.values(), default=VISIBILITY_TIMEOUT_SECONDS)
    evidence = [
        *_late_tasks(cluster.due, shortest),
        *_long_limits(confs, shortest),
        *_long_running(cluster, confs, shortest),
        *_at_risk(cluster),
    ]
    if len(set(timeouts.values())) > 1:
        each = (f"{worker}: {span(timeout)}" for worker, timeout in timeouts.items())
        evidence.append(f"the shortest counts, for all workers: {listed(each)}")
    if evidence:
        yield warning(
            "Messages are held for longer than Redis waits, and so delivered twice",
            f"visibility_timeout is {span(shortest)}",
            *evidence,
            remedy="Set broker_transport_options = {'visibility_timeout': SECONDS} on all workers "
            "and clients alike, longer than the longest task, ETA and countdown.",
        )


def _timeout(conf: WorkerConf) -> float:
    return conf.visibility_timeout_seconds or VISIBILITY_TIMEOUT_SECONDS


def _late_tasks(due: tuple[Due, ...], timeout: float) -> Iterator[str]:
    late = [one for one in due if one.seconds > timeout]
    for worker in sorted({one.worker for one in late}):
        tasks = [one for one in late if one.worker == worker]
        longest = max(one.seconds for one in tasks)
        names = listed({one.task for one in tasks})
        yield f"{worker} holds {names} with an ETA of up to {span(longest)} from now"


def _long_limits(confs: dict[str, WorkerConf], timeout: float) -> Iterator[str]:
    for worker, conf in sorted(confs.items()):
        limit = conf.task_time_limit_seconds
        if conf.acks_late and limit is not None and limit > timeout:
            yield f"{worker}: task_acks_late with a task_time_limit of {span(limit)}"


def _long_running(cluster: Cluster, confs: dict[str, WorkerConf], timeout: float) -> Iterator[str]:
    for worker in cluster.up:
        conf = confs.get(worker.worker)
        if worker.report is None or conf is None or not conf.acks_late:
            continue
        running = _running(worker.report, _now_there(cluster, worker))
        if tasks := {task for task, age in running if age > timeout}:
            yield f"{worker.worker}: task_acks_late, and {listed(tasks)} has run for longer"


def _at_risk(cluster: Cluster) -> Iterator[str]:
    for queue in cluster.snapshot.queues:
        if queue.depth is not None and queue.depth.redelivery_risk:
            held = several(queue.depth.redelivery_risk, "message")
            yield f"{held} of queue {queue.queue} held past it, or due past it"


CHECKS = (
    Check("prefetch", DELIVERY, "no task waits behind a long one", prefetched),
    Check("redelivery", DELIVERY, "nothing is held until it is delivered twice", redelivered),
)
