"""Is a worker a zombie: alive, free, with work in its queues, and doing nothing?"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from celeriac.model.facts import WorkerReport

STALLED_AFTER_SECONDS = 30.0


class Idleness:
    """Since when a worker that sends heartbeats has had a free slot and begun nothing."""

    __slots__ = ("_processed", "_since_mono")

    def __init__(self) -> None:
        self._processed: tuple[int | None, int | None] = (None, None)
        self._since_mono: float | None = None

    def note(
        self, pid: int | None, processed: int | None, now_mono: float, *, is_free: bool
    ) -> None:
        """Take one heartbeat."""
        is_still = self._processed == (pid, processed)
        self._processed = (pid, processed)
        if not is_free or processed is None:
            self._since_mono = None
        elif not is_still or self._since_mono is None:
            self._since_mono = now_mono

    def forget(self) -> None:
        """Say that heartbeats may have been lost."""
        self._since_mono = None

    def seconds(self, now_mono: float) -> float:
        return 0.0 if self._since_mono is None else now_mono - self._since_mono


def is_stalled(
    report: WorkerReport, idle_seconds: float, waiting_queues: AbstractSet[str]
) -> bool | None:
    """Return None if nobody knows what the worker consumes.

    *waiting_queues* have had messages in every sample for STALLED_AFTER_SECONDS.
    """
    if report.queues is None or report.stats is None:
        return None
    if report.has_rate_limits and report.reserved:
        # They wait for their turn in the worker itself.
        return False
    return idle_seconds >= STALLED_AFTER_SECONDS and not waiting_queues.isdisjoint(report.queues)
