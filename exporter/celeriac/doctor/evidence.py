"""Evidence: what the doctor has seen, frozen, before anything is concluded from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from celeriac.doctor.broker_facts import Asked, BrokerFacts, Contact
from celeriac.doctor.listening import Heard
from celeriac.doctor.unexamined import Unexamined, if_any
from celeriac.doctor.web_facts import WebFacts
from celeriac.model.facts import WorkerReport
from celeriac.model.snapshot import Snapshot
from celeriac.model.worker import WorkerView


class Due(NamedTuple):
    """A task with an ETA that a worker holds, and how long until then."""

    worker: str
    task: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Cluster:
    """What was heard and answered while the doctor listened."""

    asked: Asked
    now: float
    """By the wall clock, in seconds since the epoch."""
    listened_seconds: float
    snapshot: Snapshot
    heard: Heard
    answering: frozenset[str] = frozenset()
    """Who has answered a ping."""
    namesakes: frozenset[str] = frozenset()
    """Names under which more than one worker has answered."""
    due: tuple[Due, ...] = ()
    complaints: tuple[str, ...] = ()
    """What our own sources have logged."""

    @property
    def up(self) -> list[WorkerView]:
        return [worker for worker in self.snapshot.workers if worker.is_up]

    @property
    def reports(self) -> list[WorkerReport]:
        return [worker.report for worker in self.up if worker.report is not None]

    def is_sampled(self, source: str) -> bool:
        """Return whether the last sample of *source* succeeded."""
        return any(view.source == source and view.is_successful for view in self.snapshot.sources)


class Evidence(NamedTuple):
    """Everything that was seen, part by part."""

    asked: Asked
    contact: Contact
    broker: BrokerFacts
    cluster: Cluster | Unexamined
    web: WebFacts

    @property
    def workers(self) -> Cluster | Unexamined:
        """The same cluster, if it has a worker."""
        return if_any(self.cluster, lambda cluster: bool(cluster.up), "there is no worker")

    @property
    def heard(self) -> Cluster | Unexamined:
        """The same, if its workers could be heard."""
        return if_any(
            self.workers, lambda cluster: cluster.is_sampled("events"), "no event could be heard"
        )

    @property
    def counted(self) -> Cluster | Unexamined:
        """The cluster, with workers or without, if its queues could be counted."""
        return if_any(
            self.cluster,
            lambda cluster: cluster.is_sampled("queues"),
            "the queues could not be sampled",
        )
