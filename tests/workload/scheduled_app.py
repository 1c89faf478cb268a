"""A small Celery application with a schedule in every form that Celery knows."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from celery import Celery
from celery.schedules import crontab, schedule, solar

ZONE = "Europe/Berlin"
TICK_SECONDS = 2.0
SCHEDULE: dict[str, dict[str, Any]] = {
    "ticking": {"task": "scheduled.tick", "schedule": TICK_SECONDS},
    "minutely": {"task": "scheduled.minutely", "schedule": crontab()},
    "office": {
        "task": "scheduled.office",
        "schedule": crontab(hour="9", minute="0", day_of_week="mon-fri"),
    },
    "delta": {"task": "scheduled.delta", "schedule": timedelta(hours=36)},
    "object": {"task": "scheduled.object", "schedule": schedule(run_every=90)},
    "sunset": {"task": "scheduled.sunset", "schedule": solar("sunset", 48.1, 11.6)},
}
TASKS = sorted({entry["task"] for entry in SCHEDULE.values()} | {"scheduled.added"})


def make_app(broker_url: str) -> Celery:
    """Return the application; its last entry is added when it is configured."""
    made = Celery("scheduled", broker=broker_url, set_as_current=False)
    made.conf.update(
        timezone=ZONE,
        task_ignore_result=True,
        beat_schedule=SCHEDULE if os.environ.get("WORKLOAD_SCHEDULE") != "added" else {},
        redbeat_redis_url=broker_url,
        # Now and then is not enough for entries that are made while a test looks on.
        beat_max_loop_interval=1,
    )
    for name in TASKS:
        made.task(name=name)(run)
    made.on_after_finalize.connect(_add, weak=False)
    return made


def run() -> str:
    return "done"


def _add(sender: Celery, **_: Any) -> None:
    sender.add_periodic_task(TICK_SECONDS, sender.tasks["scheduled.added"].s(), name="added")


app = make_app(os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
