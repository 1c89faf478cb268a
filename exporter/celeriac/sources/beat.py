"""The beat source: which entries are scheduled, and how long each may take until its next run."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NamedTuple

from celeriac.brokers.contract import StoredSchedule
from celeriac.clock import Clock
from celeriac.model.beat import STALE_AFTER_SECONDS
from celeriac.model.facts import BeatEntry, Moment, ScheduledEntry, WorkerConf
from celeriac.model.state import ClusterState
from celeriac.sources import redbeat, schedules
from celeriac.sources.observation import Observation

SOURCE = "beat"
MAX_TOLD = 2000

logger = logging.getLogger(__name__)


class _Zoned(NamedTuple):
    """An entry and the name of the time zone its schedule is in, None for the local one."""

    scheduled: ScheduledEntry
    zone: str | None


class BeatSource:
    """One call of ``sample_once`` is one sample of every schedule that anybody tells.

    Workers tell theirs in ``conf``; RedBeat's is in Redis; *expected* are pairs of a task and
    its schedule that the command line names.
    """

    def __init__(
        self,
        state: ClusterState,
        clock: Clock,
        stored: StoredSchedule | None = None,
        expected: Iterable[tuple[str, str]] = (),
    ) -> None:
        self._state = state
        self._clock = clock
        self._stored = stored
        self._expected = [ScheduledEntry(task, task, text) for task, text in expected]
        self._observation = Observation(SOURCE, state, clock)
        self._told: set[tuple[str, str, str]] = set()

    def sample_once(self) -> float | None:
        """Replace the schedule.

        Return after how many seconds to try again, where that is not the usual interval.
        """
        with self._observation.sample():
            self._sample()
        return self._observation.pause_seconds

    def close(self) -> None:
        if self._stored is not None:
            self._stored.close()

    def _sample(self) -> None:
        stored = redbeat.read(self._stored.fetch() if self._stored is not None else ())
        now = self._clock()
        # Also of workers that have gone down: they may be about to come back.
        confs = self._state.worker_confs(now.mono - STALE_AFTER_SECONDS)
        entries = self._told_by(confs, stored)
        self._state.replace_beat(self._longest(entries, now), now)

    def _told_by(self, confs: Iterable[WorkerConf], stored: redbeat.RedBeatEntries) -> set[_Zoned]:
        """Return all entries; one without a time zone is in each of the workers'."""
        entries = {
            _Zoned(scheduled, zone_name(conf))
            for conf in confs
            for scheduled in conf.beat_schedule
            if (scheduled.entry, scheduled.task) not in stored.disabled
        }
        zones = set(filter(schedules.is_zone, map(zone_name, confs))) or {"UTC"}
        without = (*stored.scheduled, *self._expected)
        return entries | {_Zoned(scheduled, zone) for scheduled in without for zone in zones}

    def _longest(self, entries: Iterable[_Zoned], now: Moment) -> list[BeatEntry]:
        """Return each entry once; where workers do not agree, as in a deploy, the longer counts."""
        longest: dict[tuple[str, str], float] = {}
        for scheduled, zone in entries:
            interval = self._interval_seconds(scheduled, zone, now)
            if interval is not None:
                key = (scheduled.entry, scheduled.task)
                longest[key] = max(interval, longest.get(key, 0.0))
        return [BeatEntry(entry, task, interval) for (entry, task), interval in longest.items()]

    def _interval_seconds(
        self, scheduled: ScheduledEntry, zone: str | None, now: Moment
    ) -> float | None:
        try:
            return schedules.read(scheduled.schedule).interval_seconds(zone, now.wall)
        except schedules.UnreadableScheduleError as error:
            self._tell(scheduled, str(error))
            return None

    def _tell(self, scheduled: ScheduledEntry, problem: str) -> None:
        """Log once that an entry is left out."""
        line = (scheduled.entry, scheduled.task, problem)
        if line not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(line)
            logger.warning("beat entry %r of task %r is left out: %s", *line)


def zone_name(conf: WorkerConf) -> str | None:
    """Return the name of the time zone that Celery reads crontabs in, None for the local one."""
    return conf.timezone or ("UTC" if conf.enable_utc else None)
