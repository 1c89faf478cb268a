"""The queues source: asks the broker how deep each queue is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from celeriac.brokers.contract import Queues
from celeriac.clock import Clock
from celeriac.errors import BrokerError, BrokerUnavailableError
from celeriac.model.facts import BrokerInfo, WorkerReport
from celeriac.model.state import ClusterState
from celeriac.sources.observation import Observation

SOURCE = "queues"


class QueuesSource:
    """One call of ``sample_once`` is one sample of all queues that anybody knows."""

    def __init__(
        self, queues: Queues, state: ClusterState, clock: Clock, always: frozenset[str]
    ) -> None:
        self._queues = queues
        self._state = state
        self._clock = clock
        self._always = always
        self._observation = Observation(SOURCE, state, clock)
        self._info: BrokerInfo | None = None

    def sample_once(self) -> float | None:
        """Fetch the depths of the queues of workers, broker, events and configuration.

        Return after how many seconds to try again, where that is not the usual interval.
        """
        with self._observation.sample():
            try:
                self._sample()
            except BrokerError as error:
                # A broker that has greeted and refuses one question is up.
                if self._info is None or isinstance(error, BrokerUnavailableError):
                    self._state.set_broker(is_up=False)
                # Asked again when it is back: it may have been upgraded meanwhile.
                self._info = None
                raise
        return self._observation.pause_seconds

    def close(self) -> None:
        self._queues.close()

    def _sample(self) -> None:
        if self._info is None:
            self._info = self._queues.fetch_info()
            self._state.set_broker(is_up=True, info=self._info)
        reports = self._state.worker_reports()
        names = sorted(self._names(reports))
        began = self._clock()
        sample = self._queues.fetch(names, _visibility_timeout(reports))
        now = self._clock()
        self._state.replace_queues(replace(sample, fetch_seconds=now.mono - began.mono), now)
        self._state.set_broker(is_up=True)

    def _names(self, reports: Iterable[WorkerReport]) -> set[str]:
        consumed = (report.queues or frozenset() for report in reports)
        discovered = self._queues.discover()
        if discovered is None:
            discovered = self._state.queues_with_tasks()
        return set(self._always).union(discovered, *consumed)


def _visibility_timeout(reports: Iterable[WorkerReport]) -> float | None:
    """Return the shortest that any worker is configured with: it is the one that acts first."""
    told = (report.conf.visibility_timeout_seconds for report in reports if report.conf)
    return min((seconds for seconds in told if seconds), default=None)
