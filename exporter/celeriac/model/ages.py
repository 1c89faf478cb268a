"""How long the oldest waiting message of a queue has been there, at least."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from celeriac.model.facts import Head, Moment, QueueDepth
from celeriac.model.track import Track

# An AMQP timestamp is in whole seconds, and two publishers are not equally quick.
STAMP_TOLERANCE_SECONDS = 2.0
NEVER = float("-inf")


class HeadBook:
    """Which message has been at the head of each list, and since when."""

    def __init__(self, peek: Callable[[str], Track | None]) -> None:
        self._peek = peek
        self._since: dict[tuple[str, int], tuple[object, float]] = {}

    def ages(self, depths: Mapping[str, QueueDepth], now: Moment) -> dict[str, float]:
        """Return the age in seconds of every queue whose heads are known; others are left out."""
        since: dict[tuple[str, int], tuple[object, float]] = {}
        ages: dict[str, float] = {}
        for queue, depth in depths.items():
            for head in depth.heads:
                looked = Moment(now.wall - head.seconds_ago, now.mono - head.seconds_ago)
                message = (head.task_id, head.digest, head.is_redelivered)
                known, since_mono = self._since.get((queue, head.place), (None, NEVER))
                since_mono = since_mono if known == message else looked.mono
                since[queue, head.place] = (message, since_mono)
                age = self._age(head, since_mono, looked)
                ages[queue] = max(age, ages.get(queue, 0.0))
        self._since = since
        return ages

    def _age(self, head: Head, since_mono: float, looked: Moment) -> float:
        """Return the larger of what is proven; the wait begins when the task is due."""
        track = None if head.is_redelivered else self._peek(head.task_id)
        if track is not None and track.is_waiting and track.sent_mono is not None:
            since_mono = min(since_mono, track.sent_mono)
        age = looked.mono - since_mono
        if head.eta_at is not None:
            age = min(age, looked.wall - head.eta_at)
        return max(0.0, age)


class _Stamp(NamedTuple):
    """The last stamp seen at the head, since when, and the latest instant that was passed."""

    head_sent_at: float | None = None
    since_mono: float = NEVER
    passed_at: float = NEVER


class StampBook:
    """Ages by the stamp that a queue's first message itself carries.

    Stamps grow as messages are taken. One from before an earlier one, or from before the queue
    was empty, is of a message that a worker has had and that came back, or of a clock that is
    behind: that one is as old as it has been watched.
    """

    def __init__(self) -> None:
        self._seen: dict[str, _Stamp] = {}

    def ages(
        self, depths: Mapping[str, QueueDepth], now: Moment, fetch_seconds: float
    ) -> dict[str, float]:
        """Return the age in seconds of every queue whose first message has a stamp."""
        self._seen = {
            queue: self._look(queue, depth, now, fetch_seconds) for queue, depth in depths.items()
        }
        return {
            queue: _stamped_age(seen, now)
            for queue, seen in self._seen.items()
            if seen.head_sent_at is not None
        }

    def _look(self, queue: str, depth: QueueDepth, now: Moment, fetch_seconds: float) -> _Stamp:
        last = self._seen.get(queue, _Stamp())
        if depth.ready == 0:
            return _Stamp(passed_at=max(last.passed_at, now.wall - fetch_seconds))
        stamp = depth.head_sent_at
        if stamp is None:
            return _Stamp(passed_at=last.passed_at)
        if stamp == last.head_sent_at:
            return last
        return _Stamp(stamp, now.mono, max(last.passed_at, min(stamp, now.wall)))


def _stamped_age(seen: _Stamp, now: Moment) -> float:
    watched = now.mono - seen.since_mono
    stamp = seen.head_sent_at
    if stamp is None or stamp < seen.passed_at - STAMP_TOLERANCE_SECONDS:
        return watched
    # It may be from the end of its second.
    return max(watched, now.wall - stamp - 1.0)
