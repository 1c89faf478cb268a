"""How often one caller may call."""

from __future__ import annotations

import math
import time

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from celeriac.sidecar.problems import ProblemError


class RateLimit:
    """So many calls in so much time for each key, for instance ``60000/minute``."""

    def __init__(self, rate: str) -> None:
        self._rate = parse(rate)
        self._windows = FixedWindowRateLimiter(MemoryStorage())

    def hit(self, key: str) -> None:
        """Count one call. Errors: ProblemError 429."""
        if not self._windows.hit(self._rate, key):
            ends_at = self._windows.get_window_stats(self._rate, key).reset_time
            wait_seconds = max(1, math.ceil(ends_at - time.time()))
            problem = "too many requests; wait as long as Retry-After says"
            raise ProblemError(429, problem, {"Retry-After": str(wait_seconds)})
