"""The workers source: asks every worker that is up what it has and what it does."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import msgspec

from celeriac.clock import Clock
from celeriac.control import Command, Question, RemoteControl, Replies
from celeriac.model.facts import Moment, WorkerReport
from celeriac.model.state import ClusterState
from celeriac.sources import answers
from celeriac.sources.observation import Observation

SOURCE = "workers"
DISCOVERY_TIMEOUT_SECONDS = 1.0
# A worker greets a moment before it listens to commands.
ASK_NEWCOMERS_AGAIN_AFTER_SECONDS = 1.0
ATTEMPTS_WITH_NEWCOMERS = 4

OFTEN = tuple(
    Command(name) for name in ("stats", "active", "reserved", "scheduled", "active_queues")
)
# These change rarely, and the ids of revoked tasks can be megabytes.
# Without defaults, celery 5.7 hides the entries that ``add_periodic_task`` has made.
CONF = Command("conf", {"with_defaults": True})
SELDOM = (Command("registered"), CONF, Command("revoked"))
PING = Command("ping")
ENABLE_EVENTS = Command("enable_events")


@dataclass(frozen=True, slots=True)
class WorkersOptions:
    """When to ask how; in seconds."""

    inspect_timeout_seconds: float = 2.0
    seldom_every_seconds: float = 60.0
    enables_events: bool = False


@dataclass(frozen=True, slots=True)
class _Seldom:
    """What a worker said to the commands that are sent seldom."""

    report: WorkerReport
    mono: float


class WorkersSource:
    """One call of ``sample_once`` is one sample; a slow worker costs only its own numbers."""

    def __init__(
        self, control: RemoteControl, state: ClusterState, clock: Clock, options: WorkersOptions
    ) -> None:
        self._control = control
        self._state = state
        self._clock = clock
        self._options = options
        self._observation = Observation(SOURCE, state, clock)
        self._seldom: dict[str, _Seldom] = {}
        self._unanswered: Counter[str] = Counter()
        self._discovered_mono = float("-inf")

    def sample_once(self) -> float | None:
        """Ask all known workers at once, and now and then whoever else is there.

        Return after how many seconds to try again, where that is not the usual interval: sooner
        for a newcomer that did not answer, later for a broker that has refused.
        """
        with self._observation.sample():
            self._sample()
        is_worth_it = any(
            worker not in self._seldom and attempts < ATTEMPTS_WITH_NEWCOMERS
            for worker, attempts in self._unanswered.items()
        )
        return self._observation.pause_seconds or (
            ASK_NEWCOMERS_AGAIN_AFTER_SECONDS if is_worth_it else None
        )

    def close(self) -> None:
        self._control.close()

    def _sample(self) -> None:
        now = self._clock()
        known = set(self._state.workers_up())
        if not known or now.mono - self._discovered_mono >= self._options.seldom_every_seconds:
            # Who sends no heartbeats can be found only by asking everybody.
            self._discovered_mono = now.mono
            known |= self._discover()
        if known:
            self._ask(known, now)
        else:
            self._state.replace_workers([], 0, now)

    def _discover(self) -> set[str]:
        return self._control.ask_everybody(PING, DISCOVERY_TIMEOUT_SECONDS).workers()

    def _ask(self, workers: Collection[str], now: Moment) -> None:
        newcomers = [worker for worker in workers if self._is_seldom_due(worker, now)]
        if newcomers and self._options.enables_events:
            self._control.tell(ENABLE_EVENTS, newcomers)
        questions = [Question(command, workers, is_for_all=True) for command in OFTEN]
        if newcomers:
            are_all = len(newcomers) == len(workers)
            questions += [Question(command, newcomers, is_for_all=are_all) for command in SELDOM]
        replies = self._control.ask(questions, self._options.inspect_timeout_seconds)
        self._take(replies, workers)

    def _take(self, replies: Replies, asked: Collection[str]) -> None:
        now = self._clock()
        reports = self._reports(replies, now)
        unanswered = set(asked) - {report.worker for report in reports}
        self._unanswered = Counter({name: self._unanswered[name] + 1 for name in unanswered})
        self._seldom = {worker: kept for worker, kept in self._seldom.items() if worker in asked}
        self._state.replace_workers(reports, len(unanswered), now)
        self._state.reject_replies(replies.rejected)

    def _reports(self, replies: Replies, now: Moment) -> list[WorkerReport]:
        by_worker: Mapping[str, dict[str, msgspec.Raw]] = defaultdict(dict)
        for (worker, method), raw in replies.answers.items():
            by_worker[worker][method] = raw
        reports = []
        for worker, by_method in by_worker.items():
            report, unreadable = answers.report(worker, by_method)
            replies.rejected.extend("unreadable" for _ in unreadable)
            reports.append(self._with_seldom(report, now))
        return reports

    def _is_seldom_due(self, worker: str, now: Moment) -> bool:
        kept = self._seldom.get(worker)
        return kept is None or now.mono - kept.mono >= self._options.seldom_every_seconds

    def _with_seldom(self, report: WorkerReport, now: Moment) -> WorkerReport:
        """Add what the worker said earlier to the commands it was not asked this time."""
        if report.registered is not None or report.revoked_ids is not None:
            self._seldom[report.worker] = _Seldom(report, now.mono)
            return report
        kept = self._seldom.get(report.worker)
        if kept is None:
            return report
        return replace(
            report,
            registered=kept.report.registered,
            conf=kept.report.conf,
            has_rate_limits=kept.report.has_rate_limits,
            revoked_ids=kept.report.revoked_ids,
        )
