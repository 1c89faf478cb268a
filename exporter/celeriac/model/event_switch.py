"""Does a worker send task events? No command tells; its own count of tasks does."""

from __future__ import annotations

# After this many heartbeats without growth, growth that was unseen once counts as lost.
QUIET_HEARTBEATS = 3


class TaskEventsSwitch:
    """Compares the growth of ``processed`` in heartbeats with the ``task-started`` seen.

    A worker counts a task right before it sends the event, and batches events for up to a
    second: growth is judged one heartbeat later. Growth of which nothing was seen means that
    events are off; of a worker that did send them, only the second time in a row, because one
    message may have been lost.
    """

    __slots__ = ("_last_processed", "_last_started", "_quiet", "_unseen", "_was_unseen", "is_on")

    def __init__(self) -> None:
        self.is_on: bool | None = None
        self._last_started = 0
        self._last_processed: int | None = None
        # Whether the last heartbeat showed growth unseen; how often that was confirmed since a
        # start was seen; how many heartbeats without growth have followed.
        self._was_unseen = False
        self._unseen = 0
        self._quiet = 0

    @property
    def is_in_doubt(self) -> bool:
        """Return whether the next growth may still show that events were switched off."""
        return self._was_unseen or (self._unseen > 0 and self._quiet < QUIET_HEARTBEATS)

    def note_processed(self, processed: int, started: int) -> None:
        """Take the count of one heartbeat, and how many starts have been seen by now."""
        has_grown = self._last_processed is not None and processed > self._last_processed
        saw_started = started > self._last_started
        self._quiet = 0 if has_grown else self._quiet + 1
        if saw_started:
            self.is_on, self._unseen = True, 0
        elif self._was_unseen:
            self._unseen += 1
            if self._unseen > 1 or not self.is_on:
                self.is_on = False
        self._was_unseen = has_grown and not saw_started
        self._last_started, self._last_processed = started, processed

    def forget_baseline(self) -> None:
        self._was_unseen = False
        self._last_processed = None
