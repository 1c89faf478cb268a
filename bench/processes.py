"""What a process costs, as the kernel accounts for it."""

from __future__ import annotations

import re
import time
from pathlib import Path

_CPUCLOCK_SCHED = 2
_IDLE_SHARE = 0.05
_IDLE_SECONDS = 1.0


def cpu_seconds(pid: int) -> float:
    """Return user and system time of the process and of its threads, ended ones too.

    This is clock_getcpuclockid(3), which Python has for threads only: ``/proc/PID/stat`` counts
    in ticks of 10 ms, and a short run of a fast consumer takes ten of them.
    """
    return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)


def rss_megabytes(pid: int) -> float:
    """Return the resident memory of the process."""
    return _status(pid, "VmRSS")


def peak_rss_megabytes(pid: int) -> float:
    """Return the largest resident memory the process ever had."""
    return _status(pid, "VmHWM")


def wait_until_idle(pid: int, timeout_seconds: float = 900.0) -> float:
    """Wait until the process has nothing to do for a second; return its CPU seconds by then."""
    deadline = time.monotonic() + timeout_seconds
    last = cpu_seconds(pid)
    while time.monotonic() < deadline:
        time.sleep(_IDLE_SECONDS)
        now = cpu_seconds(pid)
        if now - last < _IDLE_SHARE * _IDLE_SECONDS:
            return now
        last = now
    raise TimeoutError(f"process {pid} still works after {timeout_seconds:g} s")


def _status(pid: int, key: str) -> float:
    found = re.search(rf"{key}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    if found is None:
        raise LookupError(key)
    return int(found[1]) / 1024
