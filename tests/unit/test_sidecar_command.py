"""``celeriac sidecar``, ``token`` and ``audit``: one line for what is wrong."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import jwt
import pytest
from command_line import CANARY, Outcome, Runner, assert_refused, variable

import celeriac.sidecar_process
from celeriac import cli
from celeriac.sidecar_settings import SidecarSettings
from certificates import authority
from tokens import SECRET

Run = Runner[SidecarSettings]
SIDECAR = cli.cli.commands["sidecar"]
OPTIONS = [p for p in SIDECAR.params if isinstance(p, click.Option)]
every_option = pytest.mark.parametrize("option", OPTIONS, ids=[str(p.name) for p in OPTIONS])


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run with the secret of tokens in the environment, and nothing else."""
    for option in OPTIONS:
        monkeypatch.delenv(variable(option), raising=False)
    monkeypatch.setenv("CELERIAC_JWT_SECRET", SECRET)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    started: list[SidecarSettings] = []
    monkeypatch.setattr(celeriac.sidecar_process, "run", started.append)
    yield Runner(capsys, started)
    root.handlers[:], root.level = before


REFUSED = {
    "131 port 0": ("--port", "0"),
    "131 port 70000": ("--port", "70000"),
    "131 port a text": ("--port", CANARY),
    "142 no scheme": ("--broker-url", CANARY),
    "139 prometheus a file": ("--prometheus-url", f"file:///{CANARY}"),
    "139 exporter without host": ("--exporter-url", "http://"),
    "139 alertmanager another scheme": ("--alertmanager-url", f"gopher://{CANARY}"),
    "139 exporter empty": ("--exporter-url", ""),
    "database of another kind": ("--database-url", f"mysql://u:{CANARY}@host/db"),
    "database without scheme": ("--database-url", CANARY),
    "database in memory": ("--database-url", "sqlite://"),
    "database without path": ("--database-url", "sqlite:///"),
    "database with a bad port": ("--database-url", f"postgresql://u:{CANARY}@host:x/db"),
    "128 a short secret": ("--jwt-secret", "abcd"),
    "a secret of 31 bytes": ("--jwt-secret", (CANARY * 3)[:31]),
    "130 no secret file": ("--jwt-secret-file", f"/nowhere/{CANARY}"),
    "130 no alerts token file": ("--alerts-token-file", f"/nowhere/{CANARY}"),
    "130 no token of Prometheus": ("--prometheus-token-file", f"/nowhere/{CANARY}"),
    "no authority": ("--ca-file", f"/nowhere/{CANARY}"),
    "no certificate": ("--ca-file", __file__),
    "two sources of keys": ("--jwks-url", f"https://{CANARY}"),
    "ws-auth": ("--ws-auth", CANARY),
    "origin a star": ("--allowed-origins", "*"),
    "origin with a path": ("--allowed-origins", f"https://host/{CANARY}"),
    "origin without scheme": ("--allowed-origins", CANARY),
    "origin with a password": ("--allowed-origins", f"https://u:{CANARY}@host"),
    "zone": ("--time-zone", CANARY),
    "zone a path": ("--time-zone", "../../etc/passwd"),
    "rate a number": ("--rate-limit", "5"),
    "rate zero": ("--rate-limit", "0/second"),
    "rate a text": ("--rate-limit", CANARY),
    "memory a text": ("--operations-memory", CANARY),
    "memory negative": ("--operations-memory", "-1h"),
    "memory NaN": ("--operations-memory", "nan"),
    "memory too long": ("--operations-memory", "40d"),
    "no ids": ("--max-revoke-ids", "0"),
    "no ids to terminate": ("--max-terminate-ids", "0"),
    "no body": ("--max-body-bytes", "0"),
    "half a client": ("--max-websocket-clients", "1.5"),
    "no days": ("--max-report-days", "0"),
    "poll endless": ("--poll-interval", "inf"),
    "control timeout": ("--control-timeout", CANARY),
    "report timeout": ("--report-timeout", "0"),
    "proxies": ("--trusted-proxies", "-1"),
    "log level": ("--log-level", CANARY),
}


@pytest.mark.parametrize(("option", "value"), REFUSED.values(), ids=REFUSED)
def test_a_bad_option_is_refused_in_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, option: str, value: str
) -> None:
    if option == "--jwks-url":
        assert_refused(run("sidecar", option, value), "--jwt-secret")
        return
    assert_refused(run("sidecar", option, value), option)


@pytest.mark.parametrize("url", [f"file:///{CANARY}", CANARY, "https://"])
def test_139_another_url_is_no_jwks_server(run: Run, url: str) -> None:
    assert_refused(run("sidecar", "--jwks-url", url), "--jwks-url")


def test_without_keys_of_tokens_nothing_starts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CELERIAC_JWT_SECRET")
    assert_refused(run("sidecar"), "--jwt-secret-file")


def test_128_a_short_secret_in_a_file_is_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("abcd")
    file.chmod(0o600)
    assert_refused(run("sidecar", "--jwt-secret-file", str(file)), "--jwt-secret-file")


@pytest.fixture
def values(tmp_path: Path) -> dict[str, tuple[str, Any]]:
    """A value other than the default by option, and how the settings show it."""
    file = tmp_path / "secret"
    file.write_text("x" * 32)
    file.chmod(0o600)
    authorities = tmp_path / "ca.crt"
    authorities.write_bytes(authority().pem)
    url = tmp_path / "url"
    url.write_text("redis://from-file:6379/1")
    url.chmod(0o600)
    return {
        "broker_url": ("redis://other:6379/1", lambda s: s.broker.url),
        "broker_url_file": (str(url), lambda s: s.broker.url),
        "broker_transport_option": ("a=1 b=2", lambda s: s.broker.transport_options),
        "broker_ssl_option": ("cert_reqs=none", lambda s: s.broker.ssl_options),
        "control_exchange": ("other", lambda s: s.broker.control_exchange),
        "host": ("127.0.0.1", lambda s: s.host),
        "port": ("1234", lambda s: s.port),
        "trusted_proxies": ("1", lambda s: s.trusted_proxies),
        "ws_auth": ("optional", lambda s: s.requires_websocket_token),
        "allowed_origins": ("null, https://A.example", lambda s: s.allowed_origins),
        "exporter_url": ("http://other", lambda s: s.exporter_url),
        "prometheus_url": ("http://other", lambda s: s.prometheus_url),
        "prometheus_job": ("celery", lambda s: s.prometheus_job),
        "prometheus_token_file": (str(file), lambda s: s.prometheus_token_file),
        "ca_file": (str(authorities), lambda s: s.ca_file),
        "alertmanager_url": ("http://other", lambda s: s.alertmanager_url),
        "poll_interval_seconds": ("2", lambda s: s.poll_interval_seconds),
        "time_zone": ("Europe/Vienna", lambda s: s.time_zone),
        "database_url": ("postgres://u@host/db", lambda s: s.database_url),
        "operations_memory_seconds": ("15m", lambda s: s.operations_memory_seconds),
        "jwt_secret_file": (str(file), lambda s: s.tokens.secret),
        "jwt_secret": ("y" * 32, lambda s: s.tokens.secret),
        "issuer": ("https://issuer", lambda s: s.tokens.issuer),
        "audience": ("us", lambda s: s.tokens.audience),
        "role_claim": ("other", lambda s: s.tokens.role_claim),
        "jwks_refresh_seconds": ("7", lambda s: s.jwks_refresh_seconds),
        "alerts_token_file": (str(file), lambda s: s.alerts_token),
        "max_revoke_ids": ("7", lambda s: s.limits.max_revoke_ids),
        "max_terminate_ids": ("7", lambda s: s.limits.max_terminate_ids),
        "max_body_bytes": ("7777", lambda s: s.limits.max_body_bytes),
        "max_websocket_clients": ("7", lambda s: s.limits.max_websocket_clients),
        "max_report_days": ("7", lambda s: s.limits.max_report_days),
        "rate_limit": ("5/second", lambda s: s.limits.rate_limit),
        "control_timeout_seconds": ("5", lambda s: s.control_timeout_seconds),
        "report_timeout_seconds": ("5", lambda s: s.report_timeout_seconds),
        "log_level": ("debug", None),
        "log_format": ("json", None),
    }


@every_option
def test_an_option_can_be_given_in_the_environment(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, tuple[str, Any]],
    option: click.Option,
) -> None:
    if option.name == "jwks_url":
        monkeypatch.delenv("CELERIAC_JWT_SECRET")
        monkeypatch.setenv("CELERIAC_JWKS_URL", "https://issuer/keys")
        assert run("sidecar").chosen.tokens.jwks_url == "https://issuer/keys"
        return
    value, read = values[str(option.name)]
    before = run("sidecar").chosen
    monkeypatch.setenv(variable(option), value)
    after = run("sidecar").chosen
    changed = [name for name in before.__slots__ if getattr(before, name) != getattr(after, name)]
    assert len(changed) == (0 if read is None else 1)
    assert read is None or read(before) != read(after)


@every_option
def test_an_option_is_in_the_help(run: Run, option: click.Option) -> None:
    outcome = run("sidecar", "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert all(name in outcome.out for name in option.opts)


def test_the_database_is_a_file_of_the_user(run: Run) -> None:
    assert (
        run("sidecar").chosen.database_url
        == f"sqlite:///{Path.home()}/.local/share/celeriac/sidecar.db"
    )


def test_a_database_without_its_driver_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "psycopg" else find(name)
    )
    outcome = run("sidecar", "--database-url", f"postgresql://u:{CANARY}@host/db")
    assert_refused(outcome, "--database-url")
    assert "celeriac[postgresql]" in outcome.err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--broker-url", f"redis://:{CANARY}@host:6379/0"),
        ("--exporter-url", f"http://u:{CANARY}@host"),
        ("--prometheus-url", f"http://u:{CANARY}@host"),
        ("--alertmanager-url", f"http://u:{CANARY}@host"),
        ("--database-url", f"postgresql://u:{CANARY}@host/db"),
        ("--jwt-secret", CANARY * 3),
    ],
)
def test_129_a_secret_in_argv_is_warned_about_unshown(run: Run, option: str, value: str) -> None:
    outcome = run("sidecar", option, value)
    assert outcome.code == 0
    assert f"{option} " in outcome.err
    assert "CELERIAC_" in outcome.err
    assert CANARY not in outcome.err
    logging.getLogger("celeriac").warning("refused: %s", value)
    assert CANARY not in run("--version").err


def test_a_secret_in_the_environment_needs_no_warning(run: Run) -> None:
    assert run("sidecar").err == ""


def test_onlookers_from_everywhere_are_warned_about(run: Run) -> None:
    assert "--ws-auth" in run("sidecar", "--ws-auth", "optional").err
    assert run("sidecar", "--ws-auth", "optional", "--host", "127.0.0.1").err == ""


def test_the_secrets_are_not_in_the_text_of_the_settings(run: Run) -> None:
    url = f"postgresql://u:{CANARY}@host/db"
    assert CANARY not in repr(run("sidecar", "--database-url", url).chosen)
    assert SECRET not in repr(run("sidecar").chosen)


@pytest.mark.parametrize(
    "command", [("sidecar",), ("audit", "verify"), ("token", "--role", "admin", "--subject", "a")]
)
def test_it_says_what_it_needs(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    outcome = run(*command)
    assert outcome.code == 2
    assert "celeriac[sidecar]" in outcome.err
    assert len(outcome.err.splitlines()) == 1


# -- tokens ------------------------------------------------------------------------------------


def read(printed: str) -> dict[str, Any]:
    options = {"verify_aud": False}
    claims: dict[str, Any] = jwt.decode(printed.strip(), SECRET, ["HS256"], options)  # type: ignore[arg-type]
    return claims


def test_a_token_is_printed_alone(run: Run) -> None:
    outcome = run("token", "--role", "admin", "--subject", "Zoë", "--ttl", "15m")
    assert (outcome.code, outcome.err) == (0, "")
    claims = read(outcome.out)
    assert (claims["sub"], claims["role"]) == ("Zoë", "admin")
    assert claims["exp"] - claims["iat"] == 900


def test_a_token_says_what_the_sidecar_checks(run: Run) -> None:
    strict = ("--jwt-issuer", "i", "--jwt-audience", "a", "--jwt-role-claim", "r")
    claims = read(run("token", "--role", "viewer", "--subject", "me", *strict).out)
    assert (claims["iss"], claims["aud"], claims["r"]) == ("i", "a", "viewer")
    assert "role" not in claims


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--role", CANARY),
        ("--role", "Admin "),
        ("--subject", ""),
        ("--subject", f"{CANARY}\n"),
        ("--subject", CANARY * 30),
        ("--ttl", "0"),
        ("--ttl", "soon"),
        ("--ttl", "inf"),
        ("--jwt-secret", "abcd"),
    ],
)
def test_a_bad_wish_for_a_token_is_refused(run: Run, option: str, value: str) -> None:
    good = {"--role": "viewer", "--subject": "me"} | {option: value}
    assert_refused(run("token", *(word for pair in good.items() for word in pair)), option)


# -- the audit ---------------------------------------------------------------------------------


def verified(
    run: Run, monkeypatch: pytest.MonkeyPatch, result: SimpleNamespace, url: str
) -> Outcome[SidecarSettings]:
    asked: list[str] = []

    def verify(database_url: str) -> SimpleNamespace:
        asked.append(database_url)
        return result

    monkeypatch.setitem(sys.modules, "celeriac.sidecar.audit", SimpleNamespace(verify=verify))
    monkeypatch.setattr("celeriac.sidecar.audit", SimpleNamespace(verify=verify), raising=False)
    outcome = run("audit", "verify", "--database-url", url)
    assert asked == [url]
    return outcome


def test_a_whole_audit_ends_with_0(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = SimpleNamespace(records=12, first_bad=None, reason="")
    outcome = verified(run, monkeypatch, result, "sqlite:////data/x.db")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("12 records")


def test_an_altered_audit_ends_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = SimpleNamespace(records=12, first_bad=7, reason="was altered")
    outcome = verified(run, monkeypatch, result, "sqlite:////data/x.db")
    assert (outcome.code, outcome.err) == (1, "")
    assert "record 7: was altered" in outcome.out


def test_an_audit_elsewhere_is_refused(run: Run) -> None:
    assert_refused(run("audit", "verify", "--database-url", CANARY), "--database-url")
