"""How names, counts and durations read in a sentence."""

from __future__ import annotations

from collections.abc import Iterable

MAX_NAMES = 5
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def listed(names: Iterable[object], limit: int = MAX_NAMES) -> str:
    """Return ``a, b and c``, or the first few ``and 7 more``; names are sorted."""
    words = sorted(map(str, names))
    if len(words) > limit:
        return f"{', '.join(words[:limit])} and {len(words) - limit} more"
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def several(count: float, noun: str) -> str:
    """Return ``1 worker``, ``3 workers``."""
    return f"{count:,g} {noun}" if count == 1 else f"{count:,.0f} {noun}s"


def span(seconds: float) -> str:
    """Return a duration with the unit that a person would choose."""
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
