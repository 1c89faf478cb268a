"""The Celery application of the workload; ``celery -A workload.app worker`` runs it.

Environment: BROKER_URL, WORKLOAD_QUORUM=1 for quorum queues, WORKLOAD_JOURNAL, a path.
"""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery, Task
from celery.exceptions import Reject
from celery.signals import task_postrun, task_revoked
from kombu import Exchange, Queue

from workload.journal import write_entry

QUEUES = ("celery", "mail", "reports", "exports")
LONGER_THAN_ANY_TEST_SECONDS = 600
QUORUM = {
    "task_default_queue_type": "quorum",
    "task_default_exchange_type": "topic",
    "worker_detect_quorum_queues": True,
    "broker_native_delayed_delivery_queue_type": "quorum",
}


class OutOfStockError(Exception):
    """A class of exception that only the application knows."""


EXCEPTIONS = {"ValueError": ValueError, "KeyError": KeyError, "OutOfStockError": OutOfStockError}


def make_app(broker_url: str, *, quorum: bool = False, journal: str | None = None) -> Celery:
    """Return the application with its tasks; ``journal`` is the path that the tasks write to."""
    made = Celery("workload", broker=broker_url, set_as_current=False)
    made.conf.update(
        task_send_sent_event=True,
        task_ignore_result=True,
        task_queues=[_queue(name, is_quorum=quorum) for name in QUEUES],
        broker_connection_retry_on_startup=True,
        workload_journal=journal,
        **(QUORUM if quorum else {}),
    )
    made.task(name="workload.succeed")(succeed)
    made.task(name="workload.later")(succeed)
    made.task(name="workload.revoke")(succeed)
    made.task(name="workload.expire")(succeed)
    made.task(name="workload.fail")(fail)
    made.task(name="workload.retry", bind=True, max_retries=None)(retry)
    made.task(name="workload.terminate", bind=True)(terminate)
    made.task(name="workload.reject", acks_late=True)(reject)
    return made


def succeed() -> str:
    return "done"


def fail(exception: str) -> None:
    raise EXCEPTIONS[exception]("as ordered")


def retry(self: Task, times: int, queue: str) -> None:
    if self.request.retries < times:
        # Without its queue, celery 5.7 sends a delayed retry on quorum queues to the default one.
        # A second is the shortest delay that RabbitMQ's native delayed delivery takes.
        raise self.retry(countdown=1, queue=queue)


def terminate(self: Task) -> None:
    _note(self, "running", self.request.id)
    time.sleep(LONGER_THAN_ANY_TEST_SECONDS)


def reject() -> None:
    raise Reject("as ordered", requeue=False)


@task_postrun.connect  # type: ignore[untyped-decorator]
def _on_postrun(task_id: str, task: Task, **_: Any) -> None:
    _note(task, "ended", task_id)


@task_revoked.connect  # type: ignore[untyped-decorator]
def _on_revoked(sender: Task, request: Any, **_: Any) -> None:
    _note(sender, "revoked", request.id)


def _note(task: Task, word: str, task_id: str) -> None:
    journal = task.app.conf.get("workload_journal")
    if journal:
        write_entry(journal, word, task_id)


def _queue(name: str, *, is_quorum: bool) -> Queue:
    if not is_quorum:
        return Queue(name)
    arguments = {"x-queue-type": "quorum"}
    exchange = Exchange("celery", type="topic")
    return Queue(name, exchange, routing_key=name, queue_arguments=arguments)


app = make_app(
    os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"),
    quorum=os.environ.get("WORKLOAD_QUORUM") == "1",
    journal=os.environ.get("WORKLOAD_JOURNAL"),
)
