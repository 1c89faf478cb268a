"""What each source has reported about itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from celeriac.model.facts import Moment


@dataclass(frozen=True, slots=True)
class SourceView:
    """One source at one moment; ``reason`` is one word for why it has no success now."""

    source: str
    is_successful: bool
    duration_seconds: float | None
    last_success_at: float | None
    age_seconds: float | None
    reconnects: int
    reason: str | None


class SourceLog:
    """Success, duration and age of one source."""

    __slots__ = ("_duration_seconds", "_last_success", "_reason", "_reconnects", "_source")

    def __init__(self, source: str) -> None:
        self._source = source
        self._duration_seconds: float | None = None
        self._last_success: Moment | None = None
        self._reason: str | None = "starting"
        self._reconnects = 0

    def succeed(self, now: Moment, duration_seconds: float | None = None) -> None:
        self._last_success, self._reason = now, None
        if duration_seconds is not None:
            self._duration_seconds = duration_seconds

    def fail(self, reason: str, duration_seconds: float | None = None) -> None:
        self._reason = reason
        if duration_seconds is not None:
            self._duration_seconds = duration_seconds

    def reconnected(self) -> None:
        self._reconnects += 1

    def age_seconds(self, now: Moment) -> float | None:
        return now.mono - self._last_success.mono if self._last_success else None

    def view(self, now: Moment) -> SourceView:
        return SourceView(
            source=self._source,
            is_successful=self._reason is None,
            duration_seconds=self._duration_seconds,
            last_success_at=self._last_success.wall if self._last_success else None,
            age_seconds=self.age_seconds(now),
            reconnects=self._reconnects,
            reason=self._reason,
        )


def source_logs(sources: Iterable[str]) -> dict[str, SourceLog]:
    return {source: SourceLog(source) for source in sources}
