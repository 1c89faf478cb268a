"""The queues: depth from the broker, consumers and processes from the workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from celeriac.model.admission import OVERFLOW, Admission, SeriesBudget
from celeriac.model.facts import QueueDepth, QueueSample, WorkerReport
from celeriac.model.snapshot import QueueView

SERIES_PER_QUEUE = 8
HOLDER = "queues"


class QueueBook:
    """The last sample of the queues, replaced whole by the next one."""

    def __init__(self, admission: Admission, budget: SeriesBudget) -> None:
        self._admission = admission
        self._budget = budget
        self._depths: Mapping[str, QueueDepth] = {}
        self._sampled_mono: float | None = None
        self._delayed: int | None = None

    @property
    def names(self) -> set[str] | None:
        """Return the names of all queues in the last sample, None before the first."""
        return None if self._sampled_mono is None else set(self._depths)

    def replace(self, sample: QueueSample, kept_by_others: set[str], now_mono: float) -> None:
        """Replace everything; a queue that is in *kept_by_others* keeps its label value."""
        self._admission.keep_only(set(sample.depths) | kept_by_others)
        self._budget.give_back(HOLDER, SERIES_PER_QUEUE * len(self._depths))
        admitted: dict[str, QueueDepth] = {}
        for queue, depth in sorted(sample.depths.items()):
            shown = self._admission.admit(queue)
            if shown != OVERFLOW and not self._budget.has_room_for(
                SERIES_PER_QUEUE * (len(admitted) + 1)
            ):
                shown = OVERFLOW
            admitted[shown] = _add(admitted.get(shown), depth)
        self._budget.take(HOLDER, SERIES_PER_QUEUE * len(admitted))
        self._depths, self._delayed, self._sampled_mono = admitted, sample.delayed, now_mono

    def delayed(self, now_mono: float, max_age_seconds: float) -> int | None:
        return self._delayed if self._is_fresh(now_mono, max_age_seconds) else None

    def views(
        self, reports: Iterable[WorkerReport], now_mono: float, max_age_seconds: float
    ) -> list[QueueView]:
        """Return every queue of the broker's sample, and those that only workers name."""
        depths = self._depths if self._is_fresh(now_mono, max_age_seconds) else {}
        consumers: Counter[str] = Counter()
        processes: Counter[str] = Counter()
        has_reports = False
        for report in reports:
            has_reports = has_reports or report.bindings is not None
            for queue in report.queues or ():
                shown = queue if queue in self._admission else OVERFLOW
                consumers[shown] += 1
                processes[shown] += report.stats.pool_processes if report.stats else 0
        names = sorted(depths.keys() | consumers.keys())
        return [
            QueueView(
                queue=name,
                depth=depths.get(name),
                consumers=_consumers(depths.get(name), consumers[name], has_reports),
                workers=consumers[name] if has_reports else None,
                processes=processes[name] if has_reports else None,
            )
            for name in names
        ]

    def _is_fresh(self, now_mono: float, max_age_seconds: float) -> bool:
        sampled = self._sampled_mono
        return sampled is not None and now_mono - sampled <= max_age_seconds


def _add(one: QueueDepth | None, other: QueueDepth) -> QueueDepth:
    if one is None:
        return other
    return QueueDepth(
        one.ready + other.ready,
        _sum(one.unacked, other.unacked),
        _sum(one.consumers, other.consumers),
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _consumers(depth: QueueDepth | None, workers: int, has_reports: bool) -> int | None:
    if depth is not None and depth.consumers is not None:
        return depth.consumers
    return workers if has_reports else None
