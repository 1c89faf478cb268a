"""A cluster for tests: a state, a clock that stands until told, and what a page would show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from celeriac.exposition.families import FAMILIES
from celeriac.exposition.readers import Value
from celeriac.model.admission import Limits
from celeriac.model.facts import (
    Binding,
    Moment,
    QueueDepth,
    QueueSample,
    Request,
    Stats,
    WorkerConf,
    WorkerReport,
)
from celeriac.model.snapshot import Snapshot
from celeriac.model.state import ClusterState, Intervals, StateOptions
from celeriac.model.tallies import Buckets
from celeriac.model.workers import Patience
from celeriac.sources.wire import TaskEvent, WorkerEvent

EPOCH = 1_700_000_000.0
BUCKETS = Buckets(runtime=(0.1, 1.0), queue_wait=(0.5, 5.0), prefetch_wait=(0.5, 5.0))
WORKER = "celery@one"
TASK = "app.add"
QUEUE = "celery"

Samples = Mapping[tuple[str, ...], Value]


def stats(**fields: Any) -> Stats:
    """Return a worker's ``stats``: one process of a prefork pool, up for a minute."""
    return Stats(
        **{
            "pid": 100,
            "uptime_seconds": 60.0,
            "pool": "prefork",
            "pool_processes": 4,
            "prefetch_count": 16,
            "user_cpu_seconds": 1.5,
            "system_cpu_seconds": 0.5,
            "max_resident_memory_bytes": 50_000_000,
            **fields,
        }
    )


def bindings(*queues: str) -> tuple[Binding, ...]:
    """Return what a worker says that consumes *queues*, each with a route of its own name."""
    return tuple(Binding(queue, queue, queue) for queue in queues)


def report(worker: str = WORKER, *queues: str, **fields: Any) -> WorkerReport:
    """Return a worker's answers: ``stats``, *queues* (``celery``), and *fields* as they are."""
    made = {"stats": stats(), "bindings": bindings(*(queues or (QUEUE,))), **fields}
    return WorkerReport(worker, **made)


def running(uuid: str, task: str = TASK, queue: str = QUEUE, at: float = EPOCH) -> Request:
    return Request(uuid, task, queue, queue, at)


class Cluster:
    """Facts go in at ``now``; nothing happens between two calls but what they say."""

    def __init__(
        self,
        limits: Limits | None = None,
        patience: Patience | None = None,
        **options: Any,
    ) -> None:
        self.now = Moment(EPOCH, 1_000.0)
        self.state = ClusterState(
            StateOptions(
                buckets=options.pop("buckets", BUCKETS),
                limits=limits or Limits(),
                patience=patience or Patience(),
                intervals=Intervals(workers=10.0, queues=5.0),
                **options,
            )
        )

    def wait(self, seconds: float) -> None:
        """Let time pass on both clocks, and let the state notice."""
        self.now = Moment(self.now.wall + seconds, self.now.mono + seconds)
        self.state.pass_time(self.now)

    def task(self, kind: str, uuid: str = "id", **fields: Any) -> None:
        """Apply one event ``task-<kind>``; ``at`` is the sender's clock, in seconds from EPOCH."""
        self.tasks([self.event(kind, uuid, **fields)])

    def tasks(self, events: list[TaskEvent]) -> None:
        self.state.apply_task_events(events, self.now)

    def event(self, kind: str, uuid: str = "id", **fields: Any) -> TaskEvent:
        at = EPOCH + fields.pop("at") if "at" in fields else self.now.wall
        return TaskEvent(
            f"task-{kind}",
            uuid,
            fields.pop("hostname", WORKER),
            timestamp=at,
            **{"pid": 100, **fields},
        )

    def sent(self, uuid: str = "id", name: str = TASK, queue: str = QUEUE, **fields: Any) -> None:
        self.task("sent", uuid, hostname="client@host", name=name, queue=queue, **fields)

    def received(self, uuid: str = "id", name: str = TASK, **fields: Any) -> None:
        self.task("received", uuid, name=name, **fields)

    def heartbeat(self, worker: str = WORKER, **fields: Any) -> bool:
        return self._worker_event("worker-heartbeat", worker, fields)

    def online(self, worker: str = WORKER, **fields: Any) -> bool:
        return self._worker_event("worker-online", worker, fields)

    def goodbye(self, worker: str = WORKER, **fields: Any) -> bool:
        return self._worker_event("worker-offline", worker, fields)

    def _worker_event(self, kind: str, worker: str, fields: dict[str, Any]) -> bool:
        fields = {"pid": 100, "freq": 2.0, **fields}
        event = WorkerEvent(kind, worker, timestamp=self.now.wall, **fields)
        return self.state.apply_worker_event(event, self.now)

    def answer(self, *reports: WorkerReport, unanswered: int = 0) -> None:
        """Apply one sample of the workers."""
        self.state.replace_workers(list(reports), unanswered, self.now)

    def depths(self, depths: Mapping[str, int], delayed: int | None = None) -> None:
        """Apply one sample of the queues, by the number of their waiting messages."""
        sample = {queue: QueueDepth(ready) for queue, ready in depths.items()}
        self.state.replace_queues(QueueSample(sample, delayed), self.now)

    def snapshot(self) -> Snapshot:
        return self.state.snapshot(self.now)

    def first(self, family: str) -> Samples:
        """Return the samples of *family* on the very next page."""
        return read(self.snapshot(), family)

    def show(self, family: str) -> Samples:
        """Return the samples of *family* once everything new has been shown at 0."""
        self.snapshot()
        return self.first(family)

    def count(self, kind: str, task: str = TASK, queue: str = QUEUE) -> Value | None:
        """Return ``celery_task_<kind>_total`` of one task on one queue."""
        return self.show(f"celery_task_{kind}_total").get((task, queue))


def read(snapshot: Snapshot, family: str) -> Samples:
    """Return what the metric table makes of *snapshot*; no label set may come twice."""
    row = next(row for row in FAMILIES if row.name == family)
    samples = list(row.read(snapshot))
    assert len(samples) == len(dict(samples)), f"{family} has a series twice"
    return dict(samples)


def total(samples: Samples) -> float:
    """Return the sum of a counter's samples."""
    return sum(_numbers(samples.values()))


def _numbers(values: Iterable[Value]) -> Iterable[float]:
    for value in values:
        assert isinstance(value, (int, float))
        yield value


CONF = WorkerConf("celery", (("app.mail.*", "mail"),))
