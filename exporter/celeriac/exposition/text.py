"""Samples as text: Prometheus' format 0.0.4 and OpenMetrics 1.0.

Written by hand because prometheus_client needs thirty times as long for the same page; it is
the reference that this is tested against.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate, islice
from typing import cast

from celeriac.exposition.families import Family
from celeriac.exposition.readers import HistogramSample, NumberSample, Sample

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
LABEL_SETS_REMEMBERED = 131_072
# Some hundred kilobytes of either.
LINES_PER_CHUNK, HISTOGRAMS_PER_CHUNK = 1000, 100
# Stands for the labels in a template.
_LABELS = b"\0"
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


def chunks(family: Family, samples: Iterable[Sample]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of *samples* some hundreds at a time: how many they are, and their text."""
    if family.kind == "histogram":
        texts = _histograms(family, cast("Iterable[HistogramSample]", samples))
        while some := list(islice(texts, HISTOGRAMS_PER_CHUNK)):
            # All histograms of a family have the same buckets.
            yield len(some) * some[0].count(b"\n"), b"".join(some)
    else:
        lines = _lines(family, cast("Iterable[NumberSample]", samples))
        while page := list(islice(lines, LINES_PER_CHUNK)):
            yield len(page), "".join(page).encode("utf-8", "replace")


def _lines(family: Family, samples: Iterable[NumberSample]) -> Iterator[str]:
    name, texts = family.name, _label_texts(family.labels)
    if not family.labels:
        return (f"{name} {number(value)}\n" for _, value in samples)
    return (
        f"{name}{{{texts[values]}}} {value if type(value) is int else number(value)}\n"
        for values, value in samples
    )


def _histograms(family: Family, samples: Iterable[HistogramSample]) -> Iterator[bytes]:
    """Yield all lines of each histogram; in bytes, which Python formats twice as fast as text."""
    texts = _label_texts(family.labels)
    bounds: tuple[float, ...] | None = None
    for values, view in samples:
        if view.bounds is not bounds:
            bounds = view.bounds
            template = _histogram_template(family, bounds)
        cumulative = tuple(accumulate(view.counts))
        numbers = template % (*cumulative, cumulative[-1], view.sum)
        # The labels last: a value of theirs may hold a percent sign.
        yield numbers.replace(_LABELS, texts[values].encode("utf-8", "replace"))


def _histogram_template(family: Family, bounds: tuple[float, ...]) -> bytes:
    """Return all lines of a histogram but for its labels and its numbers."""
    name, labels = family.name, _LABELS.decode() if family.labels else ""
    head = f"{name}_bucket{{{labels}," if labels else f"{name}_bucket{{"
    braced = f"{{{labels}}}" if labels else ""
    bound_texts = [*(number(float(bound)) for bound in bounds), "+Inf"]
    buckets = "".join(f'{head}le="{bound}"}} %d\n' for bound in bound_texts)
    return f"{buckets}{name}_count{braced} %d\n{name}_sum{braced} %a\n".encode()


class LabelTexts(dict[tuple[str, ...], str]):
    """``a="1",b="2"`` by label values, remembered: most stand in many lines, on every page."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        super().__init__()
        self._labels = labels

    def __missing__(self, values: tuple[str, ...]) -> str:
        if len(self) >= LABEL_SETS_REMEMBERED:
            self.clear()
        text = self[values] = ",".join(
            f'{label}="{value.translate(_ESCAPES)}"'
            for label, value in zip(self._labels, values, strict=True)
        )
        return text


@lru_cache(maxsize=64)
def _label_texts(labels: tuple[str, ...]) -> LabelTexts:
    return LabelTexts(labels)


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
