"""What Prometheus' HTTP API answers, and everything that can be wrong with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from celeriac.errors import CeleriacError

Milliseconds: TypeAlias = int
Labels: TypeAlias = frozenset[tuple[str, str]]
Point: TypeAlias = tuple[Milliseconds, float]


class Span(NamedTuple):
    """A time: all that comes after its start, up to and with its end."""

    start: Milliseconds
    end: Milliseconds


class PrometheusError(CeleriacError):
    """Prometheus could not be asked."""


class PrometheusUnavailableError(PrometheusError):
    """Prometheus is away: check that it runs, its address and the network between."""


class PrometheusAnswerError(PrometheusError):
    """Prometheus answered with something that cannot be used: check what is at its address."""


class PrometheusTooSlowError(PrometheusError):
    """Prometheus needed too long: ask for a shorter time, or allow more."""


class Series(NamedTuple):
    """The points of one series, oldest first, all of them finite."""

    name: str
    """Empty where the query's function drops it."""
    labels: Labels
    points: Sequence[Point]


Metrics: TypeAlias = dict[bytes, tuple[str, Labels]]
"""Name and labels by their text: the same ones come in answer after answer."""


class _Row(msgspec.Struct, gc=False):
    metric: msgspec.Raw
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct):
    result: list[_Row]


class _Answer(msgspec.Struct):
    status: str
    data: _Data | None = None
    warnings: list[str] = []
    is_partial: bool = msgspec.field(default=False, name="isPartial")


_DECODER = msgspec.json.Decoder(_Answer)
_METRIC_DECODER = msgspec.json.Decoder(dict[str, str])


def check_status(status: int, body: bytes) -> None:
    """Raise PrometheusError for any status but 200."""
    if status == 200:
        return
    if b'"errorType":"timeout"' in body:
        raise PrometheusTooSlowError("Prometheus gave up a query that took too long")
    if status in {429, 502, 503, 504}:
        raise PrometheusUnavailableError(f"Prometheus is away, it answers {status}")
    raise PrometheusAnswerError(f"Prometheus answers {status}")


def decode(body: bytes, known: Metrics) -> list[Series]:
    """Return the series of a vector or a matrix; *known* holds metrics of answers before.

    Errors: PrometheusAnswerError.
    """
    try:
        answer = _DECODER.decode(body)
        _check(answer)
        return [_series(row, known) for row in answer.data.result] if answer.data else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise PrometheusAnswerError("Prometheus' answer cannot be read") from None
    except (ValueError, OverflowError):
        raise PrometheusAnswerError("Prometheus' answer has values that are no numbers") from None


def _check(answer: _Answer) -> None:
    if answer.status != "success" or answer.data is None:
        raise PrometheusAnswerError("Prometheus refuses the query")
    if answer.warnings or answer.is_partial:
        # A total that lacks the samples of one store is wrong and does not look so.
        raise PrometheusAnswerError("Prometheus' answer is partial")


def _series(row: _Row, known: Metrics) -> Series:
    metric = bytes(row.metric)
    if metric not in known:
        labels = _METRIC_DECODER.decode(metric)
        known[metric] = labels.pop("__name__", ""), frozenset(labels.items())
    values = row.values if row.value is None else (row.value,)
    points = [(round(at * 1000), float(text)) for at, text in values]
    # One look at all of them: millions come.
    if not math.isfinite(sum([value for _, value in points])):
        points = [point for point in points if math.isfinite(point[1])]
    return Series(*known[metric], points)
