"""The task ids that are remembered, within bounds, without walking and without a clock."""

from __future__ import annotations

from collections.abc import Mapping

from celeriac.model.track import Track

ENDED_TASKS_REMEMBERED = 10_000


class Tracks:
    """Tracks by task id: those of unfinished tasks, and of the latest that have ended.

    Each kind has a younger and an older half; when the younger is full, the older is dropped and
    the younger takes its place. Every operation is a handful of dict operations: an ordinary dict
    with eviction in front walks over its own holes, and an ordered one needs twice the memory.
    Those that somebody else keeps in *pinned* are found as long as they are there.
    """

    __slots__ = ("_ended", "_ended_half", "_half", "_old", "_old_ended", "_pinned", "young")

    def __init__(
        self,
        capacity: int,
        ended_capacity: int = ENDED_TASKS_REMEMBERED,
        pinned: Mapping[str, Track] | None = None,
    ) -> None:
        self._pinned: Mapping[str, Track] = {} if pinned is None else pinned
        self._half = max(1, capacity // 2)
        self._ended_half = max(1, ended_capacity // 2)
        # May be read where a call of ``find`` for each event would cost too much.
        self.young: dict[str, Track] = {}
        self._old: dict[str, Track] = {}
        self._ended: dict[str, Track] = {}
        self._old_ended: dict[str, Track] = {}

    def __len__(self) -> int:
        return len(self.young) + len(self._old) + len(self._ended) + len(self._old_ended)

    def peek(self, task_id: str) -> Track | None:
        """Return what is remembered of a task id that has not ended."""
        track = self.young.get(task_id) or self._old.get(task_id)
        return track or self._pinned.get(task_id)

    def find(self, task_id: str) -> Track:
        """Return the track of *task_id*, a new one if nothing is remembered."""
        track = self.young.get(task_id) or self._old.get(task_id)
        track = track or self._ended.get(task_id) or self._old_ended.get(task_id)
        return track or self._add(task_id)

    def _add(self, task_id: str) -> Track:
        if len(self.young) >= self._half:
            self._old, self.young = self.young, {}
        track = self.young[task_id] = self._pinned.get(task_id) or Track()
        return track

    def end(self, task_id: str, track: Track) -> None:
        """Count *task_id* among the ended ones from now on."""
        is_live = self.young.pop(task_id, None) or self._old.pop(task_id, None)
        if is_live is not None:
            if len(self._ended) >= self._ended_half:
                self._old_ended, self._ended = self._ended, {}
            self._ended[task_id] = track
