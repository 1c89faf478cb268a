"""An event that has to wait, without the texts that could make it large."""

from __future__ import annotations

from typing import NamedTuple

from celeriac.model.exceptions import exception_class
from celeriac.model.facts import TaskEventLike

# An ISO 8601 instant with microseconds and an offset has 32 characters.
MAX_ETA_CHARACTERS = 64


class HeldEvent(NamedTuple):
    """The fields of a task's event; ``exception`` is the class alone."""

    type: str
    uuid: str
    hostname: str
    timestamp: float
    pid: int | None
    name: str | None
    queue: str | None
    exchange: str | None
    routing_key: str | None
    eta: str | None
    runtime: object
    exception: str | None
    traceback: None
    terminated: bool
    expired: bool


def lightened(event: TaskEventLike) -> HeldEvent:
    """Return *event* with what will be counted of it, and nothing else."""
    eta, runtime = event.eta, event.runtime
    return HeldEvent(
        type=event.type,
        uuid=event.uuid,
        hostname=event.hostname,
        timestamp=event.timestamp,
        pid=event.pid,
        name=event.name,
        queue=event.queue,
        exchange=event.exchange,
        routing_key=event.routing_key,
        eta=eta if isinstance(eta, str) and len(eta) <= MAX_ETA_CHARACTERS else None,
        runtime=runtime if type(runtime) in (int, float) else None,
        exception=exception_class(event.exception, event.traceback),
        traceback=None,
        terminated=bool(event.terminated),
        expired=bool(event.expired),
    )
