"""What a workload must have counted, from its definition alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parts.exporter import Series
    from workload.plan import Order

RUN = ("sent", "received", "started")
ENDINGS = {
    "succeed": ("succeeded",),
    "later": ("succeeded",),
    "fail": ("failed",),
    "retry": ("succeeded",),
    "reject": ("failed", "rejected"),
    "revoke": ("revoked",),
    "expire": ("revoked",),
    "terminate": ("revoked",),
}
REASONS = {"revoke": "revoked", "expire": "expired", "terminate": "terminated"}


class Count(NamedTuple):
    """One kind of event; ``detail`` is the reason of revoked, the exception of failed."""

    event: str
    task: str
    queue: str
    detail: str = ""


@dataclass(frozen=True)
class Truth:
    """A workload that has ended, with everything that can be counted of it."""

    orders: Sequence[Order]

    @property
    def events(self) -> Counter[Count]:
        """How many events of each kind the clients and workers have sent."""
        return Counter(
            Count(event, order.task, order.queue, _detail(event, order))
            for order in self.orders
            for event in events_of(order)
        )

    @property
    def worker_events(self) -> Counter[tuple[str, str]]:
        """How many events of each type each worker has sent; ``sent`` is left out."""
        return Counter(
            (order.worker, event)
            for order in self.orders
            for event in events_of(order)
            if event != "sent"
        )

    @property
    def worker_outcomes(self) -> Counter[tuple[str, str]]:
        """How many tasks each worker finished: succeeded, failed (rejected as well), revoked."""
        return Counter((order.worker, ENDINGS[order.kind][0]) for order in self.orders)

    @property
    def counters(self) -> dict[Series, float]:
        """The exporter's counters of tasks, by name and labels; zeros are left out."""
        counted: Counter[Series] = Counter()
        for count, times in self.events.items():
            labels = {"task": count.task, "queue": count.queue}
            if count.event == "revoked":
                labels["reason"] = count.detail
            counted[_series(f"celery_task_{count.event}_total", labels)] += times
            if count.event == "failed":
                of_class = labels | {"exception": count.detail}
                counted[_series("celery_task_exceptions_total", of_class)] += times
        return dict(counted)


def events_of(order: Order) -> list[str]:
    """Return the task events of one order without their prefix ``task-``.

    Facts of celery 5.7, the same on prefork, threads and solo, on Redis and RabbitMQ:
    """
    # Revoked or expired before it arrives: the worker discards the message in the strategy,
    # before it would send task-received, so neither received nor started is ever seen.
    if order.kind in ("revoke", "expire"):
        return ["sent", *ENDINGS[order.kind]]
    # A retry publishes a new message under the same id: it is sent (by the worker), received
    # and started again.
    again = [*RUN, "retried"] * order.retries
    # Reject(requeue=False) sends task-failed, then task-rejected; before 5.7 only task-rejected.
    # Its exception reads "reject requeue=False: ..." on prefork, "ExceptionWithTraceback()" on
    # threads and solo; the class that was raised is Reject on all.
    # A terminated task ends with one task-revoked and nothing else.
    return [*again, *RUN, *ENDINGS[order.kind]]


def _detail(event: str, order: Order) -> str:
    if event == "revoked":
        return REASONS[order.kind]
    if event == "failed":
        return order.exception or "Reject"
    return ""


def _series(name: str, labels: dict[str, str]) -> Series:
    return name, frozenset(labels.items())
