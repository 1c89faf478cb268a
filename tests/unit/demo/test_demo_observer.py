"""What the demo reads from the exporter's page, and what it tells Prometheus."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

from celeriac.demo import prometheus
from celeriac.demo.guide import LOOKS, graph_url
from celeriac.demo.observer import Observer, Readings, read_page
from celeriac.demo.prometheus import Watched

PAGE = """\
# TYPE celery_worker_up gauge
celery_worker_up{worker="fast@demo"} 1
celery_worker_up{worker="slow@demo"} 0
# TYPE celery_queue_consumers gauge
celery_queue_consumers{queue="mail"} 1
celery_queue_consumers{queue="archive"} 0
# TYPE celery_exporter_sample_success gauge
celery_exporter_sample_success{source="events"} 1
celery_exporter_sample_success{source="queues"} %d
"""


def test_a_page_tells_workers_queues_and_sources() -> None:
    assert read_page(PAGE % 1) == Readings(
        workers_up=frozenset({"fast@demo"}),
        consumed_queues=frozenset({"mail"}),
        successful_sources=frozenset({"events", "queues"}),
    )


def test_one_failing_source_makes_the_page_stale() -> None:
    assert read_page(PAGE % 1).is_fresh
    assert not read_page(PAGE % 0).is_fresh


def test_an_empty_page_is_not_fresh() -> None:
    assert not read_page("").is_fresh


def test_an_exporter_that_is_not_there_has_said_nothing() -> None:
    assert Observer().fetch_readings("http://127.0.0.1:1") == Readings()


def test_prometheus_scrapes_exporter_and_sidecar_and_reads_the_rules(tmp_path: Path) -> None:
    watched = Watched("127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4", tmp_path / "rules")
    command = prometheus.command("prometheus", tmp_path, "127.0.0.1:1", watched)

    assert f"--config.file={tmp_path / 'prometheus.yml'}" in command
    written = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    assert written["scrape_configs"] == [
        {"job_name": "celeriac", "static_configs": [{"targets": ["127.0.0.1:2"]}]},
        {"job_name": "celeriac-sidecar", "static_configs": [{"targets": ["127.0.0.1:3"]}]},
    ]
    assert written["rule_files"] == [f"{tmp_path}/rules/*.yml"]
    [alertmanager] = written["alerting"]["alertmanagers"]
    assert alertmanager == {"static_configs": [{"targets": ["127.0.0.1:4"]}]}


def test_the_link_of_a_query_carries_it_unharmed() -> None:
    for look in LOOKS:
        link = urlsplit(graph_url("http://127.0.0.1:9090", look.query))
        assert parse_qs(link.query)["g0.expr"] == [look.query]
