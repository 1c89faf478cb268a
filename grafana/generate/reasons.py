"""What is wrong, the worst first: the verdict and its reasons are the same list."""

from __future__ import annotations

from dataclasses import dataclass

from grafana.generate.limits import limit
from grafana.generate.queries import FIRING, REPLICAS, SCOPE, age, each, gain, select, total

DEGRADED, DOWN = 1, 2
FAILED_RATIO = limit("error_ratio", "warning")
FEWEST_FINISHED = limit("error_traffic_tasks", "minimum")
OLD_SOURCE_SECONDS = limit("source_age_seconds", "warning")
HEARTBEAT_AT = each("celery_worker_last_heartbeat_timestamp_seconds")
SAW_EXPORTER = f"last_over_time({select('celery_exporter_build_info')}[1h])"
ENDED = total(gain("celery_worker_tasks_finished_total", over="5m"))
FAILED = total(gain("celery_worker_tasks_finished_total", 'outcome="failed"', over="5m"))


@dataclass(frozen=True, slots=True)
class Reason:
    """*query* has a series for each thing that is wrong in this way."""

    level: int
    words: str
    query: str


REASONS = (
    Reason(
        DOWN, "Prometheus cannot scrape the exporter",
        f"max without ({REPLICAS}) (up{{{SCOPE}}} "
        f"and on (job, instance) {SAW_EXPORTER}) == 0",
    ),
    Reason(DOWN, "the broker does not answer", f"{each('celery_broker_up')} == 0"),
    Reason(DOWN, "no worker is up", f"{each('celery_active_workers')} == 0"),
    Reason(
        DEGRADED, "queues have messages that nobody consumes",
        f"{each('celery_queue_length')} > 0 and {each('celery_queue_consumers')} == 0",
    ),
    Reason(
        DEGRADED, "workers went down in the last five minutes",
        f"{each('celery_worker_up')} == 0 and {age(HEARTBEAT_AT)} < 300",
    ),
    Reason(
        DEGRADED, "fewer workers are up than expected",
        f"{each('celery_active_workers')} < {each('celery_expected_workers')}",
    ),
    Reason(
        DEGRADED, f"of the tasks of the last five minutes, more than {FAILED_RATIO:.0%} failed",
        f"({FAILED} / {ENDED} > {FAILED_RATIO:g}) and {ENDED} >= {FEWEST_FINISHED:g}",
    ),
    Reason(
        DEGRADED, "workers are alive and do nothing", f"{each('celery_worker_stalled')} == 1",
    ),
    Reason(
        DEGRADED, "sources of the exporter fail or are old",
        f"{each('celery_exporter_sample_success')} == 0 or "
        f"{age(each('celery_exporter_source_last_success_timestamp_seconds'))} > "
        f"{OLD_SOURCE_SECONDS:g}",
    ),
    Reason(DEGRADED, "alerts fire", FIRING),
)  # fmt: skip


def verdict() -> str:
    """Return 2, 1 or 0: that of the first reason there is; nothing without an exporter."""
    found = (f"(count({reason.query}) * 0 + {reason.level})" for reason in REASONS)
    return " or ".join((*found, f"(count({each('celery_broker_up')}) * 0)"))


def reasons() -> str:
    """Return how many there are of what, by label ``why``."""
    return " or ".join(_why(f"count({reason.query})", reason) for reason in REASONS)


def levels() -> str:
    """Return the level of each reason there is, by label ``why``, for a graph over time."""
    found = (_why(f"count({reason.query}) * 0 + {reason.level}", reason) for reason in REASONS)
    return " or ".join(found)


def _why(expression: str, reason: Reason) -> str:
    return f'label_replace({expression}, "why", "{reason.words}", "", "")'
