"""Does a worker send task events? No command tells; its own count of tasks does."""

from __future__ import annotations


class TaskEventsSwitch:
    """Compares the growth of ``processed`` in heartbeats with the ``task-started`` seen.

    A worker counts a task right before it sends the event, and batches events for up to a
    second: growth is judged one heartbeat later.
    """

    __slots__ = ("_last_processed", "_last_started", "_was_growth_unseen", "is_on")

    def __init__(self) -> None:
        self.is_on: bool | None = None
        self._last_started = 0
        self._was_growth_unseen = False
        self._last_processed: int | None = None

    def note_processed(self, processed: int, started: int) -> None:
        """Take the count of one heartbeat, and how many starts have been seen by now."""
        has_grown = self._last_processed is not None and processed > self._last_processed
        saw_started = started > self._last_started
        if saw_started:
            self.is_on = True
        elif self._was_growth_unseen:
            self.is_on = False
        self._was_growth_unseen = has_grown and not saw_started
        self._last_started, self._last_processed = started, processed

    def forget_baseline(self) -> None:
        self._was_growth_unseen = False
        self._last_processed = None
