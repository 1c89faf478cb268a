"""Tallies: what has been counted for one task on one queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from celeriac.model.admission import OVERFLOW
from celeriac.model.histogram import Histogram, HistogramView
from celeriac.model.lines import Line


class Outcome(IntEnum):
    """Positions in ``TaskTally.counts``."""

    SENT = 0
    RECEIVED = 1
    STARTED = 2
    SUCCEEDED = 3
    FAILED = 4
    RETRIED = 5
    REJECTED = 6
    REVOKED = 7
    TERMINATED = 8
    EXPIRED = 9


COUNTS_PER_TALLY = len(Outcome)
# One more for exceptions under __overflow__.
SERIES_PER_TALLY = COUNTS_PER_TALLY + 1
# A histogram has a series a bucket, one for +Inf, one for the sum and one for the count.
SERIES_PER_HISTOGRAM_BESIDE_BOUNDS = 3
_NOTHING_COUNTED = (0,) * COUNTS_PER_TALLY
_NO_EXCEPTIONS: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Buckets:
    """Upper bounds of the three histograms, in seconds, ascending."""

    runtime: tuple[float, ...]
    queue_wait: tuple[float, ...]
    prefetch_wait: tuple[float, ...]


class TallyView(NamedTuple):
    """A tally at one moment."""

    key: tuple[str, str]
    """The task and the queue."""
    counts: Sequence[int]
    exceptions: Mapping[str, int]
    runtime: HistogramView | None
    queue_wait: HistogramView | None
    prefetch_wait: HistogramView | None
    last_succeeded_at: float | None
    last_failed_at: float | None

    @property
    def task(self) -> str:
        return self.key[0]


class TaskTally:
    """Counters of one task on one queue; all of them are born together at 0.

    A series that Prometheus first sees at 1 has no increase: whatever is new is shown at 0 once.
    """

    __slots__ = (
        "_shown_exceptions",
        "counts",
        "exceptions",
        "has_news",
        "is_gone",
        "is_shown",
        "key",
        "last_announced_at",
        "last_event_mono",
        "last_failed_at",
        "last_succeeded_at",
        "last_view",
        "line",
        "prefetch_wait",
        "queue_wait",
        "runtime",
    )

    def __init__(self, task: str, queue: str, line: Line[Any] | None = None) -> None:
        self.key = (task, queue)
        self.line: Line[Any] = Line() if line is None else line
        self.counts = [0] * COUNTS_PER_TALLY
        self.exceptions: dict[str, int] = {}
        self.runtime: Histogram | None = None
        self.queue_wait: Histogram | None = None
        self.prefetch_wait: Histogram | None = None
        self.last_announced_at: float | None = None
        self.last_succeeded_at: float | None = None
        self.last_failed_at: float | None = None
        self.last_event_mono = 0.0
        self.is_shown = False
        self.has_news = True
        self.is_gone = False
        self.last_view: TallyView | None = None
        self._shown_exceptions: set[str] = set()

    @property
    def task(self) -> str:
        return self.key[0]

    @property
    def queue(self) -> str:
        return self.key[1]

    @property
    def histograms(self) -> tuple[Histogram, ...]:
        present = (self.runtime, self.queue_wait, self.prefetch_wait)
        return tuple(histogram for histogram in present if histogram is not None)

    @property
    def series(self) -> int:
        """How many series this tally takes at the most."""
        buckets = sum(
            len(histogram.bounds) + SERIES_PER_HISTOGRAM_BESIDE_BOUNDS
            for histogram in self.histograms
        )
        exceptions = sum(name != OVERFLOW for name in self.exceptions)
        return SERIES_PER_TALLY + exceptions + buckets

    def view(self) -> TallyView:
        """Return a copy; what has never been shown before is 0 in it.

        Whoever counts forgets ``last_view``, so that what stands still is not copied again.
        """
        if self.last_view is None:
            self.last_view = self._copied(is_truth=False)
        return self.last_view

    def truth(self) -> TallyView:
        """Return a copy in which nothing is 0 that was counted."""
        return self._copied(is_truth=True) if self.has_news else self.view()

    def _copied(self, *, is_truth: bool) -> TallyView:
        return TallyView(
            self.key,
            tuple(self.counts) if self.is_shown or is_truth else _NOTHING_COUNTED,
            self._exceptions_view(is_truth=is_truth) if self.exceptions else _NO_EXCEPTIONS,
            self.runtime.view(is_truth=is_truth) if self.runtime else None,
            self.queue_wait.view(is_truth=is_truth) if self.queue_wait else None,
            self.prefetch_wait.view(is_truth=is_truth) if self.prefetch_wait else None,
            self.last_succeeded_at,
            self.last_failed_at,
        )

    def _exceptions_view(self, *, is_truth: bool) -> dict[str, int]:
        return {
            name: count if is_truth or name in self._shown_exceptions else 0
            for name, count in self.exceptions.items()
        }

    def mark_shown(self) -> None:
        """Say that everything here has been on a page."""
        self.is_shown, self.has_news, self.last_view = True, False, None
        if len(self._shown_exceptions) != len(self.exceptions):
            self._shown_exceptions.update(self.exceptions)
        for histogram in self.histograms:
            histogram.is_shown = True
