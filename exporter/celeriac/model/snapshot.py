"""The cluster at one moment: what a page is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from celeriac.model.beat import BeatView
from celeriac.model.facts import BrokerInfo, QueueDepth
from celeriac.model.own_counts import OwnCountsView
from celeriac.model.sources import SourceView
from celeriac.model.tallies import TallyView
from celeriac.model.worker import WorkerView


class QueueView(NamedTuple):
    """One queue; None is what nobody could tell."""

    queue: str
    depth: QueueDepth | None
    consumers: int | None
    workers: int | None
    processes: int | None
    oldest_age_seconds: float | None


class OldestActive(NamedTuple):
    """When the longest-running active task of a name on a worker began, since the epoch."""

    task: str
    worker: str
    started_at: float


@dataclass(frozen=True, slots=True)
class ExporterView:
    """What the exporter counts about itself."""

    counts: OwnCountsView
    events_unmatched: int
    events_missed: int
    tracked_tasks: int
    label_overflows: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A consistent copy of the state; reading it needs no lock."""

    tallies: Sequence[TallyView]
    workers: Sequence[WorkerView]
    queues: Sequence[QueueView]
    oldest_active: Sequence[OldestActive]
    beat: Sequence[BeatView]
    sources: Sequence[SourceView]
    exporter: ExporterView
    is_broker_up: bool
    broker: BrokerInfo | None
    delayed: int | None
    active_workers: int
    expected_workers: int | None
    workers_lost: int
    workers_restarted: int
