"""What is wrong, the worst first: the verdict and its reasons are the same list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from grafana.generate.limits import limit
from grafana.generate.queries import FIRING, REPLICAS, SCOPE, age, each, gain, select, total

DEGRADED, DOWN = 1, 2
STARTED = 5
CRITICAL = FIRING.replace("warning|critical", "critical")
# 3 or 4 for each alert that fires, once for both levels of a kind.
ALERT_LEVEL = f"max without (severity, alertstate) ({CRITICAL} + 3 or {FIRING} + 2)"
FAILED_RATIO = limit("error_ratio", "warning")
FEWEST_FINISHED = limit("error_traffic_tasks", "minimum")
OLD_SOURCE_SECONDS = limit("source_age_seconds", "warning")
BAD_RATIO = limit("error_ratio", "critical")
FEWEST_FAILED = limit("task_burn_failures", "minimum_1h")
ACTIVE = each("celery_active_workers")
FAILURES = 'event="failed"'
SAW_EXPORTER = f"last_over_time({select('celery_exporter_build_info')}[1h])"
ENDED = total(gain("celery_worker_tasks_finished_total", over="5m"))
FAILED = total(gain("celery_worker_tasks_finished_total", 'outcome="failed"', over="5m"))
TASK_FAILED = total(gain("celery_task_failed_total", over="5m"), "task")
TASK_SUCCEEDED = total(gain("celery_task_succeeded_total", over="5m"), "task")
# A deploy that names its workers anew leaves old ones behind; it says goodbye, and replaces them.
WERE_LOST = (
    f"{gain('celery_worker_lost_total', over='1h')} > 0 and {ACTIVE} < "
    f"max without ({REPLICAS}) (max_over_time({select('celery_active_workers')}[1h]))"
)


@dataclass(frozen=True, slots=True)
class Reason:
    """*query* has a series for each thing that is wrong in this way.

    *recorded* says the same by what rules have recorded, which is cheap over days.
    """

    level: int
    words: str
    query: str
    recorded: str = ""


REASONS = (
    Reason(
        DOWN, "Prometheus cannot scrape the exporter",
        f"max without ({REPLICAS}) (up{{{SCOPE}}} "
        f"and on (job, instance) {SAW_EXPORTER}) == 0",
    ),
    Reason(DOWN, "the broker does not answer", f"{each('celery_broker_up')} == 0"),
    Reason(DOWN, "no worker is up", f"{ACTIVE} == 0"),
    Reason(
        DEGRADED, "queues that nobody consumes",
        f"{each('celery_queue_length')} > 0 and {each('celery_queue_consumers')} == 0",
        f"{each('queue:celery_queue_length:max')} > 0 "
        f"and {each('queue:celery_queue_consumers:max')} == 0",
    ),
    Reason(
        DEGRADED, "workers lost and not replaced",
        f"{each('celery_worker_up')} == 0 and on (namespace, job) ({WERE_LOST})",
        f"{each('worker:celery_worker_up:max')} == 0 and on (namespace, job) ({WERE_LOST})",
    ),
    Reason(
        DEGRADED, "fewer workers are up than expected",
        f"{ACTIVE} < {each('celery_expected_workers')}",
    ),
    Reason(
        DEGRADED, f"tasks fail in over {BAD_RATIO:.0%} of their runs",
        f"{TASK_FAILED} / ({TASK_FAILED} + {TASK_SUCCEEDED}) > {BAD_RATIO:g} "
        f"and {TASK_FAILED} >= {FEWEST_FAILED:g}",
        f"{each('task:celery_task_failed:ratio5m')} > {BAD_RATIO:g} and ignoring (event) "
        f"{each('task:celery_task_events:increase5m', FAILURES)} >= {FEWEST_FAILED:g}",
    ),
    Reason(
        DEGRADED, f"over {FAILED_RATIO:.0%} of all tasks failed, 5 min",
        f"({FAILED} / {ENDED} > {FAILED_RATIO:g}) and {ENDED} >= {FEWEST_FINISHED:g}",
        f"{each('job:celery_task_failed:ratio5m')} > {FAILED_RATIO:g} "
        f"and {each('job:celery_task_finished:increase5m')} >= {FEWEST_FINISHED:g}",
    ),
    Reason(
        DEGRADED, "workers are alive and do nothing", f"{each('celery_worker_stalled')} == 1",
        f"{each('worker:celery_worker_stalled:min')} == 1",
    ),
    Reason(
        DEGRADED, "sources of these numbers are old",
        f"{each('celery_exporter_sample_success')} == 0 or "
        f"{age(each('celery_exporter_source_last_success_timestamp_seconds'))} > "
        f"{OLD_SOURCE_SECONDS:g}",
    ),
    Reason(DEGRADED, "alerts fire", ALERT_LEVEL),
)  # fmt: skip


def verdict() -> str:
    """Return the level of the worst reason with its label ``why``; nothing without an exporter."""
    healthy = _why(f"count({each('celery_broker_up')}) * 0", "nothing is wrong")
    # Of equals, topk keeps the first.
    return f"topk(1, {_levels((one.level, one.words, one.query) for one in REASONS)} or {healthy})"


def counts() -> str:
    """Return how many there are of what, by label ``why``."""
    return " or ".join(_why(f"count({reason.query})", reason.words) for reason in REASONS)


def levels() -> str:
    """Return the level of each reason but the alerts, by label ``why``, for a graph over time."""
    own = [one for one in REASONS if one.query != ALERT_LEVEL]
    return _levels((one.level, one.words, one.recorded or one.query) for one in own)


def _levels(found: Iterable[tuple[int, str, str]]) -> str:
    return " or ".join(
        _why(f"count({query}) * 0 + {level}", words) for level, words, query in found
    )


def alert_levels() -> str:
    """Return the level of each alert that fires, by its name, the ten that fired most."""
    fired = f"count_over_time({FIRING}[$__range] @ end())"
    most = f"topk(10, sum by (alertname) ({fired}))"
    return f"max by (alertname) ({ALERT_LEVEL}) and on (alertname) {most}"


def _why(expression: str, words: str) -> str:
    return f'label_replace({expression}, "why", "{words}", "", "")'
