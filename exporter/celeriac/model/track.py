"""What is remembered of one task id."""

from __future__ import annotations

from celeriac.model.held import HeldEvent
from celeriac.model.tallies import TaskTally


class Waiting:
    """An id whose task or queue is not known yet, and its events so far."""

    __slots__ = ("events", "queue", "task")

    def __init__(self, task: str | None, queue: str | None) -> None:
        self.task = task
        self.queue = queue
        self.events: list[HeldEvent] | None = None


class Track:
    """One task id. Instants are the senders' clocks, in seconds since the epoch.

    ``sent_mono`` is our own: when the last ``task-sent`` arrived.
    """

    __slots__ = (
        "due_at", "is_ended", "received_at", "sent_mono", "started_at", "tally", "waiting",
    )  # fmt: skip

    def __init__(self) -> None:
        self.tally: TaskTally | None = None
        self.waiting: Waiting | None = None
        self.due_at: float | None = None
        self.sent_mono: float | None = None
        self.received_at: float | None = None
        self.started_at: float | None = None
        self.is_ended = False

    @property
    def is_waiting(self) -> bool:
        """Return whether it was sent, and no worker has said since that it took it."""
        return self.due_at is not None and self.received_at is None and not self.is_ended
