"""Both formats against prometheus_client: its parsers, and its own rendering of the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

import pytest
from cluster import Cluster
from filled import filled, page_of, text_of
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import exposition as reference_text
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as reference_openmetrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.utils import floatToGoString

from celeriac.exposition import compat
from celeriac.exposition.families import FAMILIES, SERIES, Family
from celeriac.exposition.readers import Sample
from celeriac.exposition.text import chunks, header, number
from celeriac.model.histogram import HistogramView

COUNT_GAUGE = "celery_worker_prefetch_count"
Comparable = dict[tuple[str, frozenset[tuple[str, str]]], str]
both_formats = pytest.mark.parametrize("is_openmetrics", [False, True], ids=["text", "openmetrics"])
both_tables = pytest.mark.parametrize(
    "families", [FAMILIES, compat.FAMILIES], ids=["own", "compat"]
)


class Reference:
    """The same samples as prometheus_client would render them."""

    def __init__(self, families: Iterable[tuple[Family, list[Sample]]]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        for family, samples in self._families:
            yield _metric(family, samples)


def _metric(family: Family, samples: list[Sample]) -> Metric:
    kinds: dict[str, Any] = {
        "counter": CounterMetricFamily,
        "gauge": GaugeMetricFamily,
        "histogram": HistogramMetricFamily,
    }
    metric = kinds[family.kind](family.name, family.help, labels=family.labels)
    for labels, value in samples:
        if isinstance(value, HistogramView):
            bounds = [floatToGoString(bound) for bound in (*value.bounds, math.inf)]
            buckets = list(zip(bounds, accumulate(value.counts), strict=True))
            metric.add_metric(labels, buckets, value.sum)
        else:
            metric.add_metric(labels, value)
    return metric  # type: ignore[no-any-return]


def rendered_by_reference(
    families: Iterable[tuple[Family, list[Sample]]], *, is_openmetrics: bool
) -> str:
    registry = CollectorRegistry()
    registry.register(Reference(families))  # type: ignore[arg-type]
    module = reference_openmetrics if is_openmetrics else reference_text
    return bytes(module.generate_latest(registry)).decode()


def rendered(family: Family, samples: Iterable[Sample], *, is_openmetrics: bool) -> str:
    text = header(family, is_openmetrics=is_openmetrics) + lines(family, samples)
    return text + ("# EOF\n" if is_openmetrics else "")


def lines(family: Family, samples: Iterable[Sample]) -> str:
    return b"".join(chunk for _, chunk in chunks(family, samples)).decode()


def comparable(text: str, *, is_openmetrics: bool) -> Comparable:
    """Return every sample that a parser reads in *text*; numbers as text, for NaN's sake."""
    parse = parse_openmetrics if is_openmetrics else parse_text
    return {
        (sample.name, frozenset(map(_as_number_if_le, sample.labels.items()))): repr(
            float(sample.value)
        )
        for metric in parse(text)
        for sample in metric.samples
    }


def _as_number_if_le(label: tuple[str, str]) -> tuple[str, str]:
    name, value = label
    return (name, repr(float(value))) if name == "le" else label


def described(text: str, *, is_openmetrics: bool) -> dict[str, tuple[str, str]]:
    """Return type and help by family."""
    parse = parse_openmetrics if is_openmetrics else parse_text
    return {metric.name: (metric.type, metric.documentation) for metric in parse(text)}


def own_part(text: str) -> str:
    """Return a page without the families that prometheus_client itself has written."""
    return text.partition("# HELP process_")[0].removesuffix("# EOF\n")


# -- the whole page --------------------------------------------------------------------------


@both_formats
@both_tables
def test_a_page_reads_as_the_references_own(
    families: tuple[Family, ...], is_openmetrics: bool
) -> None:
    cluster = filled()
    page = text_of(page_of(cluster, families), is_openmetrics=is_openmetrics)
    snapshot = cluster.snapshot()
    expected = rendered_by_reference(
        [(family, list(family.read(snapshot))) for family in families],
        is_openmetrics=is_openmetrics,
    )
    read = comparable(page, is_openmetrics=is_openmetrics)
    own = {key: value for key, value in read.items() if not key[0].startswith("process_")}
    own.pop((SERIES.name, frozenset()), None)
    assert own == comparable(expected, is_openmetrics=is_openmetrics)


@both_formats
def test_a_page_describes_its_families_as_the_reference_does(is_openmetrics: bool) -> None:
    page = text_of(page_of(filled()), is_openmetrics=is_openmetrics)
    snapshot = filled().snapshot()
    expected = rendered_by_reference(
        [(family, list(family.read(snapshot))) for family in FAMILIES],
        is_openmetrics=is_openmetrics,
    )
    read = described(page, is_openmetrics=is_openmetrics)
    own = {name: what for name, what in read.items() if not name.startswith("process_")}
    theirs = described(expected, is_openmetrics=is_openmetrics)
    if not is_openmetrics:
        # promtool takes a gauge of such a name for a broken histogram.
        theirs[COUNT_GAUGE] = ("unknown", theirs[COUNT_GAUGE][1])
    assert own == theirs


@both_formats
@both_tables
def test_an_empty_page_can_be_read(families: tuple[Family, ...], is_openmetrics: bool) -> None:
    page = text_of(page_of(Cluster(), families), is_openmetrics=is_openmetrics)
    assert comparable(page, is_openmetrics=is_openmetrics)


def test_a_page_has_no_created_series() -> None:
    for is_openmetrics in (False, True):
        assert "_created" not in text_of(page_of(filled()), is_openmetrics=is_openmetrics)


def test_an_openmetrics_page_ends_once() -> None:
    page = text_of(page_of(filled()), is_openmetrics=True)
    assert page.endswith("# EOF\n")
    assert page.count("# EOF") == 1


def test_a_text_page_has_no_end_mark() -> None:
    assert "# EOF" not in text_of(page_of(filled()))


@both_formats
def test_the_lines_of_a_family_stand_together(is_openmetrics: bool) -> None:
    page = own_part(text_of(page_of(filled()), is_openmetrics=is_openmetrics))
    helps = [line.split()[2] for line in page.splitlines() if line.startswith("# HELP")]
    assert len(helps) == len(set(helps))
    current = ""
    for line in page.splitlines():
        if line.startswith("#"):
            current = line.split()[2]
        else:
            assert line.startswith(current), line


@pytest.mark.parametrize("kind", ["counter", "gauge"])
def test_openmetrics_names_a_counter_without_total(kind: str) -> None:
    family = Family(f"x_{kind}_total", kind, "Help", (), lambda _: ())  # type: ignore[arg-type]
    name = f"x_{kind}" if kind == "counter" else f"x_{kind}_total"
    assert header(family, is_openmetrics=True).startswith(f"# HELP {name} Help\n# TYPE {name} ")
    assert header(family, is_openmetrics=False).startswith(f"# HELP x_{kind}_total ")


# -- any label, any number --------------------------------------------------------------------

label_values = st.text() | st.text(st.sampled_from('"\\\n\r\t\0 ={},#\u200f\u00e9')) | st.just("")
numbers = st.floats() | st.integers(-(2**70), 2**70) | st.booleans()
GAUGE = Family("a_gauge", "gauge", "A gauge", ("one", "two"), lambda _: ())
COUNTER = Family("a_counter_total", "counter", "A counter", ("one", "two"), lambda _: ())
HISTOGRAM = Family("a_histogram_seconds", "histogram", "A histogram", ("one",), lambda _: ())
PLAIN_HISTOGRAM = Family("a_histogram_seconds", "histogram", "A histogram", (), lambda _: ())
pairs = st.tuples(label_values, label_values)


@both_formats
@given(samples=st.dictionaries(pairs, numbers, max_size=5))
def test_any_gauge_reads_as_the_references_own(
    samples: dict[tuple[str, str], float], is_openmetrics: bool
) -> None:
    _assert_equal(GAUGE, list(samples.items()), is_openmetrics)


counts = st.floats(0, allow_nan=False, allow_infinity=False) | st.integers(0, 2**60)


@both_formats
@given(samples=st.dictionaries(pairs, counts, max_size=5))
def test_any_counter_reads_as_the_references_own(
    samples: dict[tuple[str, str], float], is_openmetrics: bool
) -> None:
    _assert_equal(COUNTER, list(samples.items()), is_openmetrics)


@both_formats
@given(data=st.data())
def test_any_histogram_reads_as_the_references_own(
    data: st.DataObject, is_openmetrics: bool
) -> None:
    bound = st.floats(1e-9, 1e9)
    bounds = sorted(data.draw(st.sets(bound, min_size=1, max_size=5)))
    bucket = st.integers(0, 2**40)
    counts = data.draw(st.lists(bucket, min_size=len(bounds) + 1, max_size=len(bounds) + 1))
    view = HistogramView(tuple(bounds), tuple(counts), data.draw(st.floats(0, 1e12)))
    family, labels = data.draw(
        st.sampled_from([(PLAIN_HISTOGRAM, st.just(())), (HISTOGRAM, st.tuples(label_values))])
    )
    _assert_equal(family, [(data.draw(labels), view)], is_openmetrics)


def _assert_equal(family: Family, samples: list[Sample], is_openmetrics: bool) -> None:
    ours = rendered(family, samples, is_openmetrics=is_openmetrics)
    theirs = rendered_by_reference([(family, samples)], is_openmetrics=is_openmetrics)
    assert comparable(ours, is_openmetrics=is_openmetrics) == comparable(
        theirs, is_openmetrics=is_openmetrics
    )
    values = {value for labels, _ in samples for value in labels}
    read = comparable(ours, is_openmetrics=is_openmetrics)
    assert values == {value for _, labels in read for name, value in labels if name != "le"}


@given(st.floats() | st.integers())
def test_a_number_reads_as_itself(value: float) -> None:
    assert repr(float(number(value))) == repr(float(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (True, "1"),
        (1.5, "1.5"),
        (-0.0, "-0.0"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
        (2**70, str(2**70)),
    ],
)
def test_a_number_is_written_as_both_formats_want_it(value: float, text: str) -> None:
    assert number(value) == text


def test_a_label_value_is_escaped() -> None:
    line = lines(GAUGE, [(('say "\\"', "two\nlines"), 1)])
    assert line == 'a_gauge{one="say \\"\\\\\\"",two="two\\nlines"} 1\n'


def test_a_help_is_escaped() -> None:
    family = Family("x", "gauge", "back\\slash\nnew line", (), lambda _: ())
    assert (
        header(family, is_openmetrics=False).splitlines()[0] == "# HELP x back\\\\slash\\nnew line"
    )


def test_the_buckets_of_a_histogram_are_cumulative() -> None:
    view = HistogramView((0.1, 1.0), (3, 2, 1), 4.5)
    text = lines(HISTOGRAM, [(("x",), view)])
    assert text == (
        'a_histogram_seconds_bucket{one="x",le="0.1"} 3\n'
        'a_histogram_seconds_bucket{one="x",le="1.0"} 5\n'
        'a_histogram_seconds_bucket{one="x",le="+Inf"} 6\n'
        'a_histogram_seconds_count{one="x"} 6\n'
        'a_histogram_seconds_sum{one="x"} 4.5\n'
    )


def test_56_a_name_from_hostile_bytes_makes_a_page_that_can_be_read() -> None:
    cluster = Cluster()
    for uuid, name in enumerate(('"', "\\", "\n", "\0", "\ud800", "\u200f", "{}", "#", "a=b")):
        cluster.sent(str(uuid), name, name)
        cluster.heartbeat(f"{name}@{name}", sw_ver=name)
    for is_openmetrics in (False, True):
        page = text_of(page_of(cluster), is_openmetrics=is_openmetrics)
        read = comparable(page, is_openmetrics=is_openmetrics)
        sent = [labels for name, labels in read if name == "celery_task_sent_total"]
        assert len(sent) == 9
