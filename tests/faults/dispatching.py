"""The telling half of a Celery worker, at a rate that whole workers do not reach on two cores.

``python -m faults.dispatching URL NODE TASKS_PER_SECOND SECONDS``: celery's own event dispatcher,
heartbeat and counters, in one thread like a prefork worker's main process; only nothing is run.
SIGTERM is a warm shutdown with a goodbye. The last line of the output is how many it began.
"""

from __future__ import annotations

import itertools
import signal
import sys
import time
import uuid
from dataclasses import dataclass
from types import FrameType
from typing import Any

from celery import Celery
from celery.worker import state
from celery.worker.heartbeat import Heart
from kombu.asynchronous.timer import Timer

# What the worker sends at once, and how long it waits after that.
TICK_SECONDS = 0.01
TASK = "shop.told"


@dataclass(eq=False)
class _Request:
    """What celery's counters read of a request."""

    id: str
    name: str


class Dispatching:
    """One worker's way of counting and telling (``celery.worker.request``, celery 5)."""

    def __init__(self, url: str, node: str, rate: float) -> None:
        self._app = Celery("dispatching", broker=url, set_as_current=False)
        self._connection = self._app.connection_for_write(url)
        self._events = self._app.events.Dispatcher(
            self._connection, hostname=node, buffer_group={"task"}, buffer_limit=24
        )
        self._timer = Timer()
        self._heart = Heart(self._timer, self._events)
        self._rate = rate
        self._is_stopping = False

    def run(self, seconds: float) -> int:
        """Begin tasks at the rate for that long, or until told to stop; return how many."""
        signal.signal(signal.SIGTERM, self._stop)
        self._heart.start()
        print("ready", flush=True)
        due = iter(self._timer)
        began = time.monotonic()
        while not self._is_stopping and time.monotonic() - began < seconds:
            wanted = int((time.monotonic() - began) * self._rate)
            for _ in range(wanted - state.all_total_count[0]):
                self._run_one()
            self._events.flush()
            self._beat(due)
            time.sleep(TICK_SECONDS)
        self._heart.stop()
        self._events.close()
        return state.all_total_count[0]

    def _beat(self, due: Any) -> None:
        for _, entry in itertools.islice(due, 1):
            if entry is not None:
                entry()

    def _run_one(self) -> None:
        task_id = str(uuid.uuid4())
        self._events.send("task-received", uuid=task_id, name=TASK, args="()", kwargs="{}")
        request = _Request(task_id, TASK)
        state.task_accepted(request)
        self._events.send("task-started", uuid=task_id)
        state.task_ready(request)
        self._events.send("task-succeeded", uuid=task_id, result="None", runtime=0.001)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._is_stopping = True


if __name__ == "__main__":
    url, node, rate, seconds = sys.argv[1:]
    print(Dispatching(url, node, float(rate)).run(float(seconds)), flush=True)
