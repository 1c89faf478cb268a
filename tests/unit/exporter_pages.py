"""Pages of an exporter for tests, made of what they say."""

from __future__ import annotations

from typing import Any

from celeriac.clients.exporter_page import LANDMARK, Page

NOW = 1_700_000_000.0
Told = dict[str, dict[tuple[tuple[str, str], ...], float]]


def series(name: str, value: float, **labels: str) -> Told:
    """Return one sample as a part of a page."""
    return {name: {tuple(labels.items()): value}}


def gauge(name: str, label: str, values: dict[str, float]) -> Told:
    """Return a family with one label."""
    return {name: {((label, value),): number for value, number in values.items()}}


def task(outcome: str, value: float, name: str = "app.add", queue: str = "celery") -> Told:
    return series(f"celery_task_{outcome}", value, task=name, queue=queue)


def page(*parts: Told, served_at: float = NOW, started_at: float = 1.0, **sources: Any) -> Page:
    """Return a page of an exporter whose sources have just succeeded, or when *sources* say."""
    successes = {"queues": served_at, "workers": served_at, "events": served_at} | sources
    known = [
        gauge(LANDMARK, "source", successes),
        gauge("celery_exporter_sample_success", "source", dict.fromkeys(successes, 1.0)),
        series("process_start_time_seconds", started_at),
        series("celery_broker_up", 1),
        series("celery_active_workers", 1),
    ]
    samples: Told = {}
    for part in (*known, *parts):
        for name, values in part.items():
            samples.setdefault(name, {}).update(values)
    return Page(samples, served_at)
