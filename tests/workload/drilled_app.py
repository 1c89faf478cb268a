"""A Celery application to break: tasks that fail, hang, come back, and one that beat sends."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery, Task

TICK_SECONDS = 2.0


def make_app(broker_url: str) -> Celery:
    """Return the application. Its clients give up at once when the broker is away."""
    made = Celery("drilled", broker=broker_url, set_as_current=False)
    made.conf.update(
        task_send_sent_event=True,
        task_ignore_result=True,
        task_create_missing_queues=True,
        broker_connection_retry_on_startup=True,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        beat_schedule={"tick": {"task": "drilled.tick", "schedule": TICK_SECONDS}},
        beat_max_loop_interval=1,
    )
    made.task(name="drilled.tick")(succeed)
    made.task(name="drilled.succeed")(succeed)
    made.task(name="drilled.fail_if")(fail_if)
    made.task(name="drilled.raise_one")(raise_one)
    made.task(name="drilled.sleep")(sleep)
    made.task(name="drilled.retry", bind=True, max_retries=None)(retry)
    return made


def succeed() -> str:
    return "done"


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def fail_if(is_bad: bool) -> None:
    if is_bad:
        raise ValueError("as ordered")


def raise_one(name: str) -> None:
    raise type(name, (Exception,), {})("as ordered")


def retry(self: Task, times: int) -> Any:
    if self.request.retries < times:
        raise self.retry(countdown=0)


app = make_app(os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
