"""``celeriac doctor``: the exporter's options, exit codes, and no secret in what it prints."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from examined import cluster, healthy, with_cluster, worker

import celeriac.exporter
from celeriac import cli
from celeriac.doctor import examination
from celeriac.doctor.broker_facts import Contact
from celeriac.doctor.evidence import Evidence
from celeriac.doctor.questions.web import Places
from celeriac.doctor_command import doctor
from celeriac.settings import ExporterSettings

CANARY = "canary5ecret"
SEVERAL = (
    *("--broker-url", f"amqp://app:{CANARY}@broker:5672/app"),
    *("--broker-management-url", "http://broker:15672"),
    *("--broker-transport-option", "global_keyprefix=app:"),
    *("--event-exchange", "evx", "--control-exchange", "ctl", "--instance", "two"),
    *("--queues", "a,b", "--port", "9999", "--max-series", "7", "--enable-events"),
)


@dataclass
class Examined:
    """What the examination was told, and the evidence that it brings."""

    evidence: Evidence = field(default_factory=healthy)
    told: list[tuple[ExporterSettings, Places, float]] = field(default_factory=list)

    def __call__(
        self, settings: ExporterSettings, places: Places, seconds: float, progress: Any
    ) -> Evidence:
        self.told.append((settings, places, seconds))
        progress("listening to the workers: 1 of 12 s")
        progress("listening to the workers: 2 of 12 s")
        return self.evidence

    @property
    def places(self) -> Places:
        return self.told[-1][1]


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> Iterator[Examined]:
    made = Examined()
    for parameter in doctor.params:
        name = max(parameter.opts, key=len).removeprefix("--").replace("-", "_").replace(".", "_")
        monkeypatch.delenv(f"CELERIAC_{name.upper()}", raising=False)
    monkeypatch.setattr(examination, "examine", made)
    return made


def run(*arguments: str) -> int | str | None:
    try:
        cli.main(["doctor", *arguments])
    except SystemExit as leave:
        return leave.code
    return 0


def test_the_settings_are_those_of_the_exporter(
    examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[ExporterSettings] = []
    monkeypatch.setattr(celeriac.exporter, "run", started.append)
    cli.main(["exporter", *SEVERAL])
    run(*SEVERAL)
    assert [settings for settings, _, _ in examined.told] == started


def test_the_environment_of_the_exporter_serves_the_doctor(
    examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERIAC_BROKER_URL", "redis://broker:6379/7")
    monkeypatch.setenv("CELERIAC_PROMETHEUS_URL", "http://prometheus:9090")
    run()
    assert examined.told[0][0].broker.url == "redis://broker:6379/7"
    assert examined.places.prometheus is not None


def test_the_exporter_is_looked_for_on_this_machine(examined: Examined) -> None:
    run("--port", "9999")
    assert examined.places.exporter.base == "http://localhost:9999"
    assert not examined.places.is_exporter_given


def test_the_exporter_is_looked_for_where_it_is_said_to_be(examined: Examined) -> None:
    run("--exporter-url", "https://exporter:9808/")
    assert examined.places.exporter.base == "https://exporter:9808/"
    assert examined.places.is_exporter_given


def test_the_token_of_grafana_comes_from_a_file(examined: Examined, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{CANARY}\n")
    run("--grafana-url", "http://grafana:3000", "--grafana-token-file", str(file))
    assert examined.places.grafana is not None
    assert examined.places.grafana.token == CANARY


REFUSED = {
    "no web address": ("--exporter-url", f"file:///{CANARY}"),
    "no host": ("--prometheus-url", "http://"),
    "half an address": ("--grafana-url", f"http://:{CANARY}@[::1"),
    "no file": ("--grafana-token-file", f"/nowhere/{CANARY}"),
    "too short": ("--for", "0.1"),
    "unknown scheme": ("--broker-url", f"carrier-pigeon://:{CANARY}@host"),
    "option of the exporter": ("--port", CANARY),
}


@pytest.mark.parametrize(("option", "value"), REFUSED.values(), ids=REFUSED)
def test_a_bad_option_is_refused_in_one_line(
    examined: Examined, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert run(option, value) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert option in line
    assert CANARY not in line
    assert examined.told == []


def test_a_healthy_set_up_exits_with_0(
    examined: Examined, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    assert "Healthy: " in capsys.readouterr().out


def test_a_warning_exits_with_1(examined: Examined) -> None:
    examined.evidence = with_cluster(cluster(worker(clock_skew_seconds=2.0)))
    assert run() == 1


def test_a_problem_exits_with_3(examined: Examined) -> None:
    examined.evidence = with_cluster(cluster())
    assert run() == 3


def test_json_is_all_that_goes_to_standard_output(
    examined: Examined, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--json") == 0
    assert json.loads(capsys.readouterr().out)["summary"]["worst"] == "ok"


def test_progress_is_a_plain_line_where_there_is_no_terminal(
    examined: Examined, capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    assert capsys.readouterr().err == "doctor: listening to the workers\n"


def test_progress_is_one_line_on_a_terminal(
    examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    run()
    assert "2 of 12 s" in terminal.getvalue()
    assert "\n" not in terminal.getvalue()


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_no_secret_is_printed(
    examined: Examined,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    form: tuple[str, ...],
) -> None:
    token = tmp_path / "token"
    token.write_text("t0kenOfGrafana\n")
    url = f"redis://:{CANARY}@broker:6379/0"
    said = f"OperationalError: {url} t0kenOfGrafana http://me:pr0metheus@prometheus:9090"
    contact = Contact(healthy().asked, "refused", said)
    examined.evidence = healthy()._replace(contact=contact)
    web = ("--prometheus-url", "http://me:pr0metheus@prometheus:9090")
    files = ("--grafana-url", "http://grafana", "--grafana-token-file", str(token))
    assert run("--broker-url", url, *web, *files, *form) == 3
    printed = capsys.readouterr()
    assert "OperationalError" in printed.out
    for secret in (CANARY, "t0kenOfGrafana", "pr0metheus"):
        assert secret not in printed.out + printed.err


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_secret_is_not_printed_however_it_is_written(
    examined: Examined, capsys: pytest.CaptureFixture[str], form: tuple[str, ...]
) -> None:
    # JSON would escape it, and a report wrap it.
    secret = 'quoted"and long ' + "word " * 20 + "end"
    contact = Contact(healthy().asked, "refused", f"it said {secret}")
    examined.evidence = healthy()._replace(contact=contact)
    quoted = quote(secret)
    run("--broker-url", f"redis://:{quoted}@broker:6379/0", *form)
    assert "word" not in capsys.readouterr().out


def test_help_shows_the_doctors_own_options_and_the_brokers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("--help")
    said = capsys.readouterr().out
    assert "--prometheus-url" in said
    assert "--broker-url" in said
    assert "--max-series" not in said
    assert "Exit code: 0 healthy" in said
