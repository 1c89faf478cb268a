"""A worker's answers to ``inspect``: untrusted JSON in, facts out; pure, without I/O.

Only what is shown is read. The rest is skipped undecoded: arguments of tasks, and the broker
block of ``stats``, which carries passwords (celery 5.7).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from celeriac.model.facts import Binding, Request, Stats, WorkerReport
from celeriac.sources.shapes import (
    Count,
    Name,
    Seconds,
    Text,
    UnreadableAnswerError,
    reader,
    same_of_many,
)
from celeriac.sources.worker_conf import conf


class _Rusage(msgspec.Struct, gc=False):
    utime: Seconds
    stime: Seconds
    maxrss: Count


class _Pool(msgspec.Struct, gc=False, rename="kebab"):
    implementation: Text
    max_concurrency: Count
    processes: list[int] | None = None


class _Stats(msgspec.Struct, gc=False):
    pid: Count
    uptime: Seconds
    pool: _Pool
    total: dict[Name, Count]
    prefetch_count: Count | None = None
    # "N/A" where the platform has none.
    rusage: _Rusage | str | None = None


class _DeliveryInfo(msgspec.Struct, gc=False):
    exchange: Text | None = None
    routing_key: Text | None = None


class _Request(msgspec.Struct, gc=False):
    id: str
    name: Name
    time_start: float | None = None
    delivery_info: _DeliveryInfo | None = None


class _Scheduled(msgspec.Struct, gc=False):
    request: _Request


class _Exchange(msgspec.Struct, gc=False):
    name: Text | None = None


class _Queue(msgspec.Struct, gc=False):
    name: Name
    routing_key: Text | None = None
    exchange: _Exchange | None = None


_read_stats = reader(_Stats)
_read_requests = reader(list[_Request])
_read_scheduled = reader(list[_Scheduled])
_read_queues = reader(list[_Queue])
_read_names = reader(list[Name])
_read_ids = reader(list[msgspec.Raw])

# The pools as ``celery worker --pool`` names them; the class path of any other is shown whole.
_POOLS = {
    "celery.concurrency.prefork": "prefork",
    "celery.concurrency.solo": "solo",
    "celery.concurrency.thread": "threads",
    "celery.concurrency.gevent": "gevent",
    "celery.concurrency.eventlet": "eventlet",
}


def stats(raw: msgspec.Raw) -> Stats:
    """Read ``inspect stats``."""
    answer: _Stats = _read_stats(raw)
    usage = answer.rusage if isinstance(answer.rusage, _Rusage) else None
    processes = answer.pool.processes
    return Stats(
        pid=answer.pid,
        uptime_seconds=answer.uptime,
        pool=_POOLS.get(answer.pool.implementation.partition(":")[0], answer.pool.implementation),
        pool_processes=len(processes) if processes else answer.pool.max_concurrency,
        prefetch_count=answer.prefetch_count,
        user_cpu_seconds=usage.utime if usage else None,
        system_cpu_seconds=usage.stime if usage else None,
        # Kibibytes, as getrusage(2) gives it on Linux.
        max_resident_memory_bytes=usage.maxrss * 1024 if usage else None,
        processed=sum(answer.total.values()),
        processed_by_task=answer.total,
    )


def requests(raw: msgspec.Raw) -> tuple[Request, ...]:
    """Read ``inspect active`` or ``inspect reserved``."""
    return tuple(map(_request, _read_requests(raw)))


def scheduled(raw: msgspec.Raw) -> tuple[Request, ...]:
    """Read ``inspect scheduled``."""
    return tuple(_request(entry.request) for entry in _read_scheduled(raw))


@same_of_many
def bindings(raw: msgspec.Raw) -> tuple[Binding, ...]:
    """Read ``inspect active_queues``."""
    return tuple(
        Binding((queue.exchange and queue.exchange.name) or "", queue.routing_key or "", queue.name)
        for queue in _read_queues(raw)
    )


@same_of_many
def registered(raw: msgspec.Raw) -> frozenset[str]:
    """Read ``inspect registered``: a name may be followed by rate limits in brackets."""
    return frozenset(name.partition(" [")[0] for name in _read_names(raw))


@same_of_many
def has_rate_limits(raw: msgspec.Raw) -> bool:
    """Read from ``inspect registered`` whether any task has a rate limit."""
    return any(" [" in name and "rate_limit=" in name for name in _read_names(raw))


def revoked_ids(raw: msgspec.Raw) -> int:
    """Read ``inspect revoked``, of which only the number is kept."""
    return len(_read_ids(raw))


def _request(request: _Request) -> Request:
    delivery = request.delivery_info or _DeliveryInfo()
    return Request(
        request.id,
        request.name,
        delivery.exchange or "",
        delivery.routing_key or "",
        request.time_start,
    )


# Celery's command, the field of WorkerReport it fills, and how its answer is read.
READERS: Mapping[str, tuple[str, Callable[[msgspec.Raw], Any]]] = {
    "stats": ("stats", stats),
    "active": ("active", requests),
    "reserved": ("reserved", requests),
    "scheduled": ("scheduled", scheduled),
    "active_queues": ("bindings", bindings),
    "registered": ("registered", registered),
    "revoked": ("revoked_ids", revoked_ids),
    "conf": ("conf", conf),
}


def report(worker: str, answers: Mapping[str, msgspec.Raw]) -> tuple[WorkerReport, list[str]]:
    """Return what *worker* said by command, and the commands whose answer could not be read."""
    fields: dict[str, Any] = {}
    unreadable = []
    for command, raw in answers.items():
        name, read = READERS[command]
        try:
            fields[name] = read(raw)
        except UnreadableAnswerError:
            unreadable.append(command)
    if "registered" in fields:
        fields["has_rate_limits"] = has_rate_limits(answers["registered"])
    return WorkerReport(worker, **fields), unreadable
