"""The command line: one line for what is wrong, an environment variable for each option."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from command_line import CANARY, Runner, assert_refused, variable

import celeriac.exporter
from celeriac import __version__, cli
from celeriac.settings import ExporterSettings
from certificates import signed

URL = f"redis://:{CANARY}@localhost:6379/0"
Run = Runner[ExporterSettings]
EXPORTER = cli.cli.commands["exporter"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    for parameter in EXPORTER.params:
        monkeypatch.delenv(variable(parameter), raising=False)
    started: list[ExporterSettings] = []
    monkeypatch.setattr(celeriac.exporter, "run", started.append)
    return Runner(capsys, started)


# -- what is refused ------------------------------------------------------------------------

REFUSED = {
    "131 port 0": ("--port", "0"),
    "131 port 70000": ("--port", "70000"),
    "131 port a text": ("--port", CANARY),
    "131 port negative": ("--port", "-1"),
    "131 port empty": ("--port", ""),
    "132 buckets unsorted": ("--buckets", "5,1"),
    "132 buckets NaN": ("--buckets", "1,nan"),
    "132 buckets twice": ("--buckets", "1,1"),
    "132 buckets empty": ("--buckets", ""),
    "132 buckets a text": ("--buckets", CANARY),
    "132 queue wait buckets": ("--queue-wait-buckets", "5,1"),
    "132 prefetch wait buckets": ("--prefetch-wait-buckets", f"1,{CANARY}"),
    "138 accept-content pickle": ("--accept-content", "pickle"),
    "138 accept-content a list": ("--accept-content", f"json,{CANARY}"),
    "139 management file": ("--broker-management-url", f"file:///{CANARY}"),
    "139 management without host": ("--broker-management-url", "http://"),
    "139 management with half an address": ("--broker-management-url", f"http://:{CANARY}@[::1"),
    "139 management port": ("--broker-management-url", f"http://:{CANARY}@host:70000"),
    "142 unknown scheme": ("--broker-url", f"carrier-pigeon://:{CANARY}@host"),
    "142 no scheme": ("--broker-url", CANARY),
    "142 empty": ("--broker-url", ""),
    "142 scheme of a command": ("--broker-url", f"file:///{CANARY}"),
    "131 port in the url": ("--broker-url", f"redis://:{CANARY}@host:70000/0"),
    "131 port in an alternate": ("--broker-url", f"redis://a/0;redis://:{CANARY}@b:x/0"),
    "130 url file missing": ("--broker-url-file", f"/nowhere/{CANARY}"),
    "130 url file a directory": ("--broker-url-file", "/"),
    "transport option without value": ("--broker-transport-option", CANARY),
    "transport option of the wrong type": (
        "--broker-transport-option",
        f"visibility_timeout={CANARY}",
    ),
    "transport option no list": ("--broker-transport-option", f"priority_steps={CANARY}"),
    "ssl option without value": ("--broker-ssl-option", CANARY),
    "ssl option of the wrong type": ("--broker-ssl-option", f"ssl_cert_reqs={CANARY}"),
    "ssl file missing": ("--broker-ssl-option", f"ca_certs=/nowhere/{CANARY}"),
    "ssl file no path": ("--broker-ssl-option", "certfile=true"),
    "compat with a stranger": ("--compat", CANARY),
    "log level": ("--log-level", CANARY),
    "log format": ("--log-format", CANARY),
    "interval 0": ("--worker-interval", "0"),
    "interval NaN": ("--queue-interval", "nan"),
    "interval endless": ("--queue-interval", "inf"),
    "timeout a text": ("--inspect-timeout", CANARY),
    "retry too rarely": ("--retry-interval", "60"),
    "retention negative": ("--worker-retention", "-1"),
    "worker timeout": ("--worker-timeout", CANARY),
    "expected workers": ("--expected-workers", "-1"),
    "instance empty": ("--instance", ""),
    "instance with a space": ("--instance", f"a {CANARY}"),
    "instance no ASCII": ("--instance", f"ä{CANARY}"),
    "instance too long": ("--instance", CANARY * 10),
    "instance with a newline": ("--instance", f"{CANARY}\n"),
    "event queue": ("--event-queue", CANARY),
    "event queue length": ("--event-queue-length", "0"),
    "expect without interval": ("--expect", CANARY),
    "expect without task": ("--expect", "=300"),
    "expect at no time": ("--expect", "app.report=0"),
    "expect a text": ("--expect", f"app.report={CANARY}"),
    "expect a crontab that is none": ("--expect", f"app.report=* * 30 2 {CANARY}"),
    "beat interval longer than the schedule is kept": ("--beat-interval", "61"),
    "no entries": ("--max-beat-entries", "0"),
    "no tasks": ("--max-tasks", "0"),
    "no series": ("--max-series", "0"),
    "half a queue": ("--max-queues", "1.5"),
    "workers a text": ("--max-workers", CANARY),
    "exceptions": ("--max-exceptions", CANARY),
    "tracked tasks": ("--max-tracked-tasks", CANARY),
}
refused = pytest.mark.parametrize(("option", "value"), REFUSED.values(), ids=REFUSED)


@refused
def test_a_bad_option_is_refused_in_one_line(run: Run, option: str, value: str) -> None:
    assert_refused(run("exporter", option, value), option)


# An empty variable is one that is not set.
REFUSED_VARIABLES = {case: row for case, row in REFUSED.items() if row[1]}


@pytest.mark.parametrize(("option", "value"), REFUSED_VARIABLES.values(), ids=REFUSED_VARIABLES)
def test_a_bad_variable_is_refused_in_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, option: str, value: str
) -> None:
    monkeypatch.setenv("CELERIAC_" + option[2:].replace("-", "_").upper(), value)
    assert_refused(run("exporter"), option)


@pytest.mark.parametrize("flag", ["--enable-events", "--worker-task-processed"])
def test_a_variable_that_is_no_yes_or_no_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    monkeypatch.setenv("CELERIAC_" + flag[2:].replace("-", "_").upper(), CANARY)
    assert_refused(run("exporter"), flag)


@pytest.mark.parametrize("option", ["--port", "--broker-url", "--buckets"])
def test_an_option_without_its_value_is_refused(run: Run, option: str) -> None:
    assert_refused(run("exporter", option), option)


def test_an_option_nobody_knows_is_refused(run: Run) -> None:
    assert_refused(run("exporter", f"--broker-password={CANARY}"), "--broker-password")


@pytest.mark.parametrize("arguments", [("exporter", URL), (URL,), ("exporter", "-Q", "a", URL)])
def test_a_url_in_the_wrong_place_is_refused_unshown(run: Run, arguments: tuple[str, ...]) -> None:
    outcome = run(*arguments)
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1
    assert CANARY not in outcome.err


@pytest.mark.parametrize(
    ("content", "mode"), [(b"", 0o600), (URL.encode(), 0o602), (b"\xff", 0o600)]
)
def test_130_a_bad_url_file_is_refused(run: Run, tmp_path: Path, content: bytes, mode: int) -> None:
    path = tmp_path / "url"
    path.write_bytes(content)
    path.chmod(mode)
    assert_refused(run("exporter", "--broker-url-file", str(path)), "--broker-url-file")


def test_130_a_url_file_with_a_bad_url_is_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text(CANARY)
    path.chmod(0o600)
    assert_refused(run("exporter", "--broker-url-file", str(path)), "--broker-url")


def test_130_a_url_file_that_everybody_can_read_is_warned_about(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text(URL)
    path.chmod(0o644)
    outcome = run("exporter", "--broker-url-file", str(path))
    assert outcome.code == 2 or "--broker-url-file" in outcome.err
    assert CANARY not in outcome.err


def test_143_a_key_of_another_certificate_is_refused(run: Run, tmp_path: Path) -> None:
    signed("one").write(tmp_path, "one")
    signed("two").write(tmp_path, "two")
    options = [f"certfile={tmp_path}/one.crt", f"keyfile={tmp_path}/two.key"]
    outcome = run("exporter", *(word for o in options for word in ("--broker-ssl-option", o)))
    assert_refused(outcome, "--broker-ssl-option")


def test_an_unknown_command_is_refused(run: Run) -> None:
    assert run("exprter").code == 2


# -- a variable for each option ---------------------------------------------------------------


@pytest.fixture
def values(tmp_path: Path) -> dict[str, tuple[str, Any]]:
    """A value other than the default by option, and how the settings show it."""
    file = tmp_path / "url"
    file.write_text("redis://from-file:6379/1\n")
    file.chmod(0o600)
    return {
        "broker_url": ("redis://other:6379/1", lambda s: s.broker.url),
        "broker_url_file": (str(file), lambda s: s.broker.url),
        "broker_transport_option": ("a=1 b=2", lambda s: s.broker.transport_options),
        "broker_ssl_option": ("cert_reqs=none", lambda s: s.broker.ssl_options),
        "broker_management_url": ("http://host:15672", lambda s: s.broker.management_url),
        "event_exchange": ("other", lambda s: s.broker.event_exchange),
        "control_exchange": ("other", lambda s: s.broker.control_exchange),
        "accept_content": ("JSON", lambda s: None),
        "host": ("127.0.0.1", lambda s: s.host),
        "port": ("1234", lambda s: s.port),
        "web_config_file": ("web.yml", lambda s: s.web_config_file),
        "queues": ("a, b,", lambda s: s.queues),
        "worker_interval": ("20", lambda s: s.worker_interval_seconds),
        "queue_interval": ("20", lambda s: s.queue_interval_seconds),
        "inspect_timeout": ("5", lambda s: s.inspect_timeout_seconds),
        "retry_interval": ("5", lambda s: s.retry_interval_seconds),
        "worker_timeout": ("20", lambda s: s.worker_timeout_seconds),
        "worker_retention": ("20", lambda s: s.worker_retention_seconds),
        "enable_events": ("true", lambda s: s.enables_events),
        "instance": ("b-1_x.Y", lambda s: s.instance),
        "event_queue": ("transient", lambda s: s.event_queue),
        "event_queue_length": ("7", lambda s: s.event_queue_length),
        "expect": ("a=5m;b=0 9 * * 1-5", lambda s: s.expected_entries),
        "redbeat_key_prefix": ("mine:", lambda s: s.redbeat_key_prefix),
        "beat_interval": ("20", lambda s: s.beat_interval_seconds),
        "buckets": ("1,2", lambda s: s.runtime_buckets),
        "queue_wait_buckets": ("1,2", lambda s: s.queue_wait_buckets),
        "prefetch_wait_buckets": ("1,2", lambda s: s.prefetch_wait_buckets),
        "expected_workers": ("3", lambda s: s.expected_workers),
        "worker_task_processed": ("1", lambda s: s.counts_processed_by_task),
        "compat": ("celery-exporter", lambda s: s.compat),
        "max_tasks": ("7", lambda s: s.max_tasks),
        "max_workers": ("7", lambda s: s.max_workers),
        "max_queues": ("7", lambda s: s.max_queues),
        "max_exceptions": ("7", lambda s: s.max_exceptions),
        "max_beat_entries": ("7", lambda s: s.max_beat_entries),
        "max_series": ("777", lambda s: s.max_series),
        "max_tracked_tasks": ("777", lambda s: s.max_tracked_tasks),
        "log_level": ("debug", None),
        "log_format": ("json", None),
    }


OPTIONS = [p for p in EXPORTER.params if isinstance(p, click.Option)]
every_option = pytest.mark.parametrize("option", OPTIONS, ids=[str(p.name) for p in OPTIONS])


def key(option: click.Option) -> str:
    """Return the option as its variable spells it, without CELERIAC_."""
    return variable(option).removeprefix("CELERIAC_").lower()


@every_option
def test_an_option_can_be_given_in_the_environment(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, tuple[str, Any]],
    option: click.Option,
) -> None:
    value, read = values[key(option)]
    before = run("exporter").chosen
    monkeypatch.setenv(variable(option), value)
    after = run("exporter").chosen
    changed = {
        name
        for name in before.__dataclass_fields__
        if getattr(before, name) != getattr(after, name)
    }
    if read is None or option.name == "accept_content":
        assert changed == set()
    else:
        assert len(changed) == 1
        assert read(before) != read(after)


# A flag can only be set; a list is given whole.
WITH_ONE_VALUE = [option for option in OPTIONS if not (option.is_flag or option.multiple)]


@pytest.mark.parametrize("option", WITH_ONE_VALUE, ids=[str(p.name) for p in WITH_ONE_VALUE])
def test_an_option_goes_before_its_variable(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, tuple[str, Any]],
    option: click.Option,
) -> None:
    value, _ = values[key(option)]
    given = run("exporter", max(option.opts, key=len), value).chosen
    monkeypatch.setenv(variable(option), "not-a-value-of-anything")
    assert run("exporter", max(option.opts, key=len), value).chosen == given


@every_option
def test_an_option_is_in_the_help(run: Run, option: click.Option) -> None:
    outcome = run("exporter", "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert all(name in outcome.out for name in option.opts)


def test_the_broker_is_not_asked_for_by_celerys_own_variable(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://elsewhere")
    assert run("exporter").chosen.broker.url == "redis://localhost:6379/0"


def test_several_transport_options_are_added_up(run: Run) -> None:
    outcome = run(
        "exporter", "--broker-transport-option", "a=1", "--broker-transport-option", "b=x"
    )
    assert outcome.chosen.broker.transport_options == {"a": 1, "b": "x"}


# -- passwords in the list of processes --------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--broker-url", URL),
        ("--broker-url", f"amqp://a:5672//;amqp://u:{CANARY}@b//"),
        ("--broker-url", f"sentinel://a:26379;sentinel://:{CANARY}@b:26379"),
        ("--broker-management-url", f"http://u:{CANARY}@host:15672"),
    ],
    ids=["url", "alternate", "sentinel", "management"],
)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_129_a_password_in_argv_is_warned_about_unshown(
    run: Run, option: str, value: str, log_format: str
) -> None:
    outcome = run("exporter", option, value, "--log-format", log_format)
    assert outcome.code == 0
    assert option in outcome.err
    assert "CELERIAC_" in outcome.err or "-file" in outcome.err
    assert CANARY not in outcome.err


def test_a_password_in_the_environment_needs_no_warning(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERIAC_BROKER_URL", URL)
    assert run("exporter").err == ""


def test_a_url_without_password_needs_no_warning(run: Run) -> None:
    assert run("exporter", "--broker-url", "redis://host/0").err == ""


def test_140_a_timeout_as_long_as_the_interval_is_warned_about(
    run: Run,
) -> None:
    outcome = run("exporter", "--inspect-timeout", "10", "--worker-interval", "10")
    assert outcome.code == 0
    assert "--inspect-timeout" in outcome.err


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("CELERIAC_BROKER_URL", "redis://:p%40{0}@host/0"),
        ("CELERIAC_BROKER_URL", "amqp://a//;amqp://u:p%40{0}@b//"),
        ("CELERIAC_BROKER_MANAGEMENT_URL", "http://u:p%40{0}@host:15672"),
    ],
    ids=["url", "alternate", "management"],
)
def test_a_password_is_hidden_in_the_log_from_then_on(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    url: str,
    log_format: str,
) -> None:
    streams = io.StringIO()
    monkeypatch.setattr(sys, "stderr", streams)
    monkeypatch.setenv(name, url.format(CANARY))
    run("exporter", "--log-format", log_format)
    logging.getLogger("celeriac").warning("refused: p@%s and p%%40%s", CANARY, CANARY)
    assert "refused" in streams.getvalue()
    assert CANARY not in streams.getvalue()


# -- the other commands -----------------------------------------------------------------------


def test_the_version_is_the_packages(run: Run) -> None:
    assert run("--version").out == f"celeriac {__version__}\n"


def test_without_a_command_there_is_help(run: Run) -> None:
    outcome = run()
    assert (outcome.code, outcome.err) == (0, "")
    assert "exporter" in outcome.out


def test_metrics_prints_the_table(run: Run) -> None:
    outcome = run("metrics")
    assert outcome.code == 0
    assert outcome.out.startswith("# Metrics\n")


def test_metrics_agrees_with_the_file_it_has_written(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "metrics.md"
    file.write_text(run("metrics").out, encoding="utf-8")
    assert run("metrics", "--check", str(file)).code == 0


@pytest.mark.parametrize("content", ["another", None])
def test_metrics_notices_another_file(run: Run, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "metrics.md"
    if content is not None:
        file.write_text(content)
    outcome = run("metrics", "--check", str(file))
    assert outcome.code == 1
    assert len(outcome.err.splitlines()) == 1


def test_the_demo_says_what_it_needs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "celeriac.demo", None)
    outcome = run("demo")
    assert outcome.code == 2
    assert "celeriac[demo]" in outcome.err
    assert len(outcome.err.splitlines()) == 1
