"""Is a worker a zombie: alive, free, with work in its queues, and doing nothing?

Each fact is known with the moment since when it has been true without a break; what has been
true together for half a minute is no coincidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from celeriac.model.facts import WorkerEventLike, WorkerReport

STALLED_AFTER_SECONDS = 30.0
# Later than this after the last heartbeat nobody knows what the worker does.
HEARTBEATS_APART = 2.5
NEVER = float("inf")


class Backlog(NamedTuple):
    """Since when every sample of the queues has found messages in a queue, up to the last one."""

    since_mono: Mapping[str, float]
    sampled_mono: float


class Idleness:
    """Since when a worker has had a free slot and begun nothing, and has consumed its queues."""

    __slots__ = ("_beat_mono", "_consumed_since", "_freq_seconds", "_processed", "since_mono")

    def __init__(self) -> None:
        self.since_mono = NEVER
        self._consumed_since: dict[str, float] = {}
        self._processed: tuple[int | None, int | None] = (None, None)
        self._freq_seconds = 0.0
        self._beat_mono = -NEVER

    def note(
        self, beat: WorkerEventLike, freq_seconds: float, now_mono: float, *, is_free: bool
    ) -> None:
        """Take one heartbeat; they come every *freq_seconds*."""
        was_heard = self.is_heard(now_mono)
        is_still = self._processed == (beat.pid, beat.processed)
        self._processed = (beat.pid, beat.processed)
        self._beat_mono, self._freq_seconds = now_mono, freq_seconds
        if not is_free or beat.processed is None:
            self.since_mono = NEVER
        elif not is_still or not was_heard or self.since_mono == NEVER:
            self.since_mono = now_mono

    def is_heard(self, now_mono: float) -> bool:
        """Return whether heartbeats have come up to now; a solo worker at work sends none."""
        return now_mono - self._beat_mono <= HEARTBEATS_APART * self._freq_seconds

    def consume(self, queues: Iterable[str], now_mono: float) -> None:
        """Take what the worker says it consumes."""
        self._consumed_since = {
            queue: self._consumed_since.get(queue, now_mono) for queue in queues
        }

    def consumed_since(self, queue: str) -> float:
        return self._consumed_since.get(queue, NEVER)

    def forget(self) -> None:
        """Say that heartbeats may have been lost."""
        self.since_mono = NEVER


def is_stalled(
    report: WorkerReport, idleness: Idleness, backlog: Backlog, now_mono: float
) -> bool | None:
    """Return None if nobody knows what the worker does, has or consumes."""
    if report.queues is None or report.stats is None or not idleness.is_heard(now_mono):
        return None
    if report.has_rate_limits and report.reserved != ():
        # They wait for their turn in the worker itself.
        return False
    return any(
        backlog.sampled_mono
        - max(idleness.since_mono, idleness.consumed_since(queue), backlog.since_mono[queue])
        >= STALLED_AFTER_SECONDS
        for queue in report.queues
        if queue in backlog.since_mono
    )
