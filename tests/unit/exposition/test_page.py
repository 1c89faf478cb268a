"""What ``/metrics`` answers: which part of the page, in which format."""

from __future__ import annotations

import pytest
from cluster import Cluster
from filled import filled, page_of, text_of
from prometheus_client.parser import text_string_to_metric_families as parse

from celeriac.exposition.families import FAMILIES
from celeriac.exposition.messages import Headers, Request, Response
from celeriac.exposition.page import MetricsPage
from celeriac.exposition.text import OPENMETRICS_TYPE, TEXT_TYPE, wants_openmetrics

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_WITH_NATIVE_HISTOGRAMS = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
    f"q=0.7,{PROMETHEUS_3}"
)
PROMETHEUS_TEXT_ONLY = "text/plain;version=0.0.4;q=0.5,*/*;q=0.2"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "is_openmetrics"),
    [
        (PROMETHEUS_2, True),
        (PROMETHEUS_3, True),
        (PROMETHEUS_WITH_NATIVE_HISTOGRAMS, True),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", True),
        ("APPLICATION/OpenMetrics-Text;Q=0.5", True),
        ("application/openmetrics-text , text/plain;q=0.5", True),
        ("text/plain;q=0.5,application/openmetrics-text;q=0.5", True),
        (" application/openmetrics-text ; q = 0.9 , text/plain ; q = 0.1 ", True),
        (PROMETHEUS_TEXT_ONLY, False),
        (BROWSER, False),
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.0, */*", False),
        ("application/openmetrics-text;q=0.4,text/plain;q=0.5", False),
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;q=nan", False),
        ("application/openmetrics-text;q=high", False),
        ("application/openmetrics", False),
        (",;=,;q=", False),
    ],
)
def test_the_format_is_the_one_that_the_client_prefers(accept: str, is_openmetrics: bool) -> None:
    assert wants_openmetrics(accept) is is_openmetrics


def respond(page: MetricsPage, accept: str = "", **query: list[str]) -> Response:
    names = {f"{key}[]": values for key, values in query.items()}
    return page.respond(Request("/metrics", names, Headers([("accept", accept)])))


def body(response: Response) -> str:
    assert not isinstance(response.body, bytes)
    return b"".join(response.body).decode()


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [(PROMETHEUS_3, OPENMETRICS_TYPE), (PROMETHEUS_TEXT_ONLY, TEXT_TYPE)],
)
def test_the_answer_says_which_format_it_has(accept: str, content_type: str) -> None:
    response = respond(page_of(filled()), accept)
    assert (response.status, response.content_type) == (200, content_type)
    assert body(response).endswith("# EOF\n") is (content_type == OPENMETRICS_TYPE)


def families_in(text: str) -> set[str]:
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}


def test_a_whole_page_has_every_family_and_the_process() -> None:
    shown = families_in(text_of(page_of(filled())))
    assert {family.name for family in FAMILIES} <= shown
    assert {"celery_exporter_series", "process_resident_memory_bytes"} <= shown


@pytest.mark.parametrize(
    "name",
    [
        "celery_task_runtime_seconds",
        "celery_task_runtime_seconds_bucket",
        "celery_task_runtime_seconds_count",
        "celery_task_runtime_seconds_sum",
    ],
)
def test_a_histogram_is_found_by_its_name_or_that_of_a_sample(name: str) -> None:
    text = body(respond(page_of(filled()), name=[name]))
    assert families_in(text) == {"celery_task_runtime_seconds"}
    assert "celery_task_runtime_seconds_bucket{" in text


@pytest.mark.parametrize("name", ["celery_task_sent", "celery_task_sent_total"])
@pytest.mark.parametrize("accept", [PROMETHEUS_3, ""], ids=["openmetrics", "text"])
def test_a_counter_is_found_by_its_name_or_that_of_its_sample(name: str, accept: str) -> None:
    text = body(respond(page_of(filled()), accept, name=[name]))
    assert len(families_in(text)) == 1
    assert "celery_task_sent_total{" in text


def test_several_names_give_several_families() -> None:
    names = ["celery_queue_length", "celery_broker_up", "celery_exporter_series"]
    assert families_in(body(respond(page_of(filled()), name=names))) == set(names)


@pytest.mark.parametrize("name", ["process_start_time_seconds", "process_cpu_seconds_total"])
def test_a_family_of_the_process_is_found_by_name(name: str) -> None:
    text = body(respond(page_of(filled()), name=[name]))
    assert families_in(text) == {name}


@pytest.mark.parametrize("accept", [PROMETHEUS_3, ""], ids=["openmetrics", "text"])
def test_a_name_that_does_not_exist_gives_an_empty_page(accept: str) -> None:
    text = body(respond(page_of(filled()), accept, name=["up"]))
    assert text in ("", "# EOF\n")


def test_a_name_is_no_beginning_of_another() -> None:
    text = body(respond(page_of(filled()), name=["celery_task"]))
    assert families_in(text) == set()


def series(page: MetricsPage, *names: str) -> float:
    for metric in parse(text_of(page, *names)):
        if metric.name == "celery_exporter_series":
            return float(metric.samples[0].value)
    raise AssertionError


def test_the_number_of_series_is_that_of_the_page() -> None:
    page = page_of(filled())
    lines = [line for line in text_of(page).splitlines() if not line.startswith("#")]
    own = [line for line in lines if not line.startswith(("process_", "celery_exporter_series"))]
    assert series(page) == len(own)


def test_a_part_of_a_page_does_not_change_the_number_of_series() -> None:
    page = page_of(filled())
    before = series(page)
    text_of(page, "celery_broker_up")
    assert series(page, "celery_exporter_series") == before


SENT = "celery_task_sent_total"
SENT_LINE = SENT + '{{task="app.add",queue="celery"}} {}\n'


def sent_once() -> MetricsPage:
    cluster = Cluster()
    cluster.sent()
    return page_of(cluster)


def test_a_part_of_a_page_is_the_truth() -> None:
    page = sent_once()
    assert SENT_LINE.format(1) in body(respond(page, name=[SENT]))


def test_a_part_of_a_page_does_not_take_the_0_from_a_scrape() -> None:
    page = sent_once()
    body(respond(page, name=[SENT]))
    assert SENT_LINE.format(0) in body(respond(page))
    assert SENT_LINE.format(1) in body(respond(page))


def test_a_scrape_of_a_part_begins_at_0() -> None:
    page = sent_once()
    scrape = Request(
        "/metrics", {"name[]": [SENT]}, Headers([("X-Prometheus-Scrape-Timeout-Seconds", "10")])
    )
    assert SENT_LINE.format(0) in body(page.respond(scrape))
    assert SENT_LINE.format(1) in body(page.respond(scrape))


def test_a_large_page_comes_in_pieces() -> None:
    cluster = Cluster()
    for number in range(450):
        cluster.sent(str(number), f"app.task{number}")
    pieces = list(page_of(cluster).render())
    assert len(pieces) > 1
    assert b"".join(pieces).count(b"celery_task_sent_total{") == 450
