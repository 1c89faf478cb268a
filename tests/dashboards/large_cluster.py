"""A day of a large cluster, as far as the Overview asks for it: exported and recorded series."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from grafana.tour.backfill import Points, Series

TASKS, QUEUES, WORKERS = 200, 50, 100
TARGET = {"instance": "celeriac:9808", "job": "celeriac", "namespace": "shop"}
Value = Callable[[float], float]
"""What a series shows at an instant."""


@dataclass(frozen=True)
class Day:
    """Twenty-four hours, scraped so often."""

    start: float
    step_seconds: int
    hours: int = 24

    def pieces(self) -> Iterator[dict[Series, Points]]:
        """Yield all samples in pieces of two hours, the length of a block."""
        made = dict(_all_series(self.start))
        for piece in range(0, self.hours * 3600, 7200):
            times = [self.start + piece + s for s in range(0, 7200, self.step_seconds)]
            yield {series: [(at, value(at)) for at in times] for series, value in made.items()}

    @property
    def end(self) -> float:
        return self.start + self.hours * 3600 - self.step_seconds


def _all_series(start: float) -> Iterator[tuple[Series, Value]]:
    chance = random.Random(1)
    for number in range(WORKERS):
        yield from _worker(f"worker-{number:03}@host-{number % 10}", start, chance)
    for number in range(QUEUES):
        yield from _queue(f"queue-{number:02}", chance)
    for number in range(TASKS):
        yield from _task(f"shop.department{number % 9}.some_task_{number:03}", start, chance)
    for name, constant in SINGLE.items():
        yield _series(name, _constant(constant))
    for event in ("succeeded", "failed", "retried", "rejected", "revoked"):
        yield _series("job:celery_task_events:rate5m", lambda at: at % 97, event=event)
    for source in ("beat", "events", "queues", "workers"):
        name = "celery_exporter_source_last_success_timestamp_seconds"
        yield _series(name, lambda at: at - 5, source=source)
        yield _series("celery_exporter_sample_success", lambda _: 1.0, source=source)


SINGLE = {
    "up": 1.0,
    "celery_broker_up": 1.0,
    "celery_active_workers": float(WORKERS),
    "celery_worker_lost_total": 0.0,
    "celery_exporter_build_info": 1.0,
    "job:celery_task_failed:ratio5m": 0.01,
    "job:celery_task_finished:increase5m": 600_000.0,
}


def _worker(worker: str, start: float, chance: random.Random) -> Iterator[tuple[Series, Value]]:
    constant = {
        "celery_worker_up": 1.0,
        "celery_worker_stalled": 0.0,
        "celery_worker_pool_processes": 8.0,
        "celery_worker_active_tasks": 5.0,
        "worker:celery_worker_pool_processes:max": 8.0,
        "worker:celery_worker_active_tasks:max": 5.0,
        "worker:celery_worker_up:max": 1.0,
        "worker:celery_worker_stalled:min": 0.0,
    }
    for name, value in constant.items():
        yield _series(name, _constant(value), worker=worker)
    beat = "celery_worker_last_heartbeat_timestamp_seconds"
    yield _series(beat, lambda at: at - 1, worker=worker)
    yield _series("celery_worker_start_timestamp_seconds", lambda _: start, worker=worker)
    for outcome, a_second in (
        ("succeeded", 20.0),
        ("failed", 0.1),
        ("rejected", 0),
        ("revoked", 0),
    ):
        counted = _counter(start, a_second * chance.uniform(0.5, 2))
        name = "celery_worker_tasks_finished_total"
        yield _series(name, counted, worker=worker, outcome=outcome)


def _queue(queue: str, chance: random.Random) -> Iterator[tuple[Series, Value]]:
    busy = chance.uniform(0, 300)
    for name in ("celery_queue_length", "queue:celery_queue_length:max"):
        yield _series(name, lambda at: at * busy % 997, queue=queue)
    for name in ("celery_queue_consumers", "queue:celery_queue_consumers:max"):
        yield _series(name, lambda _: 4.0, queue=queue)
    for name in (
        "celery_queue_oldest_message_age_seconds",
        "queue:celery_queue_wait_seconds:longest",
    ):
        yield _series(name, lambda at: at * busy % 97, queue=queue)


def _task(task: str, start: float, chance: random.Random) -> Iterator[tuple[Series, Value]]:
    key = {"task": task, "queue": f"queue-{chance.randrange(QUEUES):02}"}
    failing = _counter(start, chance.uniform(0, 0.05))
    yield _series("celery_task_failed_total", failing, **key)
    yield _series("celery_task_succeeded_total", _counter(start, chance.uniform(0, 20)), **key)
    working = _counter(start, chance.uniform(0, 20))
    yield _series("celery_task_runtime_seconds_sum", working, **key)
    for exception in ("TimeoutError", "ValueError"):
        yield _series("celery_task_exceptions_total", failing, **key, exception=exception)
    for event in ("started", "succeeded", "failed", "retried"):
        name = "task:celery_task_events:rate5m"
        yield _series(name, lambda at: at % 97 / 1000, task=task, event=event)
    for event in ("succeeded", "failed"):
        name = "task:celery_task_events:increase5m"
        yield _series(name, lambda at: at % 97 / 10, task=task, event=event)
    for name in (
        "task:celery_task_failed:ratio5m",
        "task:celery_task_runtime_seconds:p95_5m",
        "task:celery_task_runtime_seconds_sum:rate5m",
    ):
        yield _series(name, lambda at: at % 89 / 10, task=task)


def _constant(value: float) -> Value:
    return lambda _: value


def _counter(start: float, a_second: float) -> Value:
    return lambda at: float(int((at - start) * a_second))


def _series(name: str, value: Value, **labels: str) -> tuple[Series, Value]:
    own = {key: text for key, text in TARGET.items() if key != "instance" or ":" not in name}
    return (name, tuple(sorted((own | labels).items()))), value
