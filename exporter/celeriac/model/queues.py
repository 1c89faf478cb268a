"""The queues: depth from the broker, consumers and processes from the workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from celeriac.model.admission import Admission
from celeriac.model.ages import HeadBook, StampBook
from celeriac.model.facts import Moment, QueueDepth, QueueSample
from celeriac.model.lines import Lines, Peek
from celeriac.model.snapshot import QueueView
from celeriac.model.stalls import Backlog
from celeriac.model.track import Track

SERIES_PER_QUEUE = 8
# After a longer pause between two samples nobody knows what was in the queues meanwhile.
MAX_PAUSE_SECONDS = 30.0


class Consumption(NamedTuple):
    """Which queues the workers that are up consume, by their number and their pool slots."""

    workers: Counter[str]
    processes: Counter[str]
    is_complete: bool
    """Whether every worker that is up has said what it consumes."""


class QueueBook:
    """The last sample of the queues, replaced whole by the next one."""

    def __init__(self, admission: Admission, peek: Peek[Track]) -> None:
        self._admission = admission
        self._peek = peek
        self._heads = HeadBook(peek)
        self._stamps = StampBook()
        self._ages: dict[str, float] = {}
        self._waiting_since_mono: dict[str, float] = {}
        self._depths: Mapping[str, QueueDepth] = {}
        self.sampled_mono: float | None = None
        self._delayed: int | None = None

    def replace(
        self,
        sample: QueueSample,
        in_use: AbstractSet[str],
        lines: Lines[Track],
        now: Moment,
    ) -> None:
        """Replace everything; every queue that is *in_use* keeps its label value.

        *lines* tell who waits in queues that cannot be looked into.
        """
        self._admission.keep_only(in_use)
        self._note_waiting(sample.depths, now.mono)
        admitted: dict[str, QueueDepth] = {}
        ages: dict[str, float] = {}
        for queue, age in self._oldest(sample, lines, now).items():
            shown = self._admission.admit(queue, now.mono)
            ages[shown] = max(age, ages.get(shown, 0.0))
        for queue, depth in sorted(sample.depths.items()):
            shown = self._admission.admit(queue, now.mono)
            admitted[shown] = _add(admitted.get(shown), depth)
        self._depths, self._delayed, self.sampled_mono = admitted, sample.delayed, now.mono
        self._ages = ages

    def _oldest(self, sample: QueueSample, lines: Lines[Track], now: Moment) -> dict[str, float]:
        """Return the largest age that is proven of each queue, if any; 0 of an empty one."""
        depths = sample.depths
        ages = {queue: 0.0 for queue, depth in depths.items() if depth.ready == 0}
        for proven in (
            self._heads.ages(depths, now),
            self._stamps.ages(depths, now, sample.fetch_seconds),
            lines.ages(depths, now.mono, sample.fetch_seconds, self._peek),
        ):
            for queue, age in proven.items():
                ages[queue] = max(age, ages.get(queue, 0.0))
        return ages

    def _note_waiting(self, depths: Mapping[str, QueueDepth], now_mono: float) -> None:
        is_first = self.sampled_mono is None or now_mono - self.sampled_mono > MAX_PAUSE_SECONDS
        known = {} if is_first else self._waiting_since_mono
        self._waiting_since_mono = {
            queue: known.get(queue, now_mono) for queue, depth in depths.items() if depth.ready
        }

    def backlog(self, now_mono: float, max_age_seconds: float) -> Backlog | None:
        """Return since when each queue has had messages; None if the last sample is too old."""
        if self.sampled_mono is None or not self._is_fresh(now_mono, max_age_seconds):
            return None
        return Backlog(self._waiting_since_mono, self.sampled_mono)

    def delayed(self, now_mono: float, max_age_seconds: float) -> int | None:
        return self._delayed if self._is_fresh(now_mono, max_age_seconds) else None

    def views(
        self, consumption: Consumption | None, now_mono: float, max_age_seconds: float
    ) -> list[QueueView]:
        """Return every queue of the broker's sample, and those that only workers name."""
        depths = self._depths if self._is_fresh(now_mono, max_age_seconds) else {}
        shown = _Shown(consumption, self._admission)
        return [
            QueueView(
                queue=name,
                depth=depths.get(name),
                consumers=_consumers(depths.get(name), shown.workers(name)),
                workers=shown.workers(name),
                processes=shown.processes(name),
                oldest_age_seconds=self._ages.get(name) if name in depths else None,
            )
            for name in sorted(depths.keys() | shown.names)
        ]

    def _is_fresh(self, now_mono: float, max_age_seconds: float) -> bool:
        sampled = self.sampled_mono
        return sampled is not None and now_mono - sampled <= max_age_seconds


def _add(one: QueueDepth | None, other: QueueDepth) -> QueueDepth:
    if one is None:
        return other
    return QueueDepth(
        one.ready + other.ready,
        _sum(one.unacked, other.unacked),
        _sum(one.consumers, other.consumers),
        oldest_unacked_seconds=_max(one.oldest_unacked_seconds, other.oldest_unacked_seconds),
        redelivery_risk=_sum(one.redelivery_risk, other.redelivery_risk),
    )


def _max(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else max(one, other)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _consumers(depth: QueueDepth | None, workers: int | None) -> int | None:
    """Return the broker's own count where it has one."""
    return workers if depth is None or depth.consumers is None else depth.consumers


class _Shown:
    """What the workers consume, by the queues' names on the page."""

    def __init__(self, consumption: Consumption | None, admission: Admission) -> None:
        self._is_known = consumption is not None
        self._is_complete = consumption is not None and consumption.is_complete
        self._workers: Counter[str] = Counter()
        self._processes: Counter[str] = Counter()
        if consumption is None:
            return
        for queue, workers in consumption.workers.items():
            name = admission.shown(queue)
            self._workers[name] += workers
            self._processes[name] += consumption.processes[queue]

    @property
    def names(self) -> set[str]:
        return set(self._workers)

    def workers(self, name: str) -> int | None:
        return self._workers[name] if self._can_tell(name) else None

    def processes(self, name: str) -> int | None:
        return self._processes[name] if self._can_tell(name) else None

    def _can_tell(self, name: str) -> bool:
        """A 0 is certain only if every worker has said what it consumes."""
        return self._is_known and (self._is_complete or name in self._workers)
