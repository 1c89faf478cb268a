"""How long the oldest waiting message of a queue has been there, at least."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from celeriac.model.facts import Head, Moment, QueueDepth
from celeriac.model.lines import Line

SentAt = Callable[[str], float | None]
"""When the task of an id was to begin, if it is known to wait since it was sent."""


class HeadBook:
    """Which message has been at the head of each list, and since when."""

    def __init__(self, due_at: SentAt) -> None:
        self._due_at = due_at
        self._since: dict[tuple[str, int], tuple[str, float]] = {}

    def ages(self, depths: Mapping[str, QueueDepth], now: Moment) -> dict[str, float]:
        """Return the age in seconds of every queue whose heads are known; others are left out."""
        since: dict[tuple[str, int], tuple[str, float]] = {}
        ages: dict[str, float] = {}
        for queue, depth in depths.items():
            for head in depth.heads:
                place = (queue, head.place)
                message, seen_mono = self._since.get(place, ("", now.mono))
                since[place] = (head.task_id, seen_mono if message == head.task_id else now.mono)
                age = self._age(head, since[place][1], now)
                ages[queue] = max(age, ages.get(queue, 0.0))
        self._since = since
        return ages

    def _age(self, head: Head, seen_mono: float, now: Moment) -> float:
        """Return the larger of what is proven; the wait begins when the task is due."""
        watched = now.mono - seen_mono
        if head.eta_at is not None:
            watched = min(watched, now.wall - head.eta_at)
        due_at = None if head.is_redelivered else self._due_at(head.task_id)
        return max(0.0, watched, 0.0 if due_at is None else now.wall - due_at)


def age_by_stamps(depth: QueueDepth, line: Line | None, now: Moment) -> float | None:
    """Return the age of a queue that cannot be looked into, None if nothing proves any."""
    stamps: Iterable[float | None] = (depth.head_sent_at, line.oldest() if line else None)
    ages = [now.wall - stamp for stamp in stamps if stamp is not None]
    return max(0.0, *ages) if ages else None
