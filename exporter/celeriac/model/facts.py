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
    def pid(self) -> int | None: ...
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
    @property
    def utcoffset(self) -> float | None: ...


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


class ScheduledEntry(NamedTuple):
    """An entry of a worker's ``beat_schedule``; *schedule* is text, as Celery shows it."""

    entry: str
    task: str
    schedule: str


@dataclass(frozen=True, slots=True)
class WorkerConf:
    """A worker's ``conf``, reduced to what is used; what it does not tell is Celery's default."""

    default_queue: str = "celery"
    routes: tuple[tuple[str, str], ...] = ()
    """Pairs of a task's name or glob pattern and its queue, first match wins."""
    beat_schedule: tuple[ScheduledEntry, ...] = ()
    timezone: str | None = None
    enable_utc: bool = True
    visibility_timeout_seconds: float | None = None
    """As in ``broker_transport_options``; None leaves it to the broker's transport."""
    acks_late: bool = False
    prefetch_multiplier: int = 4
    sends_sent_events: bool = False
    sends_task_events: bool = False
    """``worker_send_task_events``; a worker started with ``-E`` sends them all the same."""
    result_backend: str | None = None
    """Only its kind, for instance ``redis``: the scheme of the URL."""
    result_expires_seconds: float | None = 86400.0
    """None if results never expire."""
    task_time_limit_seconds: float | None = None
    task_soft_time_limit_seconds: float | None = None


class BeatEntry(NamedTuple):
    """A scheduled entry that is to be sent at least once in *interval_seconds*."""

    entry: str
    task: str
    interval_seconds: float


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
    conf: WorkerConf | None = None
    has_rate_limits: bool = False
    revoked_ids: int | None = None

    @property
    def queues(self) -> frozenset[str] | None:
        """Names of the queues this worker consumes, None if it did not say."""
        if self.bindings is None:
            return None
        return frozenset(binding.queue for binding in self.bindings)


class Head(NamedTuple):
    """The message that one of a queue's lists will give next.

    *place* is the list's, by priority; *eta_at* is seconds since the epoch.
    """

    place: int
    task_id: str
    eta_at: float | None = None
    is_redelivered: bool = False
    """A worker has had it, and it came back or is sent again: when it was first sent says nothing
    about its wait."""
    digest: int = 0
    """Tells it from another message of the same task."""
    seconds_ago: float = 0.0
    """When it was looked at."""


class QueueDepth(NamedTuple):
    """One queue in the broker; None is what this broker cannot tell."""

    ready: int
    unacked: int | None = None
    consumers: int | None = None
    heads: tuple[Head, ...] = ()
    head_sent_at: float | None = None
    """The stamp that the oldest message itself carries, in seconds since the epoch."""
    oldest_unacked_seconds: float | None = None
    redelivery_risk: int | None = None


@dataclass(frozen=True, slots=True)
class QueueSample:
    """All queues in one sample."""

    depths: Mapping[str, QueueDepth]
    delayed: int | None = None
    fetch_seconds: float = 0.0
    """How long it took: what was sent meanwhile may be in it or not."""


class BrokerInfo(NamedTuple):
    """Which broker this is, e.g. ``redis`` and ``7.0.15``."""

    transport: str
    version: str
