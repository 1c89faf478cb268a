"""Who waits in a queue whose messages cannot be looked at: those sent after the last received.

In a queue that is first in, first out, everything sent before a message that has been received
is gone. Of what was sent later, the first is the oldest that can still wait, and its stamp a
lower bound of the queue's age. Priorities and requeued messages make the bound lower, never
higher.
"""

from __future__ import annotations

from bisect import bisect_right

RESOLUTION_SECONDS = 0.5
MAX_CHECKPOINTS = 4096


class Line:
    """One queue. Stamps are the clients' clocks, in seconds since the epoch.

    ``next_at`` and ``cut`` are for whoever sees every event: a stamp from ``next_at`` on is to
    be added, the largest stamp that was received is to be kept in ``cut``.
    """

    __slots__ = ("_checkpoints", "cut", "next_at")

    def __init__(self) -> None:
        self._checkpoints: list[float] = []
        self.next_at = self.cut = float("-inf")

    def add(self, sent_at: float) -> None:
        """Take the stamp of a message that was sent; those in between are not needed."""
        self.next_at = sent_at + RESOLUTION_SECONDS
        self._checkpoints.append(sent_at)
        if len(self._checkpoints) > MAX_CHECKPOINTS:
            self._leave()
            # To forget one only makes the bound lower.
            if len(self._checkpoints) > MAX_CHECKPOINTS // 2:
                del self._checkpoints[::2]

    def oldest(self) -> float | None:
        """Return the first stamp that nothing received is later than, None if there is none."""
        self._leave()
        return self._checkpoints[0] if self._checkpoints else None

    def empty(self, at: float) -> None:
        """Say that nothing waited at the instant *at*."""
        self.cut = max(self.cut, at)
        self._leave()

    def forget(self) -> None:
        """Say that something may have been received unseen."""
        self._checkpoints.clear()

    def _leave(self) -> None:
        del self._checkpoints[: bisect_right(self._checkpoints, self.cut)]
