"""Since when the longest-running active task of each name runs on each worker."""

from __future__ import annotations

from collections.abc import Iterable

from celeriac.model.admission import Admission
from celeriac.model.facts import WorkerReport
from celeriac.model.snapshot import OldestActive


def oldest_active(
    reports: Iterable[WorkerReport], task_names: Admission, room: int
) -> list[OldestActive]:
    """Return the longest-running active task per task and worker, as far as there is *room*."""
    oldest: dict[tuple[str, str], float] = {}
    for report in reports:
        for request in report.active or ():
            if request.started_at is not None:
                key = (task_names.shown(request.task), report.worker)
                oldest[key] = min(request.started_at, oldest.get(key, request.started_at))
    shown = list(oldest.items())[:room]
    return [OldestActive(task, worker, at) for (task, worker), at in shown]
