"""How far a worker's clock is ahead of ours, as its heartbeats tell."""

from __future__ import annotations

from collections import deque

# Half a minute of heartbeats: a clock that was set right is soon seen to be.
HEARTBEATS_REMEMBERED = 15


class ClockSkew:
    """A stamp against its arrival, over the last heartbeats.

    Travel makes a clock look slow, never fast: the largest difference is the nearest to the truth.
    """

    __slots__ = ("_lately",)

    def __init__(self) -> None:
        self._lately: deque[float] = deque(maxlen=HEARTBEATS_REMEMBERED)

    def note(self, stamped_at: float, arrived_at: float) -> None:
        """Take one heartbeat, by the worker's clock and by ours; seconds since the epoch."""
        self._lately.append(stamped_at - arrived_at)

    @property
    def seconds(self) -> float | None:
        """Return how far its clock is ahead, negative if behind; None without heartbeats."""
        return max(self._lately, default=None)
