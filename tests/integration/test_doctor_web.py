"""The doctor on a running exporter, a real Prometheus, and a stand-in for Grafana."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml

from celeriac.exposition.server import HttpServer
from celeriac.exposition.web_config import WebConfig
from certificates import LOOPBACK, authority, signed
from http_clients import running
from parts.doctor import Report, doctor
from parts.exporter import Exporter
from parts.grafana_stand_in import GrafanaStandIn
from parts.processes import free_port, wait_for
from parts.prometheus import Prometheus
from parts.valkey import Valkey
from parts.workers import Worker
from workload.configured_app import make_app

pytestmark = pytest.mark.slow

TOKEN = "t0kenOfGrafana"
DASHBOARDS = ("Celery overview", "Celery tasks")
ALERT = {"alert": "CeleryNoWorkers", "expr": "celery_active_workers == 0"}
# Several series on the right for one on the left: no answer.
BROKEN = {
    "record": "celery:broken",
    "expr": "celery_worker_up * on (job) celery_exporter_sample_success",
}


class Clinic:
    """A healthy cluster and its exporter."""

    def __init__(self, ends: ExitStack, folder: Path) -> None:
        self.broker = ends.enter_context(Valkey())
        self.exporter = ends.enter_context(Exporter(self.broker.url))
        self._ends = ends
        self._folder = folder
        configuration = '{"result_backend": "rpc://", "worker_send_task_events": true}'
        worker = Worker(
            self.broker.url,
            "one",
            app="workload.configured_app",
            pool="threads",
            env={"CONFIGURATION": configuration},
        )
        ends.enter_context(worker).ready()
        self.exporter.ready()
        self.exporter.wait_for_value("celery_worker_up", 1, worker=worker.node)
        make_app(self.broker.url).send_task("configured.succeed", queue="celery")
        self.target = self.exporter.url.removeprefix("http://")

    def prometheus(self, target: str, *rules: Any, **more: Any) -> Prometheus:
        """Return a Prometheus that has started to scrape *target*."""
        files = []
        if rules:
            files = [self._folder / f"rules-{free_port()}.yml"]
            groups = [{"name": "celery", "rules": list(rules)}]
            files[0].write_text(yaml.safe_dump({"groups": groups}))
        return self._ends.enter_context(Prometheus([target], rules=files, **more))

    def doctor(self, *arguments: str) -> Report:
        return doctor(self.broker.url, "--exporter-url", self.exporter.url, *arguments)

    def look(self, *arguments: str) -> Report:
        """Return what the doctor says of everything but a broker: it has none to listen to."""
        return look("--exporter-url", self.exporter.url, *arguments)


def look(*arguments: str) -> Report:
    return doctor(f"redis://127.0.0.1:{free_port()}/0", *arguments)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with ExitStack() as ends:
        yield Clinic(ends, tmp_path_factory.mktemp("rules"))


@pytest.fixture(scope="module")
def well(clinic: Clinic) -> Prometheus:
    """A Prometheus that has all it needs."""
    made = clinic.prometheus(clinic.target, ALERT, alertmanagers=["127.0.0.1:9093"])
    made.scraped()
    return made


@pytest.fixture(scope="module", autouse=True)
def ill(clinic: Clinic) -> Prometheus:
    """A Prometheus in which nearly everything is wrong but the address; it scrapes late, too."""
    relabel = {"source_labels": ["__name__"], "regex": "celery_queue.*", "action": "drop"}
    labels = {"targets": [clinic.target], "labels": {"worker": "node-7"}}
    scrape = {
        "static_configs": [labels],
        "metric_relabel_configs": [relabel],
        "scrape_interval": "61s",
    }
    return clinic.prometheus(clinic.target, BROKEN, scrape=scrape)


@pytest.fixture(scope="module")
def grafana(well: Prometheus) -> Iterator[GrafanaStandIn]:
    """No Grafana: a stand-in that answers as its documentation says."""
    with GrafanaStandIn(well.url, token=TOKEN, dashboards=DASHBOARDS) as made:
        yield made


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    return file


def test_a_healthy_set_up_exits_with_0(
    clinic: Clinic, well: Prometheus, grafana: GrafanaStandIn, token_file: Path
) -> None:
    report = clinic.doctor(
        *("--prometheus-url", well.url),
        *("--grafana-url", grafana.url, "--grafana-token-file", str(token_file)),
    )
    assert report.alarming == set(), report.out
    assert report.exit_code == 0
    assert set(report.not_examined.values()) == {"the broker is not RabbitMQ"}
    assert TOKEN not in report.out + report.err


def test_the_doctor_takes_nothing_from_a_running_exporter(clinic: Clinic) -> None:
    clinic.doctor()
    assert clinic.exporter.value("celery_exporter_reconnects_total", source="events") == 0
    assert clinic.exporter.is_ready


def test_what_was_not_given_is_said_to_be_not_examined(clinic: Clinic) -> None:
    report = clinic.look()
    assert report.not_examined["prometheus-rules"] == "no --prometheus-url was given"
    assert report.not_examined["grafana-dashboards"] == "no --grafana-url was given"


# -- Prometheus ----------------------------------------------------------------------------


def test_a_prometheus_that_scrapes_somebody_else_is_a_problem(
    clinic: Clinic, well: Prometheus
) -> None:
    other = clinic.prometheus(well.url.removeprefix("http://"))
    other.scraped()
    report = clinic.look("--prometheus-url", other.url)
    assert report.exit_code == 3
    report.says("prometheus-target", "problem", clinic.exporter.url, clinic.target)
    report.says("prometheus-rules", "warning", "rule_files")
    report.says("prometheus-alertmanager", "warning", "alerting.alertmanagers")


def test_a_target_that_cannot_be_scraped_tells_why(clinic: Clinic) -> None:
    port = clinic.exporter.port
    wrong_path = clinic.prometheus(clinic.target, scrape={"metrics_path": "/metrix"})
    wrong_path.scraped()
    report = clinic.look("--prometheus-url", wrong_path.url)
    report.says("prometheus-target", "problem", f"{port}/metrix", "404")


def test_an_absent_prometheus_is_a_problem(clinic: Clinic) -> None:
    report = clinic.look("--prometheus-url", f"http://127.0.0.1:{free_port()}")
    report.says("prometheus-unreachable", "problem", "nothing listens there")
    assert report.not_examined["prometheus-target"] == "Prometheus does not answer"


# -- Grafana, a stand-in -------------------------------------------------------------------


def test_a_grafana_without_our_token_is_a_warning(clinic: Clinic, grafana: GrafanaStandIn) -> None:
    report = clinic.look("--grafana-url", grafana.url)
    report.says("grafana-refused", "warning", "401", "--grafana-token-file")
    assert "401" in report.not_examined["grafana-datasource"]


def test_a_grafana_without_dashboards_or_metrics_is_found(clinic: Clinic, token_file: Path) -> None:
    empty = clinic.prometheus("127.0.0.1:1")
    with GrafanaStandIn(empty.url, token=TOKEN, dashboards=()) as grafana:
        report = clinic.look("--grafana-url", grafana.url, "--grafana-token-file", str(token_file))
    report.says("grafana-dashboards", "warning", "celeriac")
    report.says("grafana-empty", "problem", "Prometheus")


def test_a_data_source_that_leads_nowhere_is_a_problem(clinic: Clinic, token_file: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with GrafanaStandIn(nowhere, token=TOKEN, dashboards=DASHBOARDS) as grafana:
        report = clinic.look("--grafana-url", grafana.url, "--grafana-token-file", str(token_file))
    report.says("grafana-datasource", "problem", "Prometheus: HTTP 502")


# -- the exporter --------------------------------------------------------------------------


def test_an_exporter_of_another_broker_that_is_away_is_not_ready(clinic: Clinic) -> None:
    with Exporter(f"redis://127.0.0.1:{free_port()}/0") as lost:
        report = look("--exporter-url", lost.url)
    report.says("exporter-not-ready", "problem", "broker", "source queues fails")


def test_what_is_not_celeriac_is_told_from_it(clinic: Clinic, well: Prometheus) -> None:
    report = look("--exporter-url", well.url)
    report.says("exporter-foreign", "problem", well.url)
    assert report.not_examined["exporter-stale"] == "what answers is not Celeriac"


def test_a_compat_exporter_is_seen_to_be_one(clinic: Clinic) -> None:
    with Exporter(clinic.broker.url, extra=("--compat", "celery-exporter")) as compat:
        compat.ready()
        report = look("--exporter-url", compat.url)
    report.says("exporter-compat", "note", "--compat")


def test_an_exporter_without_room_is_a_warning(clinic: Clinic) -> None:
    with Exporter(clinic.broker.url, extra=("--max-tasks", "1", "--worker-interval", "1")) as full:
        full.ready()
        wait_for(lambda: full.sum("celery_exporter_label_overflow_total"), 20, "an overflow")
        report = look("--exporter-url", full.url)
    report.says("exporter-overflow", "warning", "task", "--max-tasks")


def test_an_exporter_that_was_named_and_is_not_there_is_a_problem(clinic: Clinic) -> None:
    report = look("--exporter-url", f"http://127.0.0.1:{free_port()}")
    report.says("exporter-unreachable", "problem", "nothing listens there")
    assert report.exit_code == 3


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[HttpServer]:
    """A page over TLS for one user: not the exporter's, but served as it serves its own."""
    signed("server", *LOOPBACK).write(tmp_path, "server")
    authority().write(tmp_path, "authority")
    password = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    config = tmp_path / "web.yml"
    config.write_text(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
        f"basic_auth_users:\n  alice: {password}\n"
    )
    with running(web_config=WebConfig(config)) as server:
        yield server


def test_a_certificate_that_nobody_vouches_for_is_a_problem(guarded: HttpServer) -> None:
    look("--exporter-url", guarded.url).says("exporter-unreachable", "problem", "--ca-file")


def test_a_missing_password_is_a_problem(guarded: HttpServer, tmp_path: Path) -> None:
    trust = ("--ca-file", str(tmp_path / "authority.crt"))
    report = look("--exporter-url", guarded.url, *trust)
    report.says("exporter-unreachable", "problem", "HTTP 401")


def test_a_password_in_the_url_opens_and_is_not_shown(guarded: HttpServer, tmp_path: Path) -> None:
    trust = ("--ca-file", str(tmp_path / "authority.crt"))
    report = look("--exporter-url", guarded.url.replace("//", "//alice:secret@"), *trust)
    report.says("exporter-foreign", "problem", guarded.url)
    assert "secret" not in report.out + report.err


# -- after a minute, in which the others ran -----------------------------------------------


def test_a_prometheus_that_spoils_what_it_gets_is_found_out(
    clinic: Clinic, ill: Prometheus
) -> None:
    # The first scrape comes at any moment of the interval, and then the rule fails.
    wait_for(lambda: "lastError" in str(ill.get("/api/v1/rules")), 75, "a scrape")
    report = clinic.look("--prometheus-url", ill.url)
    report.says("prometheus-dropped", "problem", "celery_queue_length")
    report.says("prometheus-labels", "problem", "worker", "exported_worker=one@localhost")
    report.says("prometheus-interval", "warning", clinic.exporter.url, "61 s")
    report.says("prometheus-rules", "warning", "celery:broken", "duplicate")
