"""Missed events: what a worker says it has begun, against the ``task-started`` that arrived.

A worker counts an execution right before it stamps ``task-started``, and every heartbeat carries
the count and a stamp of the same clock (celery 5, ``worker.request`` and ``worker.heartbeat``).
So the starts stamped up to a heartbeat are to be as many as it says, whenever they arrive; they
are compared when the next one comes, because events are sent in batches.
"""

from __future__ import annotations

from celeriac.model.cumulative import INCARNATIONS_REMEMBERED
from celeriac.model.event_switch import TaskEventsSwitch
from celeriac.model.facts import WorkerEventLike

# In pools that start tasks beside the heartbeat's thread, a start may be counted before a
# heartbeat and stamped after it, or the other way round.
RACE_SECONDS = 0.25
BASELINE_RACE_SECONDS = 0.05
POOLS_WITHOUT_RACE = frozenset({"prefork", "solo"})
# Growth from before the events were switched on reaches into the heartbeat after the first start.
HEARTBEATS_WITHOUT_VERDICT = 2
NEVER = float("-inf")


class StartsMeter:
    """One incarnation of a worker. Stamps are its own clock, in seconds since the epoch."""

    __slots__ = (
        "_ahead", "_base", "_baseline_at", "_beat_at", "_counted", "_deficit", "_early", "_horizon",
        "_is_born_here", "_processed", "_racing", "_seen", "_skips", "has_races", "later", "switch",
    )  # fmt: skip

    def __init__(self) -> None:
        self.switch = TaskEventsSwitch()
        self.has_races = True
        # Starts stamped after the last heartbeat, so far.
        self.later = 0
        # Starts stamped between the first heartbeat and the last, right before the first, earlier.
        self._seen = self._racing = self._early = 0
        # Starts stamped so shortly after the last heartbeat that it may have counted them.
        self._ahead = 0
        self._beat_at = self._horizon = self._baseline_at = NEVER
        self._processed: int | None = None
        self._base = 0
        self._is_born_here = False
        self._deficit = self._counted = self._skips = 0

    def start(self, at: float) -> None:
        """Take a ``task-started``. This runs for each of them."""
        if at > self._horizon:
            self.later += 1
        elif at > self._beat_at:
            self._ahead += 1
        elif at > self._baseline_at:
            self._seen += 1
        elif at > self._baseline_at - BASELINE_RACE_SECONDS:
            self._racing += 1
        else:
            self._early += 1

    @property
    def processed(self) -> int:
        return self._processed or 0

    def take_heartbeat(self, processed: int, at: float) -> int:
        """Take a heartbeat; return how many starts are now known to have been missed."""
        if self._processed is None:
            self._begin(processed, at)
        was_on = self.switch.is_on
        self.switch.note_processed(processed, self._starts)
        has_always_been_on = was_on is None and self._is_born_here
        if self.switch.is_on and not was_on and not has_always_been_on:
            self._skips = HEARTBEATS_WITHOUT_VERDICT
        newly_missed = self._settle()
        self._seen += self._ahead + self.later
        self._ahead = self.later = 0
        self._processed = processed
        self._beat_at = at
        self._horizon = at + (RACE_SECONDS if self.has_races else 0.0)
        return newly_missed

    @property
    def _starts(self) -> int:
        return self._early + self._racing + self._seen + self._ahead + self.later

    def _begin(self, processed: int, at: float) -> None:
        self._processed = processed
        self._beat_at = self._horizon = at
        if not self._is_born_here:
            self._base = processed
            self._early, self.later = self.later, 0
            self._baseline_at = at

    def be_born_here(self) -> None:
        """Say that it was born while there was somebody to listen: all its starts can be known."""
        if self._is_born_here:
            return
        self._is_born_here = True
        self._base = self._skips = 0
        self._seen += self._early + self._racing
        self._early = self._racing = 0
        self._baseline_at = NEVER

    def conclude(self) -> int:
        """Say that nothing more of it is on its way; return what is now known to be missed."""
        return self._settle(is_over=True) + self._settle(is_over=True)

    def _settle(self, *, is_over: bool = False) -> int:
        """Compare the last heartbeat with what has been seen of it; twice, to be sure."""
        racing = self._racing if self.has_races else 0
        deficit = self.processed - self._base - self._seen - self._ahead - racing
        if self._skips or not self.switch.is_on:
            # Not sent is not missed: forget what is open, keep what has been counted. Starts that
            # are ahead of the heartbeat do not make up for it: the next one counts them.
            self._skips = max(0, self._skips - 1)
            self._base += max(0, deficit + self._ahead - self._counted)
            deficit = self._counted
        settled = min(deficit, self._deficit)
        self._deficit = deficit
        is_in_doubt = self.switch.is_in_doubt and not is_over
        if is_in_doubt or settled <= self._counted:
            return 0
        newly_missed, self._counted = settled - self._counted, settled
        return newly_missed


class Starts:
    """All incarnations of one worker, by process id.

    With *is_switched_on_here*, the exporter itself switches task events on: what was begun
    before is not missed.
    """

    __slots__ = ("_is_switched_on_here", "by_pid")

    def __init__(self, *, is_switched_on_here: bool = False) -> None:
        self._is_switched_on_here = is_switched_on_here
        self.by_pid: dict[int | None, StartsMeter] = {}

    @property
    def are_announced(self) -> bool | None:
        """Return whether the worker sends task events, None while that is unknown."""
        verdicts = {meter.switch.is_on for meter in self.by_pid.values()}
        return True if True in verdicts else False if False in verdicts else None

    def take_heartbeat(self, event: WorkerEventLike, early_starts: int) -> int:
        """Return how many starts are now known to have been missed.

        *early_starts* came from a process that had not been heard of.
        """
        if event.pid is None or event.processed is None:
            return 0
        meter = self.by_pid.get(event.pid)
        if meter is None or event.processed < meter.processed:
            meter = self._new(event.pid, event, early_starts if meter is None else meter.later)
        return meter.take_heartbeat(event.processed, event.timestamp)

    def _new(self, pid: int, event: WorkerEventLike, starts: int) -> StartsMeter:
        is_again = self.by_pid.pop(pid, None) is not None
        meter = self.by_pid[pid] = StartsMeter()
        is_greeting = event.type == "worker-online" and event.processed == 0
        # What came since the last heartbeat was still the predecessor's.
        meter.later = 0 if is_again and is_greeting else starts
        if is_greeting and not self._is_switched_on_here:
            meter.be_born_here()
        if len(self.by_pid) > INCARNATIONS_REMEMBERED:
            del self.by_pid[next(iter(self.by_pid))]
        return meter

    def conclude(self) -> int:
        """Return what is known to be missed now that the worker is gone."""
        return sum(meter.conclude() for meter in self.by_pid.values())

    def take_stats(self, pid: int, pool: str, *, is_born_here: bool) -> None:
        """Learn from an answer to ``stats`` what kind of pool it is, and its origin."""
        meter = self.by_pid.get(pid)
        if meter is not None:
            meter.has_races = pool not in POOLS_WITHOUT_RACE
            if is_born_here and not self._is_switched_on_here:
                meter.be_born_here()

    def forget_baseline(self) -> None:
        """Growth up to the next heartbeat tells nothing about whether events are on."""
        for meter in self.by_pid.values():
            meter.switch.forget_baseline()
