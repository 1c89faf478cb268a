"""What a sidecar at its limits says to one more client."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest
from flask.testing import FlaskClient

from celeriac.clients.exporter_page import Page
from celeriac.sidecar import Frame, create_app
from celeriac.sidecar.alerts import Alerts
from celeriac.sidecar.auth import Gate, SharedSecret, TokenRules
from celeriac.sidecar.entrance import Entrance, EntranceRules
from celeriac.sidecar.limits import RateLimit
from celeriac.sidecar.live import Live
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.routes import rows
from celeriac.sidecar.stream import Stream
from tokens import SECRET, bearer

PATH = "/celery-admin/monitoring/ws"
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class Socket:
    """As much of a request's input as is looked at here."""

    def fileno(self) -> int:
        return 0


def handshake(max_clients: int, protocol: str = "HTTP/1.1") -> int:
    metrics = SidecarMetrics()
    gate, rate_limit = Gate(SharedSecret(SECRET), TokenRules()), RateLimit("1000/second")
    alerts = Alerts(None, metrics)
    live = Live(lambda _: Page({}), alerts, metrics)
    entrance = Entrance(gate, rate_limit, metrics, EntranceRules())
    stream = Stream(live, alerts, entrance, metrics, max_clients)
    frame = Frame(gate, metrics, rate_limit, 1 << 20)
    client: FlaskClient = create_app(rows(stream), frame).test_client()
    environ = {"wsgi.input": Socket(), "SERVER_PROTOCOL": protocol}
    answer = client.get(PATH, headers=HANDSHAKE | bearer(), environ_overrides=environ)
    return answer.status_code


def test_a_client_too_many_is_refused() -> None:
    assert handshake(max_clients=0) == 503


def test_without_a_file_to_spare_a_client_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> NoReturn:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "dup", fail)
    assert handshake(max_clients=1) == 503


def test_an_older_http_is_refused() -> None:
    assert handshake(max_clients=1, protocol="HTTP/1.0") == 400
