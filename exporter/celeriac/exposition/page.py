"""The page of metrics: one snapshot, rendered from memory, never failing, never waiting."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client import exposition as text
from prometheus_client.openmetrics import exposition as openmetrics

from celeriac.clock import Clock
from celeriac.exposition.families import SERIES, Family
from celeriac.exposition.messages import Request, Response
from celeriac.exposition.readers import Sample
from celeriac.exposition.text import (
    OPENMETRICS_TYPE,
    TEXT_TYPE,
    chunks,
    header,
    wants_openmetrics,
)
from celeriac.model.state import ClusterState

_SUFFIXES = ("_bucket", "_count", "_sum", "_total")
# Sent by Prometheus, and by what scrapes in its place.
SCRAPE_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"


class MetricsPage:
    """Answers ``/metrics``, whole or restricted by ``name[]``."""

    def __init__(self, state: ClusterState, clock: Clock, families: Sequence[Family]) -> None:
        self._state = state
        self._clock = clock
        self._families = families
        self._process = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self._process)
        self._series = 0

    def respond(self, request: Request) -> Response:
        """Return the page in the format that *request* prefers."""
        names = frozenset(request.query.get("name[]", ()))
        is_openmetrics = wants_openmetrics(request.headers.get("Accept", ""))
        # Whoever asks for a few families himself wants the truth, and keeps no history.
        is_scrape = not names or SCRAPE_HEADER in request.headers
        return Response(
            self.render(names, is_scrape=is_scrape, is_openmetrics=is_openmetrics),
            OPENMETRICS_TYPE if is_openmetrics else TEXT_TYPE,
        )

    def render(
        self,
        names: Collection[str] = (),
        *,
        is_scrape: bool = True,
        is_openmetrics: bool = False,
    ) -> Iterator[bytes]:
        """Yield the page in chunks; *names* of families or of samples restrict it."""
        families = [family for family in self._families if _is_wanted(family, names)]
        snapshot = self._state.snapshot(self._clock(), is_scrape=is_scrape)
        series = 0
        for family in families:
            if family is SERIES:
                samples: Iterable[Sample] = [((), self._series if names else series)]
            else:
                samples = family.read(snapshot)
            yield header(family, is_openmetrics=is_openmetrics).encode()
            for lines, chunk in chunks(family, samples):
                series += lines
                yield chunk
        if not names:
            self._series = series - 1
        yield self._process_metrics(names, is_openmetrics=is_openmetrics)

    def _process_metrics(self, names: Collection[str], *, is_openmetrics: bool) -> bytes:
        registry = self._process.restricted_registry(names) if names else self._process
        generate = openmetrics.generate_latest if is_openmetrics else text.generate_latest
        return bytes(generate(registry))


def _is_wanted(family: Family, names: Collection[str]) -> bool:
    if not names or family.name in names:
        return True
    base = family.name.removesuffix("_total")
    return any(base + suffix in names for suffix in ("", *_SUFFIXES))
