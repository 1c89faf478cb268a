"""Publish a workload and wait for its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from parts.processes import wait_for
from workload.plan import Order, plan_orders
from workload.truth import Truth

if TYPE_CHECKING:
    from workload.fleet import Fleet

ANSWER_SECONDS = 20.0
LATER_SECONDS = (1, 2)
LONG_AGO = "2020-01-01T00:00:00+00:00"


def run_workload(
    fleet: Fleet, total: int = 2000, seed: int = 1, timeout_seconds: float = 120.0
) -> Truth:
    """Publish ``total`` tasks of every kind and return when the last one has ended.

    Its last events may still be on the way then. The timeout holds for each of its two parts.
    """
    run = _Run(fleet, plan_orders(total, seed, fleet.posts))
    run.revoke_beforehand()
    # A killed child takes its latest messages with it: RabbitMQ drops what the channel of a
    # broken connection has not read yet. So no child is killed before all else has ended.
    for is_last in (False, True):
        run.publish([one for one in run.orders if (one.kind == "terminate") is is_last])
        run.wait(timeout_seconds)
    return Truth(run.orders)


def publish(app: Any, order: Order, producer: Any = None) -> None:
    """Publish the task of one order."""
    options: dict[str, Any] = {}
    if order.kind == "later":
        options["countdown"] = LATER_SECONDS[int(order.task_id[0], 16) % 2]
    if order.kind == "expire":
        # Not the option `expires`: it becomes the message's time to live as well, with which
        # RabbitMQ drops the message before any worker has seen it.
        options["headers"] = {"expires": LONG_AGO}
    app.send_task(
        order.task,
        args=_arguments(order),
        task_id=order.task_id,
        queue=order.queue,
        producer=producer,
        **options,
    )


@dataclass
class _Run:
    """One workload on its way."""

    fleet: Fleet
    orders: list[Order]
    missing: Counter[str] = field(default_factory=Counter)

    def revoke_beforehand(self) -> None:
        """Revoke what has to be revoked before it is published, and wait for every worker."""
        ids = [order.task_id for order in self.orders if order.kind == "revoke"]
        nodes = self.fleet.nodes
        answers = self.fleet.app.control.revoke(
            ids, reply=True, destination=nodes, timeout=ANSWER_SECONDS
        )
        if len(answers) != len(nodes):
            raise TimeoutError(f"of {nodes} only these acknowledged a revoke: {answers}")

    def publish(self, orders: list[Order]) -> None:
        """Publish some of the orders and follow the journal meanwhile."""
        with self.fleet.app.producer_or_acquire() as producer:
            for order in orders:
                self.missing[order.task_id] = order.endings
                publish(self.fleet.app, order, producer)
                self.follow_journal()

    def follow_journal(self) -> None:
        """Take note of what ended, and terminate what says that it runs."""
        for entry in self.fleet.journal.read_new():
            if entry.word == "running":
                # A child that gets SIGTERM reports that it is free before it ends (billiard 4.3),
                # and may be handed a task that never runs.
                self.fleet.app.control.revoke(entry.task_id, terminate=True, signal="SIGKILL")
            else:
                self.missing[entry.task_id] -= 1

    def wait(self, timeout_seconds: float) -> None:
        """Return when every published task has ended; raise with the ones that have not."""
        try:
            wait_for(self.has_ended, timeout_seconds, "the end of the workload")
        except TimeoutError as error:
            late = [order for order in self.orders if self.missing[order.task_id]]
            raise TimeoutError(f"{error}; these did not end: {late}") from error

    def has_ended(self) -> bool:
        """Return True if every published task has; raise if one did more often than ordered."""
        self.follow_journal()
        self.fleet.require_alive()
        if excess := [task_id for task_id, times in self.missing.items() if times < 0]:
            raise AssertionError(f"tasks ended more often than ordered: {excess}")
        return not any(self.missing.values())


def _arguments(order: Order) -> list[str | int]:
    by_kind: dict[str, list[str | int]] = {
        "fail": [order.exception],
        "retry": [order.retries, order.queue],
    }
    return by_kind.get(order.kind, [])
