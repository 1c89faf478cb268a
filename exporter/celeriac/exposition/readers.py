"""How the rows of the metric table read their samples from a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

import celery

from celeriac import __version__
from celeriac.model.beat import BeatView
from celeriac.model.facts import Stats, WorkerReport
from celeriac.model.histogram import HistogramView
from celeriac.model.snapshot import QueueView, Snapshot
from celeriac.model.sources import SourceView
from celeriac.model.tallies import Outcome, TallyView
from celeriac.model.worker import WorkerView

Value: TypeAlias = float | HistogramView
NumberSample: TypeAlias = tuple[tuple[str, ...], float]
HistogramSample: TypeAlias = tuple[tuple[str, ...], HistogramView]
Sample: TypeAlias = tuple[tuple[str, ...], Value]
"""Label values, in the order of the family's labels, and the number."""
Read: TypeAlias = Callable[[Snapshot], Iterable[Sample]]


_REVOKED = tuple(
    (int(outcome), (outcome.name.lower(),))
    for outcome in (Outcome.REVOKED, Outcome.TERMINATED, Outcome.EXPIRED)
)


def count(outcome: Outcome) -> Read:
    position = int(outcome)
    return lambda snapshot: ((tally.key, tally.counts[position]) for tally in snapshot.tallies)


def revoked(snapshot: Snapshot) -> Iterator[Sample]:
    for tally in snapshot.tallies:
        for position, reason in _REVOKED:
            yield tally.key + reason, tally.counts[position]


def exceptions(snapshot: Snapshot) -> Iterator[Sample]:
    for tally in snapshot.tallies:
        for exception, count in tally.exceptions.items():
            yield (*tally.key, exception), count


def histogram(read: Callable[[TallyView], HistogramView | None]) -> Read:
    return lambda snapshot: (
        (tally.key, histogram)
        for tally in snapshot.tallies
        if (histogram := read(tally)) is not None
    )


def latest(read: Callable[[TallyView], float | None]) -> Read:
    """Return the latest instant of each task over all its queues."""

    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        latest: dict[str, float] = {}
        for tally in snapshot.tallies:
            at = read(tally)
            if at is not None:
                latest[tally.task] = max(at, latest.get(tally.task, at))
        return (((task,), at) for task, at in latest.items())

    return samples


def worker(read: Callable[[WorkerView], float | None]) -> Read:
    return lambda snapshot: (
        ((worker.worker,), value)
        for worker in snapshot.workers
        if (value := read(worker)) is not None
    )


def report(read: Callable[[WorkerReport], float | None]) -> Read:
    return worker(lambda worker: None if worker.report is None else read(worker.report))


def stats(read: Callable[[Stats], float | None]) -> Read:
    return worker(lambda worker: None if worker.stats is None else read(worker.stats))


def worker_info(snapshot: Snapshot) -> Iterator[Sample]:
    for worker in snapshot.workers:
        if worker.is_up:
            pool = worker.stats.pool if worker.stats else ""
            hostname = worker.worker.rpartition("@")[2]
            yield (worker.worker, worker.version or "", pool, hostname), 1


def size(requests: tuple[object, ...] | None) -> int | None:
    return None if requests is None else len(requests)


def by(read: Callable[[WorkerView], Iterable[tuple[str, float]]]) -> Read:
    """Return a worker's counts by a second label."""
    return lambda snapshot: (
        ((worker.worker, label), count)
        for worker in snapshot.workers
        for label, count in read(worker)
    )


def queue(read: Callable[[QueueView], float | None]) -> Read:
    return lambda snapshot: (
        ((queue.queue,), value) for queue in snapshot.queues if (value := read(queue)) is not None
    )


def beat(read: Callable[[BeatView], float | None]) -> Read:
    return lambda snapshot: (
        ((entry.entry, entry.task), value)
        for entry in snapshot.beat
        if (value := read(entry)) is not None
    )


def one(read: Callable[[Snapshot], float | None]) -> Read:
    """Return the only sample of a family without labels, none where it is unknown."""

    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        value = read(snapshot)
        if value is not None:
            yield (), value

    return samples


def by_source(read: Callable[[SourceView], float | None]) -> Read:
    return lambda snapshot: (
        ((source.source,), value)
        for source in snapshot.sources
        if (value := read(source)) is not None
    )


def labelled(read: Callable[[Snapshot], Mapping[str, float]]) -> Read:
    """Return counts by the family's only label."""
    return lambda snapshot: (((label,), count) for label, count in read(snapshot).items())


def broker_info(snapshot: Snapshot) -> Iterator[Sample]:
    if snapshot.broker is not None:
        yield (snapshot.broker.transport, snapshot.broker.version), 1


def build_info(_: Snapshot) -> Iterator[Sample]:
    yield (__version__, str(celery.__version__)), 1
