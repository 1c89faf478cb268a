"""The WebSocket as its clients see it: a real sidecar process, a real exporter, many clients."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection as SyncConnection
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from parts.crowd import PATH, handshake, watch
from parts.exporter import Exporter
from parts.processes import wait_for
from parts.sidecar import Sidecar
from tokens import bearer, token

READERS, IDLERS = 200, 500
WATCH_SECONDS = 12.0
OLDEST_SECONDS = 12.0
SMALL_LIMIT = 3
PATIENCE_SECONDS = 30.0


@pytest.fixture(scope="module")
def sidecar(idle_exporter: Exporter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    secret = tmp_path_factory.mktemp("alerts") / "token"
    secret.write_text("the webhook's own token")
    secret.chmod(0o600)
    extra = ["--alerts-token-file", str(secret), "--allowed-origins", "http://localhost"]
    with Sidecar(exporter_url=idle_exporter.url, extra=extra) as sidecar:
        yield sidecar


def url(sidecar: Sidecar) -> str:
    return f"ws://127.0.0.1:{sidecar.port}{PATH}"


def opened(sidecar: Sidecar, role: str = "viewer", **claims: Any) -> SyncConnection:
    return connect(url(sidecar), additional_headers=bearer(role, **claims))


def message(connection: SyncConnection, message_type: str = "") -> dict[str, Any]:
    """Return the next message, or the next of this type."""
    while True:
        found: dict[str, Any] = json.loads(connection.recv(timeout=PATIENCE_SECONDS))
        if message_type in ("", found["message_type"]):
            return found


def status_of(sidecar: Sidecar, **options: Any) -> int:
    """Return the HTTP status that a handshake is answered with."""
    try:
        with connect(url(sidecar), **options):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def raw_status(sidecar: Sidecar, request: bytes) -> int:
    with socket.create_connection(
        ("127.0.0.1", sidecar.port), timeout=PATIENCE_SECONDS
    ) as connection:
        connection.sendall(request)
        return int(connection.recv(4096).split()[1])


def clients(sidecar: Sidecar) -> int:
    return int(sidecar.get("/monitoring/status", "viewer").json()["clients"])


# -- what is said ------------------------------------------------------------------------------


def test_the_order_of_messages(sidecar: Sidecar) -> None:
    with opened(sidecar) as connection:
        greeting, picture, *updates = [message(connection) for _ in range(5)]
    assert greeting["message_type"] == "connection_established"
    assert greeting["data"]["client_count"] == 1
    assert isinstance(greeting["data"]["message"], str)
    assert picture["message_type"] == "dashboard_data"
    assert picture["data"].keys() >= {
        "real_time_metrics", "system_summary", "workers", "queues", "top_tasks", "alerts",
        "timestamp",
    }  # fmt: skip
    assert {update["message_type"] for update in updates} == {"metrics_update"}
    times = [datetime.fromisoformat(update["timestamp"]) for update in updates]
    assert (times[2] - times[0]).total_seconds() / 2 > 0.5


def test_an_update_has_the_live_object(sidecar: Sidecar) -> None:
    with opened(sidecar) as connection:
        live = message(connection, "metrics_update")["data"]["metrics"]
    assert live.keys() >= {
        "timestamp", "active_workers", "total_workers", "pending_tasks", "processing_tasks",
        "reserved_tasks", "scheduled_tasks", "queue_lengths", "current_throughput",
        "error_rate_percent", "avg_execution_time_ms", "system_health", "data_age_seconds", "stale",
    }  # fmt: skip
    assert (live["active_workers"], live["current_throughput"], live["stale"]) == (0, 0.0, False)


def test_an_alert_arrives(sidecar: Sidecar) -> None:
    alert = {
        "status": "firing",
        "labels": {"alertname": "Backlog"},
        "startsAt": "2026-01-01T00:00:00Z",
    }
    with opened(sidecar) as connection:
        message(connection, "dashboard_data")
        answer = httpx.post(
            f"{sidecar.url}/alerts",
            json={"version": "4", "alerts": [alert]},
            headers={"Authorization": "Bearer the webhook's own token"},
        )
        assert answer.status_code == 200
        assert message(connection, "alert")["data"]["name"] == "Backlog"
    assert sidecar.get("/alerts", "viewer").json()["firing"] == 1


# -- who comes in ------------------------------------------------------------------------------


def test_a_token_beside_the_subprotocol(sidecar: Sidecar) -> None:
    offered = [Subprotocol("celeriac.bearer"), Subprotocol(token("viewer"))]
    with connect(url(sidecar), subprotocols=offered) as connection:
        assert connection.subprotocol == "celeriac.bearer"
        assert message(connection)["message_type"] == "connection_established"


def test_a_ticket_opens_one_connection(sidecar: Sidecar) -> None:
    ticket = sidecar.post("/monitoring/ws-ticket", None, "viewer").json()["ticket"]
    with connect(f"{url(sidecar)}?ticket={ticket}") as connection:
        assert message(connection)["message_type"] == "connection_established"
    with pytest.raises(InvalidStatus, match="401"):
        connect(f"{url(sidecar)}?ticket={ticket}")


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, 401),
        ({"additional_headers": {"Authorization": "Bearer x.y.z"}}, 401),
        ({"additional_headers": bearer("viewer", exp=int(time.time()) - 60)}, 401),
        ({"additional_headers": bearer("owner")}, 403),
        ({"additional_headers": bearer(), "origin": Origin("https://evil.example")}, 403),
        ({"additional_headers": bearer(), "origin": Origin("null")}, 403),
        ({"additional_headers": bearer(), "origin": Origin("http://localhost:3000")}, 101),
    ],
    ids=["nobody", "bad", "expired", "role", "foreign origin", "file", "allowed origin"],
)
def test_who_comes_in(sidecar: Sidecar, options: dict[str, Any], status: int) -> None:
    assert status_of(sidecar, **options) == status


def test_where_no_token_is_asked_anybody_may_look_on(idle_exporter: Exporter) -> None:
    extra = ["--ws-auth", "optional", "--allowed-origins", "null"]
    with Sidecar(exporter_url=idle_exporter.url, extra=extra) as sidecar:
        assert status_of(sidecar) == 101
        assert status_of(sidecar, origin=Origin("null")) == 101
        assert status_of(sidecar, additional_headers={"Authorization": "Bearer x.y.z"}) == 401
        assert sidecar.get("/monitoring/status", "viewer").status_code == 200


def test_a_token_that_expires_ends_the_connection(sidecar: Sidecar) -> None:
    expires_at = int(time.time()) + 2
    with opened(sidecar, exp=expires_at) as connection:
        with pytest.raises(ConnectionClosed) as caught:
            message(connection, "what never comes")
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 4401
    assert time.time() >= expires_at


def test_clients_beyond_the_limit_are_refused(idle_exporter: Exporter) -> None:
    extra = ["--max-websocket-clients", str(SMALL_LIMIT)]
    with (
        Sidecar(exporter_url=idle_exporter.url, extra=extra) as sidecar,
        contextlib.ExitStack() as most,
    ):
        for _ in range(SMALL_LIMIT):
            most.enter_context(opened(sidecar))
        assert status_of(sidecar, additional_headers=bearer()) == 503
        most.close()
        wait_for(lambda: clients(sidecar) == 0, PATIENCE_SECONDS, "the clients to leave")
        assert status_of(sidecar, additional_headers=bearer()) == 101


# -- faulty handshakes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faulty", "status"),
    [
        (handshake(Sec_WebSocket_Key=None), 400),
        (handshake(Sec_WebSocket_Key="c2hvcnQ="), 400),
        (handshake(Sec_WebSocket_Key="\xff\xfe"), 400),
        (handshake(Sec_WebSocket_Version=None), 426),
        (handshake(Sec_WebSocket_Version="12"), 426),
        (handshake(Sec_WebSocket_Version="thirteen"), 426),
        (handshake(Upgrade=None), 426),
        (handshake(Upgrade="h2c"), 426),
        (handshake(Connection=None), 426),
        (handshake(Connection="close"), 426),
        (handshake("POST"), 405),
        (handshake(Content_Length="5") + b"hello", 400),
        (handshake(Origin="https://evil.example"), 403),
        (handshake(Authorization=None), 401),
        (handshake(Authorization=None, Sec_WebSocket_Key=None), 400),
        (handshake(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"), 101),
        (handshake(Connection="keep-alive, UPGRADE", Upgrade="WebSocket"), 101),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, int) else None,
)
def test_a_faulty_handshake_is_never_our_fault(
    sidecar: Sidecar, faulty: bytes, status: int
) -> None:
    assert raw_status(sidecar, faulty) == status


def test_the_log_has_no_traceback(sidecar: Sidecar) -> None:
    """Of anything that the tests above have done."""
    for junk in (b"\x81\x05hello", b"\xff" * 100, b"\x81\xfe\xff\xff" + b"x" * 70_000, b""):
        with socket.create_connection(
            ("127.0.0.1", sidecar.port), timeout=PATIENCE_SECONDS
        ) as connection:
            connection.sendall(handshake() + junk)
            connection.recv(100)
    wait_for(lambda: clients(sidecar) == 0, PATIENCE_SECONDS, "the clients to leave")
    assert "Traceback" not in sidecar.child.log_text()
    assert "report it" not in sidecar.child.log_text()


# -- coming and going --------------------------------------------------------------------------


def test_a_client_that_drops_and_returns_gets_a_full_picture_at_once(sidecar: Sidecar) -> None:
    for _ in range(5):
        with opened(sidecar) as connection:
            assert message(connection)["message_type"] == "connection_established"
            assert message(connection)["message_type"] == "dashboard_data"
            # Dropped, not closed.
            connection.socket.shutdown(socket.SHUT_RDWR)
    wait_for(lambda: clients(sidecar) == 0, PATIENCE_SECONDS, "the clients to be missed")


def test_the_poller_rests_when_nobody_listens(sidecar: Sidecar) -> None:
    def status() -> Any:
        return sidecar.get("/monitoring/status", "viewer").json()

    with opened(sidecar) as connection:
        message(connection, "metrics_update")
        assert status()["running"]
    wait_for(lambda: not status()["running"], PATIENCE_SECONDS, "the poller to rest")
    before = status()["last_sample_at"]
    time.sleep(1.5)
    assert status()["last_sample_at"] == before


def test_a_sidecar_that_stops_says_goodbye(idle_exporter: Exporter) -> None:
    with Sidecar(exporter_url=idle_exporter.url) as sidecar, opened(sidecar) as connection:
        message(connection, "dashboard_data")
        assert sidecar.child.terminate() == 0
        with pytest.raises(ConnectionClosed) as caught:
            message(connection, "what never comes")
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001


# -- the crowd ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_clients_that_never_read_disturb_nobody(idle_exporter: Exporter) -> None:
    with Sidecar(exporter_url=idle_exporter.url) as sidecar:
        watched = watch(sidecar, READERS, IDLERS, WATCH_SECONDS)
        assert "Traceback" not in sidecar.child.log_text()
    assert (watched.closed_readers, watched.kept_idlers) == (0, 0)
    # How fresh it is on a machine with nothing else to do, bench/scenarios/stream.py tells.
    assert max(watched.ages) < OLDEST_SECONDS
    assert max(watched.pauses) < OLDEST_SECONDS
    assert max(watched.answers) < OLDEST_SECONDS
