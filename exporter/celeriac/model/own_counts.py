"""What the exporter counts about itself, and when it could not hear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from celeriac.model.facts import (
    EVENT_REFUSALS,
    REPLY_REFUSALS,
    TASK_EVENT_TYPES,
    WORKER_EVENT_TYPES,
    Moment,
    TaskEventLike,
)

# A dead connection is noticed within this: two AMQP heartbeats, or silence after a PING.
NOTICED_WITHIN_SECONDS = 20.0
_TYPE = attrgetter("type")


@dataclass(frozen=True, slots=True)
class OwnCountsView:
    """A copy of the exporter's own counts."""

    events_received: Mapping[str, int]
    events_rejected: Mapping[str, int]
    replies_rejected: Mapping[str, int]
    event_lag_seconds: float | None
    workers_unanswered: int | None
    gap_seconds: float
    last_gap_ended_at: float | None


class OwnCounts:
    """Events and answers by what became of them, and the gaps in the stream of events.

    A gap is a time in which events were published and none could arrive, from the last message
    heard to the next subscription. What was lost in it is not known; that it was, is.
    """

    def __init__(self) -> None:
        self._received = _zeros(TASK_EVENT_TYPES + WORKER_EVENT_TYPES)
        self._rejected = _zeros(EVENT_REFUSALS)
        self._replies_rejected = _zeros(REPLY_REFUSALS)
        self._event_lag_seconds: float | None = None
        self._heard_mono = float("-inf")
        self._deaf_since_mono: float | None = None
        self._gap_seconds = 0.0
        self._last_gap_ended_at: float | None = None
        self.workers_unanswered: int | None = None

    def take_task_events(self, events: Sequence[TaskEventLike], now: Moment) -> None:
        self._received.update(map(_TYPE, events))
        self._event_lag_seconds = max(0.0, now.wall - events[-1].timestamp)
        self._heard_mono = now.mono

    def take_worker_event(self, kind: str, now: Moment) -> None:
        self._received[kind] += 1
        self._heard_mono = now.mono

    def reject_events(self, reasons: Iterable[str]) -> None:
        self._rejected.update(reasons)

    def reject_replies(self, reasons: Iterable[str]) -> None:
        self._replies_rejected.update(reasons)

    def unsubscribe(self, now: Moment) -> None:
        """Note that events cannot arrive, perhaps since the last one that did."""
        self._deaf_since_mono = max(self._heard_mono, now.mono - NOTICED_WITHIN_SECONDS)

    def subscribe(self, now: Moment, *, has_kept_events: bool) -> None:
        """Note that events can arrive; with *has_kept_events*, whatever was missed follows."""
        since_mono, self._deaf_since_mono = self._deaf_since_mono, None
        if since_mono is not None and not has_kept_events:
            self._gap_seconds += now.mono - since_mono
            self._last_gap_ended_at = now.wall

    def view(self) -> OwnCountsView:
        return OwnCountsView(
            events_received=self._received.copy(),
            events_rejected=self._rejected.copy(),
            replies_rejected=self._replies_rejected.copy(),
            event_lag_seconds=self._event_lag_seconds,
            workers_unanswered=self.workers_unanswered,
            gap_seconds=self._gap_seconds,
            last_gap_ended_at=self._last_gap_ended_at,
        )


def _zeros(names: Iterable[str]) -> Counter[str]:
    return Counter(dict.fromkeys(names, 0))
