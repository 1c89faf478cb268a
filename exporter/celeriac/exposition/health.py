"""Probes: is the process alive, has it something true to serve, and how is each source?"""

from __future__ import annotations

import json

from celeriac.clock import Clock
from celeriac.exposition.messages import Request, Response
from celeriac.model.sources import SourceView
from celeriac.model.state import ClusterState

# What has to have succeeded once before the page is worth scraping, in the order of blame.
REQUIRED_SOURCES = ("queues", "events", "workers")
UNAVAILABLE = 503


class Health:
    """Answers the three probes from what the sources have reported."""

    def __init__(self, state: ClusterState, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self.is_stopping = False

    def live(self, _: Request) -> Response:
        """Say that the process runs; it knows nothing of the broker."""
        return Response(b"alive\n")

    def ready(self, _: Request) -> Response:
        """Say ``ready``, or one word for why not: starting, broker, auth, error, stopping."""
        reason = self._reason(self._sources())
        if reason is None:
            return Response(b"ready\n")
        return Response(f"{reason}\n".encode(), status=UNAVAILABLE)

    def health(self, _: Request) -> Response:
        """Return every source with its age in seconds, as JSON."""
        sources = self._sources()
        reason = self._reason(sources)
        body = {
            "status": "healthy" if reason is None else "unhealthy",
            "reason": reason,
            "sources": {source.source: _source(source) for source in sources},
        }
        return Response(
            json.dumps(body, indent=2).encode() + b"\n",
            "application/json",
            200 if reason is None else UNAVAILABLE,
        )

    def _sources(self) -> list[SourceView]:
        return self._state.source_views(self._clock())

    def _reason(self, sources: list[SourceView]) -> str | None:
        if self.is_stopping:
            return "stopping"
        by_name = {source.source: source for source in sources}
        reasons = (by_name[name].reason for name in REQUIRED_SOURCES)
        return next((reason for reason in reasons if reason is not None), None)


def _source(source: SourceView) -> dict[str, object]:
    return {
        "successful": source.is_successful,
        "reason": source.reason,
        "age_seconds": None if source.age_seconds is None else round(source.age_seconds, 3),
        "reconnects": source.reconnects,
    }
