"""What an exporter beside the shop would show: every family that a dashboard asks for."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate

from celeriac.settings import RUNTIME_BUCKETS, WAIT_BUCKETS
from grafana.tour.shop import STEP_SECONDS, Shop, Worker

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, float]
TARGET = {"instance": "celeriac:9808", "job": "celeriac", "namespace": "shop"}
SOURCES = {"beat": 0.02, "events": 0.3, "queues": 0.004, "workers": 0.07}
EVENTS = ("sent", "received", "started", "succeeded", "failed", "retried", "rejected")
REASONS = ("revoked", "terminated", "expired")
BOUNDS = {"runtime": RUNTIME_BUCKETS, "queue_wait": WAIT_BUCKETS, "prefetch_wait": WAIT_BUCKETS}


class Page:
    """Turns the shop into samples; keeps the histograms, which only grow."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._buckets: dict[tuple[str, str, str], list[float]] = {}
        self._sums: defaultdict[tuple[str, str, str], float] = defaultdict(float)

    def samples(self) -> Iterator[Sample]:
        """Yield the page as of now; call it once after each step."""
        yield from self._tasks()
        yield from self._histograms()
        yield from self._queues()
        for worker in self._shop.workers:
            yield from self._worker(worker)
        yield from self._cluster()
        yield from self._exporter()

    def _tasks(self) -> Iterator[Sample]:
        shop = self._shop
        for task in shop.tasks:
            key = {"task": task.name, "queue": task.queue}
            for event in EVENTS:
                yield _sample(f"celery_task_{event}_total", key,
                              shop.counts[event, task.name, task.queue])  # fmt: skip
            for reason in REASONS:
                yield _sample("celery_task_revoked_total", key | {"reason": reason}, 0)
        for (name, queue, exception), count in shop.exceptions.items():
            labels = {"task": name, "queue": queue, "exception": exception}
            yield _sample("celery_task_exceptions_total", labels, count)
        for (outcome, name), at in shop.last.items():
            yield _sample(f"celery_task_last_{outcome}_timestamp_seconds", {"task": name}, at)

    def _histograms(self) -> Iterator[Sample]:
        for task in self._shop.tasks:
            for kind, bounds in BOUNDS.items():
                key = (kind, task.name, task.queue)
                counts = self._buckets.setdefault(key, [0.0] * (len(bounds) + 1))
                for seconds in self._shop.observed[key]:
                    counts[bisect_left(bounds, seconds)] += 1
                    self._sums[key] += seconds
                labels = {"task": task.name, "queue": task.queue}
                yield from _histogram(f"celery_task_{kind}_seconds", labels, bounds, counts,
                                      self._sums[key])  # fmt: skip

    def _queues(self) -> Iterator[Sample]:
        shop = self._shop
        for name, waiting in shop.waiting.items():
            consumers = shop.consumers(name)
            oldest = shop.now - waiting[0][0] if waiting else 0
            yield from _samples({"queue": name}, {
                "celery_queue_length": len(waiting),
                "celery_queue_unacked": sum(_active(worker) for worker in consumers),
                "celery_queue_consumers": len(consumers),
                "celery_queue_processes": sum(worker.slots for worker in consumers),
                "celery_queue_oldest_message_age_seconds": oldest,
                "celery_queue_oldest_unacked_age_seconds": 2.0,
                "celery_queue_redelivery_risk": 0,
            })  # fmt: skip

    def _worker(self, worker: Worker) -> Iterator[Sample]:
        shop, name = self._shop, {"worker": worker.name}
        yield _sample("celery_worker_up", name, float(worker.is_up))
        yield _sample("celery_worker_last_heartbeat_timestamp_seconds", name, worker.heard_at)
        if not worker.is_up:
            return
        for outcome in ("succeeded", "failed", "rejected", "revoked"):
            labels = name | {"outcome": outcome}
            yield _sample("celery_worker_tasks_finished_total", labels, worker.finished[outcome])
        if worker.task:
            running = name | {"task": worker.task}
            yield _sample("celery_task_oldest_active_start_timestamp_seconds", running,
                          shop.now - worker.runtime / 2)  # fmt: skip
        info = {"version": "5.7.0", "pool": "prefork", "hostname": "shop"}
        yield _sample("celery_worker_info", name | info, 1)
        yield _sample("celery_worker_cpu_seconds_total", name | {"mode": "user"},
                      worker.processed * 0.004)  # fmt: skip
        yield from _samples(name, {
            "celery_worker_start_timestamp_seconds": worker.started_at,
            "celery_worker_active_tasks": _active(worker),
            "celery_worker_reserved_tasks": 0,
            "celery_worker_scheduled_tasks": 0,
            "celery_worker_revoked_ids": 0,
            "celery_worker_pool_processes": worker.slots,
            "celery_worker_prefetch_count": worker.slots,
            "celery_worker_processed_total": worker.processed,
            "celery_worker_max_resident_memory_bytes": 9e7 + (shop.now - worker.started_at) * 60,
            "celery_worker_load1": worker.busy / STEP_SECONDS * 0.4,
            "celery_worker_events_enabled": 1,
            "celery_worker_clock_skew_seconds": 0.001,
            "celery_worker_stalled": 0,
        })  # fmt: skip

    def _cluster(self) -> Iterator[Sample]:
        up = sum(worker.is_up for worker in self._shop.workers)
        yield from _samples({}, {
            "celery_active_workers": up,
            "celery_worker_lost_total": self._shop.lost,
            "celery_worker_restarts_total": 0,
            "celery_broker_up": 1,
        })  # fmt: skip
        entry = {"entry": "rollup", "task": "shop.reports.rollup"}
        yield _sample("celery_beat_entry_interval_seconds", entry, 300)
        seen_at = self._shop.now - self._shop.now % 300
        yield _sample("celery_beat_entry_last_seen_timestamp_seconds", entry, seen_at)

    def _exporter(self) -> Iterator[Sample]:
        now = self._shop.now
        versions = {"version": "0.1.0", "celery_version": "5.7.0"}
        yield _sample("celery_exporter_build_info", versions, 1)
        for source, seconds in SOURCES.items():
            yield from _samples({"source": source}, {
                "celery_exporter_sample_success": 1,
                "celery_exporter_sample_duration_seconds": seconds,
                "celery_exporter_source_last_success_timestamp_seconds": now - 4,
                "celery_exporter_reconnects_total": 0,
            })  # fmt: skip
        yield from _samples({}, {
            "up": 1,
            "celery_exporter_events_missed_total": 0,
            "celery_exporter_series": 1500,
        })  # fmt: skip


def _active(worker: Worker) -> int:
    return min(worker.slots, round(worker.busy / STEP_SECONDS)) if worker.is_up else 0


def _samples(labels: Mapping[str, str], values: Mapping[str, float]) -> Iterator[Sample]:
    return (_sample(name, labels, value) for name, value in values.items())


def _sample(name: str, labels: Mapping[str, str], value: float) -> Sample:
    return name, tuple(sorted((TARGET | dict(labels)).items())), float(value)


def _histogram(
    name: str,
    labels: Mapping[str, str],
    bounds: tuple[float, ...],
    counts: list[float],
    seconds: float,
) -> Iterator[Sample]:
    for bound, count in zip((*map(str, bounds), "+Inf"), accumulate(counts), strict=True):
        yield _sample(f"{name}_bucket", {**labels, "le": bound}, count)
    yield _sample(f"{name}_count", labels, sum(counts))
    yield _sample(f"{name}_sum", labels, round(seconds, 6))
