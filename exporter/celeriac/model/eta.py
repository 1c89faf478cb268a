"""When a task may run at the earliest, as messages and events write it."""

from __future__ import annotations

from datetime import UTC, datetime


def epoch_seconds(eta: object) -> float | None:
    """Return the instant of an ISO 8601 text, read as UTC when it has no offset."""
    if not isinstance(eta, str):
        return None
    try:
        parsed = datetime.fromisoformat(eta)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
