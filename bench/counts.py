"""What was counted beside what was sent: a figure of wrong counts is worth nothing."""

from __future__ import annotations

from collections import Counter


class WrongCountError(Exception):
    """A consumer counted other events than were sent."""

    def __init__(self, consumer: str, counted: Counter[str], sent: Counter[str]) -> None:
        differences = (
            f"{kind}: sent {sent[kind]:,}, counted {counted[kind]:,}"
            for kind in sorted(sent.keys() | counted.keys())
            if sent[kind] != counted[kind]
        )
        super().__init__(f"{consumer} miscounted: {'; '.join(differences)}")


def check(consumer: str, counted: Counter[str], sent: Counter[str]) -> None:
    """Raise WrongCountError unless every type was counted as often as it was sent."""
    if counted != sent:
        raise WrongCountError(consumer, counted, sent)


def share_counted(counted: Counter[str], sent: Counter[str]) -> float:
    """Return which share of the task events was counted, the only ones on every page."""
    return _task_events(counted) / _task_events(sent)


def _task_events(counts: Counter[str]) -> int:
    return sum(count for kind, count in counts.items() if kind.startswith("task-"))
