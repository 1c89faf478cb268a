"""What to do about it: THE table of rules, each with the numbers that made it speak.

``docs/recommendations.md`` lists them; a rule says nothing as long as nothing is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import msgspec

from celeriac.sidecar.report_shapes import PerformanceReport, Recommendation

Evidence: TypeAlias = dict[str, float]
Findings: TypeAlias = Iterator[tuple[str, Evidence]]
"""What is concerned, and the numbers; the worst first."""

MAX_FINDINGS_PER_RULE = 5
MIN_TASKS = 20
WAIT_TO_RUN = 2.0
MIN_WAIT_MS = 1_000.0
ERROR_BUDGET_PERCENT = 1.0
MIN_FAILURES = 3
RETRY_PERCENT = 10.0
DOMINANT_PERCENT = 50.0
MIN_WORKER_SECONDS = 60.0
HOARD_PER_PROCESS = 2.0
HAS_ROOM_PERCENT = 50.0
IDLE_PERCENT = 10.0
IDLE_BACKLOG = 1.0
MIN_IDLE_SECONDS = 900.0
BACKLOG = 100.0
MINUTES_TO_DRAIN = 1_440.0
TAIL = 10.0
MIN_TAIL_TASKS = 100
MIN_TAIL_MS = 1_000.0
MISSED_PERCENT = 0.1
GAP_PERCENT = 1.0


class Rule(NamedTuple):
    """One row: its name, when it speaks, what it then says of its evidence, and what to do."""

    name: str
    when: str
    says: str
    advice: str
    find: Callable[[PerformanceReport], Findings]


def recommend(report: PerformanceReport) -> list[Recommendation]:
    """Return what the rules say of a report, in the order of the table."""
    return [
        Recommendation(
            rule=rule.name,
            subject=subject,
            text=f"{subject}: {rule.says.format_map(evidence)}; {rule.advice} ({rule.name})",
            evidence=evidence,
        )
        for rule in RULES
        for subject, evidence in list(rule.find(report))[:MAX_FINDINGS_PER_RULE]
    ]


def _missed_events(report: PerformanceReport) -> Findings:
    missed = report.data_quality.missed_events
    share = 100 * missed / max(1, missed + report.total_tasks)
    if share > MISSED_PERCENT:
        yield "this report", {"missed_events": missed, "missed_percent": share}


def _data_gaps(report: PerformanceReport) -> Findings:
    window = _seconds(report)
    away = sum((gap.end - gap.start).total_seconds() for gap in report.data_quality.gaps)
    if 100 * away / window > GAP_PERCENT:
        yield "this report", {"gap_seconds": away, "gap_percent": 100 * away / window}


def _failing_tasks(report: PerformanceReport) -> Findings:
    for task in sorted(report.tasks, key=lambda task: -(task.error_rate_percent or 0)):
        is_many = task.total >= MIN_TASKS and task.failed >= MIN_FAILURES
        if is_many and (task.error_rate_percent or 0) > ERROR_BUDGET_PERCENT:
            budget = {"error_budget_percent": ERROR_BUDGET_PERCENT}
            yield f"task {task.task}", _numbers(task, "error_rate_percent failed total") | budget


def _retried_tasks(report: PerformanceReport) -> Findings:
    for task in sorted(report.tasks, key=lambda task: -task.retried):
        executions = task.total + task.retried
        share = 100 * task.retried / executions
        if executions >= MIN_TASKS and share > RETRY_PERCENT:
            evidence = {"executions": executions, "retry_percent": share}
            yield f"task {task.task}", _numbers(task, "retried") | evidence


def _waiting_queues(report: PerformanceReport) -> Findings:
    for queue in sorted(report.queues, key=lambda queue: -(queue.avg_queue_wait_ms or 0)):
        wait, run = queue.avg_queue_wait_ms or 0.0, queue.avg_execution_time_ms
        if run is None or queue.total < MIN_TASKS:
            continue
        if wait >= max(MIN_WAIT_MS, WAIT_TO_RUN * run):
            evidence = _numbers(queue, "avg_queue_wait_ms avg_execution_time_ms total")
            yield f"queue {queue.queue}", evidence


def _growing_backlogs(report: PerformanceReport) -> Findings:
    for queue in sorted(report.queues, key=lambda queue: -(queue.backlog_at_end or 0)):
        backlog, mean = queue.backlog_at_end or 0.0, queue.mean_backlog or 0.0
        growth = queue.backlog_growth_per_minute or 0.0
        # A burst just before the end drains as those before it did.
        if min(backlog, 2 * mean) >= BACKLOG and -growth * MINUTES_TO_DRAIN < backlog:
            evidence = _numbers(queue, "backlog_at_end mean_backlog backlog_growth_per_minute")
            yield f"queue {queue.queue}", evidence


def _dominant_task(report: PerformanceReport) -> Findings:
    worked = [task for task in report.tasks if task.worker_time_seconds]
    for task in worked if len(worked) > 1 else ():
        share = task.worker_time_share_percent or 0.0
        if share > DOMINANT_PERCENT and task.worker_time_seconds >= MIN_WORKER_SECONDS:
            evidence = _numbers(task, "worker_time_share_percent worker_time_seconds")
            yield f"task {task.task}", evidence


def _long_tails(report: PerformanceReport) -> Findings:
    for task in sorted(report.tasks, key=lambda task: -(task.p99_execution_time_ms or 0)):
        p50, p99 = task.p50_execution_time_ms or 0.0, task.p99_execution_time_ms or 0.0
        if task.successful >= MIN_TAIL_TASKS and p99 >= max(MIN_TAIL_MS, TAIL * p50):
            evidence = _numbers(task, "p50_execution_time_ms p99_execution_time_ms")
            yield f"task {task.task}", evidence


def _hoarding_workers(report: PerformanceReport) -> Findings:
    busy = [worker.busy_percent for worker in report.workers if worker.busy_percent is not None]
    if len(busy) < 2 or min(busy) >= HAS_ROOM_PERCENT:
        return
    for worker in sorted(report.workers, key=lambda worker: -(worker.mean_prefetched or 0)):
        processes, held = worker.pool_processes or 0.0, worker.mean_prefetched or 0.0
        if held > HOARD_PER_PROCESS * max(1, processes):
            evidence = _numbers(worker, "mean_prefetched pool_processes busy_percent")
            yield f"worker {worker.worker}", evidence | {"least_busy_percent": min(busy)}


def _idle_fleet(report: PerformanceReport) -> Findings:
    fleet = [(w.pool_processes or 0.0, w.busy_percent) for w in report.workers]
    processes = sum(slots for slots, busy in fleet if busy is not None)
    busy = sum(slots * busy for slots, busy in fleet if busy is not None) / (processes or 1)
    backlog = sum(queue.mean_backlog or 0.0 for queue in report.queues)
    is_idle = busy < IDLE_PERCENT and backlog < IDLE_BACKLOG
    if processes > 1 and is_idle and _seconds(report) >= MIN_IDLE_SECONDS:
        evidence = {"busy_percent": busy, "pool_processes": processes, "mean_backlog": backlog}
        yield "the workers", evidence


def _seconds(report: PerformanceReport) -> float:
    return (report.time_range.end - report.time_range.start).total_seconds()


def _numbers(row: msgspec.Struct, fields: str) -> Evidence:
    return {field: getattr(row, field) or 0.0 for field in fields.split()}


RULES: tuple[Rule, ...] = (
    Rule(
        "missed-events",
        f"the exporter missed more than {MISSED_PERCENT:g} % of the executions",
        "{missed_events:.0f} executions ({missed_percent:.1f} %) are not in its numbers",
        "do not decide by it, and see docs/missed-events.md",
        _missed_events,
    ),
    Rule(
        "data-gaps",
        f"for more than {GAP_PERCENT:g} % of the window the exporter was not scraped",
        "nothing was recorded for {gap_seconds:.0f} s ({gap_percent:.1f} % of the window)",
        "take peaks and backlogs with care, and find out why the scrapes failed",
        _data_gaps,
    ),
    Rule(
        "error-budget",
        f"of a task that ended {MIN_TASKS} times or more, over {ERROR_BUDGET_PERCENT:g} % and at "
        f"least {MIN_FAILURES} failed",
        "{failed:.0f} of {total:.0f} failed ({error_rate_percent:.1f} %, "
        "the budget is {error_budget_percent:g} %)",
        "start with its exceptions in top_exceptions",
        _failing_tasks,
    ),
    Rule(
        "retries",
        f"of {MIN_TASKS} executions of a task or more, over {RETRY_PERCENT:g} % ended in a retry",
        "{retried:.0f} of {executions:.0f} executions ended in a retry ({retry_percent:.1f} %)",
        "find what it waits for, and retry later and less often (retry_backoff, max_retries)",
        _retried_tasks,
    ),
    Rule(
        "queue-wait",
        f"messages of a queue waited {MIN_WAIT_MS / 1000:g} s or more on average, and "
        f"{WAIT_TO_RUN:g} times as long as they ran, or longer",
        "messages wait {avg_queue_wait_ms:.0f} ms for {avg_execution_time_ms:.0f} ms of work",
        "add workers or processes for it",
        _waiting_queues,
    ),
    Rule(
        "backlog",
        f"{BACKLOG:g} messages or more are left at the end, half of that on average, and at the "
        f"pace of the last quarter they are still there after {MINUTES_TO_DRAIN / 60:g} h",
        "{backlog_at_end:.0f} messages are left and change by "
        "{backlog_growth_per_minute:+.1f} a minute",
        "it will not drain: add workers, or send less",
        _growing_backlogs,
    ),
    Rule(
        "dominant-task",
        f"one of several tasks took more than {DOMINANT_PERCENT:g} % of the workers' time, and "
        f"{MIN_WORKER_SECONDS:g} s or more",
        "takes {worker_time_share_percent:.1f} % of the workers' time "
        "({worker_time_seconds:.0f} s)",
        "make it faster first, or give it workers of its own",
        _dominant_task,
    ),
    Rule(
        "long-tail",
        f"p99 of a task that succeeded {MIN_TAIL_TASKS} times or more is {TAIL:g} times its p50 "
        f"or more, and {MIN_TAIL_MS / 1000:g} s at least",
        "p99 is {p99_execution_time_ms:.0f} ms, p50 {p50_execution_time_ms:.0f} ms",
        "look for what is special about the slow ones, and set a time limit",
        _long_tails,
    ),
    Rule(
        "prefetch-hoarding",
        f"a worker held more than {HOARD_PER_PROCESS:g} messages for each of its processes while "
        f"another was busy less than {HAS_ROOM_PERCENT:g} % of the time",
        "holds {mean_prefetched:.1f} messages for {pool_processes:g} processes while another "
        "worker is busy {least_busy_percent:.0f} % of the time",
        "lower worker_prefetch_multiplier, for long tasks to 1 with acks_late",
        _hoarding_workers,
    ),
    Rule(
        "idle-fleet",
        f"for {MIN_IDLE_SECONDS / 60:g} min or more the workers were busy less than "
        f"{IDLE_PERCENT:g} % of the time, and no message waited",
        "{pool_processes:g} processes were busy {busy_percent:.1f} % of the time",
        "fewer would do",
        _idle_fleet,
    ),
)
