"""Alerts of a real Alertmanager: told by its webhook, and asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect as connect_websocket

from certificates import LOOPBACK, authority, signed
from parts.alertmanager import Alertmanager
from parts.exporter import Exporter
from parts.processes import wait_for
from parts.sidecar import Sidecar
from parts.valkey import Valkey
from tokens import bearer

PATIENCE_SECONDS = 30.0


@pytest.fixture(scope="module")
def token_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("alerts") / "token"
    file.write_text("the token of the webhook")
    file.chmod(0o600)
    return file


@pytest.fixture
def pair(token_file: Path) -> Iterator[tuple[Sidecar, Alertmanager]]:
    """A sidecar and an Alertmanager that know each other."""
    sidecar = Sidecar(extra=["--alerts-token-file", str(token_file)])
    alertmanager = Alertmanager(f"{sidecar.url}/alerts", token_file)
    sidecar.child.command += ["--alertmanager-url", alertmanager.url]
    with sidecar, alertmanager:
        yield sidecar, alertmanager


def firing(sidecar: Sidecar) -> set[str]:
    return {alert["name"] for alert in sidecar.get("/system/status").json()["firing_alerts"]}


def told(sidecar: Sidecar) -> set[str]:
    return {alert["name"] for alert in sidecar.get("/alerts", "viewer").json()["alerts"]}


def test_an_alert_reaches_who_listens(pair: tuple[Sidecar, Alertmanager]) -> None:
    sidecar, alertmanager = pair
    url = sidecar.url.replace("http", "ws") + "/monitoring/ws"
    with connect_websocket(url, additional_headers=bearer()) as websocket:
        alertmanager.take(alertname="CeleryQueueStuck", severity="critical", queue="mail")
        messages: list[Any] = []
        while not messages or messages[-1]["message_type"] != "alert":
            messages.append(json.loads(websocket.recv(PATIENCE_SECONDS)))
    assert messages[-1]["data"]["labels"]["queue"] == "mail"
    assert told(sidecar) == {"CeleryQueueStuck"}


def test_what_fires_is_what_alertmanager_says_now(pair: tuple[Sidecar, Alertmanager]) -> None:
    sidecar, alertmanager = pair
    for name in ("Quiet", "Loud"):
        alertmanager.take(alertname=name, severity="warning")
    wait_for(lambda: firing(sidecar) == {"Quiet", "Loud"}, PATIENCE_SECONDS, "both")
    alertmanager.silence("Quiet")
    wait_for(lambda: firing(sidecar) == {"Loud"}, PATIENCE_SECONDS, "the silence")
    assert sidecar.get("/system/status").json()["components"]["alertmanager"]["status"] == "healthy"


def test_without_alertmanager_it_is_what_was_told_last(
    pair: tuple[Sidecar, Alertmanager],
) -> None:
    sidecar, alertmanager = pair
    alertmanager.take(alertname="Told")
    wait_for(lambda: told(sidecar) == {"Told"}, PATIENCE_SECONDS, "the webhook")
    alertmanager.child.kill()
    assert firing(sidecar) == {"Told"}
    wait_for(
        lambda: (
            sidecar.get("/system/status").json()["components"]["alertmanager"]["status"]
            == "unhealthy"
        ),
        PATIENCE_SECONDS,
        "the part to be missed",
    )


def test_an_exporter_behind_tls_is_read_with_its_authority(valkey: Valkey, tmp_path: Path) -> None:
    signed("exporter", *LOOPBACK).write(tmp_path, "server")
    (tmp_path / "ca.crt").write_bytes(authority().pem)
    config = tmp_path / "web.yml"
    config.write_text("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n")
    # Entered as its child: its own wait for /livez speaks no TLS.
    exporter = Exporter(valkey.url, extra=["--web.config.file", str(config)])
    url = exporter.url.replace("http:", "https:")
    trusting = Sidecar(valkey.url, url, extra=["--ca-file", str(tmp_path / "ca.crt")])
    with exporter.child, trusting, Sidecar(valkey.url, url) as wary:
        wait_for(lambda: health_of_exporter(trusting) == "healthy", PATIENCE_SECONDS, "a page")
        assert health_of_exporter(wary) == "unhealthy"


def health_of_exporter(sidecar: Sidecar) -> str:
    status: str = sidecar.get("/system/health").json()["checks"]["exporter"]["status"]
    return status
