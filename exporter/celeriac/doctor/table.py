"""THE table of checks, in the order in which a number is made: broker to dashboard."""

from __future__ import annotations

from typing import Any

from celeriac.doctor.checks import (
    broker,
    delivery,
    events,
    exporter,
    grafana,
    names,
    prometheus,
    queues,
    rabbitmq,
    redis,
    workers,
)
from celeriac.doctor.findings import Check

CHECKS: tuple[Check[Any], ...] = (
    *broker.CHECKS,
    *redis.CHECKS,
    *rabbitmq.CHECKS,
    *names.CHECKS,
    *workers.CHECKS,
    *events.CHECKS,
    *queues.CHECKS,
    *delivery.CHECKS,
    *exporter.CHECKS,
    *prometheus.CHECKS,
    *grafana.CHECKS,
)
