"""An independent count of the events on the wire, by Celery's own receiver."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Self

from parts.processes import wait_for
from workload.truth import Count

if TYPE_CHECKING:
    from celery import Celery

    from workload.truth import Truth

FIRST_EVENT_SECONDS = 10.0
POLL_SECONDS = 0.2


class Recorder:
    """Keeps every event from entering to leaving; entered when the first one has arrived.

    Workers have to run already: it is their heartbeats that prove the subscription.
    """

    def __init__(self, app: Celery) -> None:
        self.events: list[dict[str, Any]] = []
        self._app = app
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_for(lambda: self.events, FIRST_EVENT_SECONDS, "the first event")
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def heartbeats(self) -> Counter[str]:
        """Return how many heartbeats each worker has sent."""
        return Counter(e["hostname"] for e in list(self.events) if e["type"] == "worker-heartbeat")

    def task_events(self, truth: Truth) -> Counter[Count]:
        """Count the task events; an id that is not of this workload counts as ``unknown``."""
        known = {order.task_id: (order.task, order.queue) for order in truth.orders}
        counted: Counter[Count] = Counter()
        for event in list(self.events):
            if event["type"].startswith("task-"):
                task, queue = known.get(event["uuid"], ("unknown", "unknown"))
                counted[Count(event["type"][5:], task, queue, _detail(event))] += 1
        return counted

    def worker_events(self) -> Counter[tuple[str, str]]:
        """Count the task events of each worker by type; ``sent`` is left out."""
        types = ((event["hostname"], event["type"]) for event in list(self.events))
        return Counter(
            (node, type_[5:])
            for node, type_ in types
            if type_.startswith("task-") and type_ != "task-sent"
        )

    def sequences(self) -> dict[str, list[str]]:
        """Return the types of each task's events in the order in which they arrived."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for event in list(self.events):
            if "uuid" in event:
                found[event["uuid"]].append(event["type"])
        return dict(found)

    def _run(self) -> None:
        with self._app.connection_for_read() as connection:
            receiver = self._app.events.Receiver(connection, handlers={"*": self.events.append})
            for _ in receiver.consume(limit=None, safety_interval=POLL_SECONDS, wakeup=False):
                receiver.should_stop = self._stopping.is_set()


def _detail(event: dict[str, Any]) -> str:
    if event["type"] == "task-revoked":
        if event["terminated"]:
            return "terminated"
        return "expired" if event["expired"] else "revoked"
    return _exception_class(event) if event["type"] == "task-failed" else ""


def _exception_class(event: dict[str, Any]) -> str:
    text = str(event["exception"])
    if text.startswith("reject requeue="):
        return "Reject"
    if text == "ExceptionWithTraceback()":
        # celery 5.7 shows the wrapper of what never was pickled: a Reject on threads and solo, and
        # every hard time limit. The class stands in the traceback's last line only.
        text = event["traceback"].strip().splitlines()[-1].partition(":")[0].rpartition(".")[2]
    return text.partition("(")[0]
