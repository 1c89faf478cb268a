"""A small Celery application that takes any configuration from CONFIGURATION, as JSON."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from celery import Celery, Task


def make_app(broker_url: str, **configuration: Any) -> Celery:
    """Return the application; *configuration* is Celery's."""
    made = Celery("configured", broker=broker_url, set_as_current=False)
    made.conf.update(
        {
            "task_send_sent_event": True,
            "task_ignore_result": True,
            "task_create_missing_queues": True,
        }
        | configuration
    )
    made.task(name="configured.succeed")(succeed)
    made.task(name="configured.sleep")(sleep)
    made.task(name="configured.retry", bind=True)(retry)
    return made


def succeed() -> str:
    return "done"


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def retry(self: Task, seconds: float) -> None:
    if self.request.retries == 0:
        raise self.retry(countdown=seconds)


app = make_app(
    os.environ.get("BROKER_URL", ""), **json.loads(os.environ.get("CONFIGURATION", "{}"))
)
