"""The system's two clocks as one reading."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

from celeriac.model.facts import Moment

Clock: TypeAlias = Callable[[], Moment]


def system_clock() -> Moment:
    """Return this moment by the system's wall clock and its monotonic clock."""
    return Moment(time.time(), time.monotonic())
