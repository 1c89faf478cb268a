"""The events of a busy cluster, as workers send them, with the truth that they add up to.

Shapes, sizes and routing keys are those of celery 5.7: a client announces each task in a message
of its own (``task-sent``), a prefork worker sends its task events one to three at a time
(``task.multi``), and a heartbeat every now and then.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

Events: TypeAlias = list[dict[str, Any]]

FAILS_EVERY = 20
RUNTIME_SECONDS = 0.031_25
CLIENT = "gen4711@client.example.com"
EXCEPTION = "ConnectionError('host unreachable')"
TRACEBACK = "Traceback (most recent call last):\n" + "".join(
    f'  File "/app/shop/{name}.py", line {line}, in {name}\n    return {name}_once(order)\n'
    for name, line in (("handle", 41), ("charge", 212), ("post", 77))
)
# How many executions later the worker takes, starts and ends the one that is published now.
RECEIVED_AFTER, STARTED_AFTER, ENDED_AFTER = 4, 8, 20


def node(worker: int) -> str:
    """Return a worker's node name; each has a host of its own, as in containers."""
    return f"worker-{worker}@host-{worker}"


class Message(NamedTuple):
    """One message on the event exchange."""

    routing_key: str
    body: bytes
    hostname: str
    events: int


@dataclass(frozen=True)
class Shape:
    """How large the cluster is; each (task, queue) and each (task, worker) pair is used."""

    workers: int = 50
    tasks: int = 100
    queues: int = 50
    executions: int = 100_000
    heartbeat_every: int = 2_000
    """A heartbeat of every worker after this many executions."""
    first_id: int = 1
    """Loads for the same consumer must not share task ids."""


@dataclass
class Truth:
    """What was sent, to be compared with what was counted."""

    by_type: Counter[str] = field(default_factory=Counter)

    @property
    def events(self) -> int:
        return self.by_type.total()


class Load:
    """Iterate once over the messages; ``truth`` is complete when the iteration has ended."""

    def __init__(self, shape: Shape, seed: int = 1) -> None:
        self.shape = shape
        self.truth = Truth()
        self._dice = random.Random(seed)
        self._clock = 0
        self._processed: Counter[int] = Counter()
        self._buffers: list[Events] = [[] for _ in range(shape.workers)]
        self._due = [self._batch_size() for _ in range(shape.workers)]

    def __iter__(self) -> Iterator[Message]:
        for number in range(self.shape.executions + ENDED_AFTER):
            if number % self.shape.heartbeat_every == 0:
                yield from self._heartbeats()
            yield from self._step(number)
        for worker in range(self.shape.workers):
            if self._buffers[worker]:
                yield self._flushed(worker)

    def _step(self, number: int) -> Iterator[Message]:
        """Publish execution *number*, and let the workers go on with earlier ones."""
        if number < self.shape.executions:
            event = self._event("task-sent", CLIENT, **self._sent(number))
            yield self._message("task.sent", [event], event)
        for lag, happen in (
            (RECEIVED_AFTER, self._received),
            (STARTED_AFTER, self._started),
            (ENDED_AFTER, self._ended),
        ):
            execution = number - lag
            if 0 <= execution < self.shape.executions:
                yield from self._by_worker(execution, happen(execution))

    def _by_worker(self, execution: int, event: dict[str, Any]) -> Iterator[Message]:
        worker = self._worker(execution)
        self._buffers[worker].append(event)
        if len(self._buffers[worker]) >= self._due[worker]:
            yield self._flushed(worker)

    def _flushed(self, worker: int) -> Message:
        events, self._buffers[worker] = self._buffers[worker], []
        self._due[worker] = self._batch_size()
        return self._message("task.multi", events, events)

    def _message(self, routing_key: str, events: Events, body: object) -> Message:
        self.truth.by_type.update(event["type"] for event in events)
        text = json.dumps(body).encode()
        return Message(routing_key, text, events[0]["hostname"], len(events))

    def _batch_size(self) -> int:
        return self._dice.choice((1, 2, 3))

    # -- who and what ----------------------------------------------------------------------

    def task_and_queue(self, execution: int) -> tuple[str, str]:
        tasks, queues = self.shape.tasks, self.shape.queues
        task, queue = execution % tasks, execution // tasks % queues
        return f"shop.tasks.area_{task % 7}.process_order_{task}", f"queue-{queue}"

    def _worker(self, execution: int) -> int:
        return (execution // self.shape.tasks + execution) % self.shape.workers

    def _id(self, execution: int) -> str:
        number = execution + self.shape.first_id
        return str(uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))

    # -- one event each --------------------------------------------------------------------

    def _sent(self, execution: int) -> dict[str, Any]:
        task, queue = self.task_and_queue(execution)
        return self._description(execution) | {
            "queue": queue, "exchange": "", "routing_key": queue, "name": task
        }  # fmt: skip

    def _received(self, execution: int) -> dict[str, Any]:
        return self._of_worker("task-received", execution, **self._description(execution))

    def _started(self, execution: int) -> dict[str, Any]:
        self._processed[self._worker(execution)] += 1
        return self._of_worker("task-started", execution, uuid=self._id(execution))

    def _ended(self, execution: int) -> dict[str, Any]:
        task_id = self._id(execution)
        if execution % FAILS_EVERY == 0:
            return self._of_worker(
                "task-failed", execution, uuid=task_id, exception=EXCEPTION, traceback=TRACEBACK
            )
        return self._of_worker(
            "task-succeeded", execution, uuid=task_id, result="None", runtime=RUNTIME_SECONDS
        )

    def _description(self, execution: int) -> dict[str, Any]:
        task_id = self._id(execution)
        return {
            "uuid": task_id, "name": self.task_and_queue(execution)[0],
            "args": f"({execution}, 'customer@example.com')", "kwargs": "{'currency': 'EUR'}",
            "root_id": task_id, "parent_id": None, "retries": 0, "eta": None, "expires": None,
        }  # fmt: skip

    def _of_worker(self, kind: str, execution: int, **fields: object) -> dict[str, Any]:
        return self._event(kind, node(self._worker(execution)), **fields)

    def _heartbeats(self) -> Iterator[Message]:
        for worker in range(self.shape.workers):
            beat = self._event(
                "worker-heartbeat", node(worker), freq=2.0, active=4,
                processed=self._processed[worker], loadavg=[0.51, 0.42, 0.33],
                sw_ident="py-celery", sw_ver="5.7.0", sw_sys="Linux",
            )  # fmt: skip
            yield self._message("worker.heartbeat", [beat], beat)

    def _event(self, kind: str, hostname: str, **fields: object) -> dict[str, Any]:
        self._clock += 1
        of_sender = {"hostname": hostname, "utcoffset": 0, "pid": 4711, "clock": self._clock}
        return of_sender | fields | {"timestamp": time.time(), "type": kind}
