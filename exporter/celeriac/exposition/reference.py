"""The metric table as Markdown: what ``docs/metrics.md`` is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from celeriac.exposition import compat
from celeriac.exposition.families import BEAT, EXPORTER, QUEUES, SERIES, TASKS, WORKERS, Family

_INTRODUCTION = """\
# Metrics

This page is made by `celeriac metrics` from the table in `exposition/families.py`; change that,
then run `make docs`.

Units are in the names. An instant is in seconds since the epoch. A gauge that nobody could tell is
absent, not 0; only `celery_active_workers`, `celery_broker_up` and every `celery_exporter_*` are always
there. What goes over a limit is counted under `__overflow__`.
"""

_LIMITS = """\
## What cannot be had, and why

| family | where | reason |
|---|---|---|
| `celery_task_sent_total`, `celery_task_queue_wait_seconds` | clients without `task_send_sent_event` | only the client knows when it published |
| every `celery_task_*_total` | workers without task events (`-E`, `worker_send_task_events`) | they send heartbeats only; use `--enable-events`, or `celery_worker_processed_total` |
| label `queue="unknown"` | no `task-sent` seen, and the worker consumes several queues | the other events do not name the queue; short tasks are gone before a sample finds them |
| `celery_queue_unacked` | RabbitMQ without `--broker-management-url`; transports other than Redis and RabbitMQ | AMQP tells ready messages and consumers only |
| `celery_queue_unacked` | Redis with more than 100,000 unacknowledged messages | each would have to be read to know its queue |
| `celery_queue_consumers="0"` of a queue that no worker ever named | RabbitMQ without `--broker-management-url` | AMQP cannot list queues: found by `task-sent` events or `--queues` |
| `celery_queue_length` | transports that cannot tell a size | kombu has no way to ask; a line in the log says so |
| `celery_queue_delayed` | brokers other than RabbitMQ | native delayed delivery is RabbitMQ's |
| `celery_beat_entry_*` | entries that run by the sun, RedBeat's `rrule`, schedules that are a class of the application, django-celery-beat | their next run is known to the application only; a line in the log names the entry, and `--expect` stands in for it ([beat.md](beat.md)) |
| `celery_beat_entry_last_seen_timestamp_seconds` that moves | workers without task events, and no `task_send_sent_event` either | nothing tells that a task was sent or received: every entry looks overdue |
| `celery_worker_last_heartbeat_timestamp_seconds`, `celery_worker_load1` | workers with `--without-heartbeat` | up and down are then known from answers to `inspect`; such a worker has no goodbye either and is never counted as lost |
| `celery_worker_events_enabled` | workers that have run nothing since the exporter started | no command tells; it is concluded from `processed` growing with or without `task-started` |
| `celery_worker_cpu_seconds_total`, `celery_worker_max_resident_memory_bytes` | child processes of a prefork pool; Windows | the worker reports its main process only |
| `celery_worker_up` within three heartbeats | solo workers | one task blocks their heartbeats, and nothing tells a busy one from a dead one: called down after 300 s, or after `--worker-timeout` |
| histograms, and counters of what nobody could foresee | the first scrape that has them | they are born at 0, so that `increase()` sees everything after; a page of chosen families (`name[]=…`) that Prometheus did not ask for shows the truth at once |
"""


def markdown() -> str:
    """Return the whole page."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield _INTRODUCTION
    yield from _section("Tasks (fed by events)", TASKS)
    yield from _section("Workers (heartbeats, inspect)", WORKERS)
    yield from _section("Queues and broker", QUEUES)
    yield from _section("Beat (the workers' conf, RedBeat, --expect)", BEAT)
    yield from _section("The exporter about itself", (*EXPORTER, SERIES))
    yield "The standard `process_*` families are there too.\n"
    yield from _section(
        "With `--compat celery-exporter`, instead of all the above", compat.FAMILIES
    )
    yield _LIMITS


def _section(title: str, families: Iterable[Family]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| family | type | labels | meaning |"
    yield "|---|---|---|---|"
    for family in families:
        labels = ", ".join(family.labels) or "none"
        yield f"| {family.name} | {family.kind} | {labels} | {family.help} |"
    yield ""
