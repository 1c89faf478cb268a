"""Facts: what a source has observed, frozen once it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, get_args

UNKNOWN_QUEUE = "unknown"

TaskEventType = Literal[
    "task-sent",
    "task-received",
    "task-started",
    "task-succeeded",
    "task-failed",
    "task-retried",
    "task-rejected",
    "task-revoked",
]
WorkerEventType = Literal["worker-online", "worker-heartbeat", "worker-offline"]
EventRefusal = Literal[
    "too_large",
    "envelope",
    "content_type",
    "content_encoding",
    "compression",
    "body",
    "too_many",
    "event",
    "unknown_type",
]
TASK_EVENT_TYPES: tuple[str, ...] = get_args(TaskEventType)
WORKER_EVENT_TYPES: tuple[str, ...] = get_args(WorkerEventType)
EVENT_REFUSALS: tuple[str, ...] = get_args(EventRefusal)
REPLY_REFUSALS = ("too_large", "malformed", "ticket", "duplicate", "unreadable")


class Moment(NamedTuple):
    """One instant on both clocks: ``wall`` since the epoch, ``mono`` for durations; seconds."""

    wall: float
    mono: float


class TaskEventLike(Protocol):
    """The fields of a task's event that the model reads; see ``sources.wire.TaskEvent``."""

    @property
    def type(self) -> str: ...
    @property
    def uuid(self) -> str: ...
    @property
    def hostname(self) -> str: ...
    @property
    def timestamp(self) -> float: ...
    @property
    def name(self) -> str | None: ...
    @property
    def queue(self) -> str | None: ...
    @property
    def exchange(self) -> str | None: ...
    @property
    def routing_key(self) -> str | None: ...
    @property
    def eta(self) -> object: ...
    @property
    def runtime(self) -> object: ...
    @property
    def exception(self) -> object: ...
    @property
    def traceback(self) -> object: ...
    @property
    def terminated(self) -> object: ...
    @property
    def expired(self) -> object: ...


class WorkerEventLike(Protocol):
    """The fields of a worker's event that the model reads; see ``sources.wire.WorkerEvent``."""

    @property
    def type(self) -> str: ...
    @property
    def hostname(self) -> str: ...
    @property
    def timestamp(self) -> float: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def active(self) -> int | None: ...
    @property
    def processed(self) -> int | None: ...
    @property
    def freq(self) -> float | None: ...
    @property
    def loadavg(self) -> object: ...
    @property
    def sw_ver(self) -> str | None: ...


class Binding(NamedTuple):
    """One way into a queue: what is published to *exchange* with *routing_key* lands in *queue*."""

    exchange: str
    routing_key: str
    queue: str


class Request(NamedTuple):
    """A task that a worker holds. ``started_at`` is seconds since the epoch, None if waiting."""

    task_id: str
    task: str
    exchange: str
    routing_key: str
    started_at: float | None = None


@dataclass(frozen=True, slots=True)
class Stats:
    """A worker's answer to ``inspect stats``, reduced to what is shown; never its broker block."""

    pid: int
    uptime_seconds: float
    pool: str
    pool_processes: int
    prefetch_count: int | None
    user_cpu_seconds: float | None
    system_cpu_seconds: float | None
    max_resident_memory_bytes: int | None
    processed: int | None = None
    processed_by_task: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Routing:
    """What a worker's ``conf`` tells about where tasks go when nobody says otherwise."""

    default_queue: str
    routes: tuple[tuple[str, str], ...] = ()
    """Pairs of a task's name or glob pattern and its queue, first match wins."""


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """One worker's answers in one sample; None where it gave none that could be read."""

    worker: str
    stats: Stats | None = None
    active: tuple[Request, ...] | None = None
    reserved: tuple[Request, ...] | None = None
    scheduled: tuple[Request, ...] | None = None
    bindings: tuple[Binding, ...] | None = None
    registered: frozenset[str] | None = None
    routing: Routing | None = None
    revoked_ids: int | None = None

    @property
    def queues(self) -> frozenset[str] | None:
        """Names of the queues this worker consumes, None if it did not say."""
        if self.bindings is None:
            return None
        return frozenset(binding.queue for binding in self.bindings)


class QueueDepth(NamedTuple):
    """One queue in the broker; None is what this broker cannot tell."""

    ready: int
    unacked: int | None = None
    consumers: int | None = None


@dataclass(frozen=True, slots=True)
class QueueSample:
    """All queues in one sample."""

    depths: Mapping[str, QueueDepth]
    delayed: int | None = None


class BrokerInfo(NamedTuple):
    """Which broker this is, e.g. ``redis`` and ``7.0.15``."""

    transport: str
    version: str
