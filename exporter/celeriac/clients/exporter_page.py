"""The exporter's page of metrics, read over HTTP by the names of the families needed."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from celeriac.clients.bounded_http import HttpError, HttpServer
from celeriac.errors import CeleriacError

MAX_PAGE_BYTES = 16 << 20
SAME_TIME_SECONDS = 2.0
# Every page of Celeriac's has it, with one sample for each source, from its first moment on.
LANDMARK = "celery_exporter_source_last_success_timestamp_seconds"

Labels: TypeAlias = tuple[tuple[str, str], ...]
Samples: TypeAlias = Mapping[Labels, float]


class ExporterPageError(CeleriacError):
    """The exporter gave no page that can be used: check that it runs, and its address."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page: the samples of each name, by their labels. What is not finite is left out."""

    samples: Mapping[str, Samples]
    served_at: float = 0.0
    """When, in seconds since the epoch by the exporter's clock."""

    def of(self, name: str) -> Samples:
        """Return the samples of this name, none if it is absent."""
        return self.samples.get(name, {})

    def one(self, name: str) -> float | None:
        """Return the only sample of a name without labels."""
        return self.of(name).get(())

    def by(self, name: str, label: str) -> dict[str, float]:
        """Return the samples of a name by the value of one label."""
        return {value_of(labels, label): value for labels, value in self.of(name).items()}


def value_of(labels: Labels, label: str) -> str:
    """Return the value of one label, empty if there is none."""
    return next((value for name, value in labels if name == label), "")


class ExporterPage:
    """Where the page is. Safe for several threads."""

    def __init__(
        self,
        url: str,
        *,
        ca_file: Path | None = None,
        timeout_seconds: float = 2.0,
        max_bytes: int = MAX_PAGE_BYTES,
    ) -> None:
        """Take the exporter's URL, with or without ``/metrics``, user and password if need be."""
        self._server = HttpServer(url, max_bytes, ca_file)
        self._path = "" if urlsplit(url).path.strip("/") else "/metrics"
        self._timeout_seconds = timeout_seconds

    def fetch(self, names: Sequence[str]) -> Page:
        """Return the families of these names. Errors: ExporterPageError."""
        wanted = [("name[]", name) for name in (LANDMARK, *names)]
        try:
            answer = self._server.get(self._path, time.monotonic() + self._timeout_seconds, wanted)
        except HttpError as error:
            raise ExporterPageError(f"the exporter cannot be read: {error}") from error
        if answer.status != HTTPStatus.OK:
            raise ExporterPageError(f"the exporter answers {answer.status}")
        try:
            samples = parse(answer.body.decode())
        except ValueError as error:
            raise ExporterPageError(f"the exporter's page cannot be read: {error}") from error
        return Page(samples, _served_at(answer.headers.get("Date", ""), time.time()))


def _served_at(date: str, now_wall: float) -> float:
    """Return the exporter's time: ours, which is finer than its header, unless they differ."""
    try:
        told = parsedate_to_datetime(date).timestamp()
    except ValueError:
        return now_wall
    return now_wall if abs(now_wall - told) <= SAME_TIME_SECONDS else told


_SAMPLE = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')
_ESCAPE = re.compile(r"\\(.)")


def parse(text: str) -> dict[str, dict[Labels, float]]:
    """Return a page in Prometheus' text format; buckets are skipped. Errors: ValueError."""
    samples: dict[str, dict[Labels, float]] = {}
    for line in text.split("\n"):
        if not line or line[0] == "#" or line.partition("{")[0].endswith("_bucket"):
            continue
        found = _SAMPLE.fullmatch(line)
        if found is None:
            raise ValueError("a line is no sample")
        name, labels, value = found.groups()
        number = float(value)
        if math.isfinite(number):
            samples.setdefault(name, {})[_labels(labels) if labels else ()] = number
    if LANDMARK not in samples:
        raise ValueError("it is not Celeriac's, or not with its own names (--compat)")
    return samples


@lru_cache(1 << 15)
def _labels(text: str) -> Labels:
    pairs, end = [], 0
    while end < len(text):
        found = _LABEL.match(text, end)
        if found is None:
            raise ValueError("a label cannot be read")
        pairs.append((found[1], _ESCAPE.sub(_unescaped, found[2])))
        end = found.end()
    return tuple(pairs)


def _unescaped(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]
