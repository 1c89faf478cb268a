"""What a drill is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drills.scene import Scene

Act = Callable[[Scene], object]


def nothing(_: Scene) -> None:
    """There is nothing to do."""


@dataclass(frozen=True)
class Drill:
    """One fault. ``tells`` is the alert that has to arrive; ``holds_back`` are those that must not.

    ``with_it`` may arrive too, because it is another thing that people have to know of. A fault
    without a ``repair`` passes by itself; ``prepare`` is what is still healthy, and takes no time.
    """

    fault: str
    tells: str
    cause: Act
    repair: Act = nothing
    prepare: Act = nothing
    holds_back: frozenset[str] = frozenset()
    with_it: frozenset[str] = frozenset()
    within_seconds: float = 30.0
    is_short: bool = False
