"""Samples as text: Prometheus' format 0.0.4 and OpenMetrics 1.0.

Written by hand because prometheus_client needs a hundred times as long for the same page; it is
the reference that this is tested against.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate

from celeriac.exposition.families import Family
from celeriac.exposition.readers import Sample
from celeriac.model.histogram import HistogramView

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
LABEL_SETS_REMEMBERED = 131_072
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def header(family: Family, *, is_openmetrics: bool) -> str:
    """Return the HELP and TYPE lines; OpenMetrics names a counter without its ``_total``."""
    name = family.name
    if is_openmetrics and family.kind == "counter":
        name = name.removesuffix("_total")
    kind: str = family.kind
    if not is_openmetrics and kind == "gauge" and name.endswith("_count"):
        # promtool calls a gauge of such a name a broken histogram; the name is a contract.
        kind = "untyped"
    help_text = family.help.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n"


def sample_lines(family: Family, samples: Iterable[Sample]) -> Iterator[str]:
    """Yield the lines of *samples*, one text for each sample, of one or more lines."""
    name, labels = family.name, family.labels
    for values, value in samples:
        text = label_text(labels, values)
        if isinstance(value, HistogramView):
            yield _histogram_lines(name, text, value)
        elif text:
            yield f"{name}{{{text}}} {number(value)}\n"
        else:
            yield f"{name} {number(value)}\n"


def _histogram_lines(name: str, labels: str, view: HistogramView) -> str:
    cumulative = list(accumulate(view.counts))
    prefix = f"{name}_bucket{{{labels},le=" if labels else f"{name}_bucket{{le="
    buckets = "".join(
        f"{prefix}{bound}}} {count}\n"
        for bound, count in zip(_bound_texts(tuple(view.bounds)), cumulative, strict=True)
    )
    braced = f"{{{labels}}}" if labels else ""
    return (
        f"{buckets}{name}_count{braced} {cumulative[-1]}\n{name}_sum{braced} {number(view.sum)}\n"
    )


@lru_cache(maxsize=LABEL_SETS_REMEMBERED)
def label_text(labels: Sequence[str], values: Sequence[str]) -> str:
    """Return ``a="1",b="2"``, remembered: most label sets stand in many lines, on every page."""
    return ",".join(
        f'{label}="{value.translate(_ESCAPES)}"'
        for label, value in zip(labels, values, strict=True)
    )


@lru_cache(maxsize=64)
def _bound_texts(bounds: tuple[float, ...]) -> tuple[str, ...]:
    return (*(f'"{number(float(bound))}"' for bound in bounds), '"+Inf"')


def number(value: float) -> str:
    """Return *value* as both formats write it; a whole number stays without a point."""
    if math.isfinite(value):
        return repr(+value)
    return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"


def wants_openmetrics(accept: str) -> bool:
    """Return whether an ``Accept`` header prefers OpenMetrics 1.0 to the text format."""
    openmetrics = plain = 0.0
    for part in accept.lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        quality = _quality(parameters)
        if media_type == "application/openmetrics-text" and "version=0.0.1" not in parameters:
            openmetrics = max(openmetrics, quality)
        elif media_type == "text/plain":
            plain = max(plain, quality)
    return openmetrics > 0 and openmetrics >= plain


def _quality(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
