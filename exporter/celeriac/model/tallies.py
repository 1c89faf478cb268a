"""Tallies: what has been counted for one task on one queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from celeriac.model.admission import OVERFLOW
from celeriac.model.histogram import Histogram, HistogramView


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


@dataclass(frozen=True, slots=True)
class Buckets:
    """Upper bounds of the three histograms, in seconds, ascending."""

    runtime: tuple[float, ...]
    queue_wait: tuple[float, ...]
    prefetch_wait: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TallyView:
    """A tally at one moment."""

    task: str
    queue: str
    counts: Sequence[int]
    exceptions: Mapping[str, int]
    runtime: HistogramView | None
    queue_wait: HistogramView | None
    prefetch_wait: HistogramView | None
    last_succeeded_at: float | None
    last_failed_at: float | None


class TaskTally:
    """Counters of one task on one queue; all of them are born together at 0.

    A series that Prometheus first sees at 1 has no increase: whatever is new is shown at 0 once.
    """

    __slots__ = (
        "_shown_exceptions",
        "counts",
        "exceptions",
        "is_gone",
        "is_shown",
        "last_event_mono",
        "last_failed_at",
        "last_succeeded_at",
        "prefetch_wait",
        "queue",
        "queue_wait",
        "runtime",
        "task",
    )

    def __init__(self, task: str, queue: str) -> None:
        self.task = task
        self.queue = queue
        self.counts = [0] * COUNTS_PER_TALLY
        self.exceptions: dict[str, int] = {}
        self.runtime: Histogram | None = None
        self.queue_wait: Histogram | None = None
        self.prefetch_wait: Histogram | None = None
        self.last_succeeded_at: float | None = None
        self.last_failed_at: float | None = None
        self.last_event_mono = 0.0
        self.is_shown = False
        self.is_gone = False
        self._shown_exceptions: set[str] = set()

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
        """Return a copy; what has never been shown before is 0 in it."""
        return TallyView(
            task=self.task,
            queue=self.queue,
            counts=self.counts.copy() if self.is_shown else [0] * COUNTS_PER_TALLY,
            exceptions={
                name: count if name in self._shown_exceptions else 0
                for name, count in self.exceptions.items()
            },
            runtime=_view(self.runtime),
            queue_wait=_view(self.queue_wait),
            prefetch_wait=_view(self.prefetch_wait),
            last_succeeded_at=self.last_succeeded_at,
            last_failed_at=self.last_failed_at,
        )

    def mark_shown(self) -> None:
        """Say that everything here has been on a page."""
        self.is_shown = True
        if len(self._shown_exceptions) != len(self.exceptions):
            self._shown_exceptions.update(self.exceptions)
        for histogram in self.histograms:
            histogram.is_shown = True


def _view(histogram: Histogram | None) -> HistogramView | None:
    return None if histogram is None else histogram.view()
