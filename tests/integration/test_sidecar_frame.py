"""The sidecar's frame over real HTTP: who may, what is refused, how it is and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import jwt
import pytest
from openapi_spec_validator import validate
from websockets.sync.client import connect as connect_websocket

from celeriac.sidecar.audit import verify
from parts.exporter import Exporter
from parts.processes import accepts_connections, wait_for
from parts.sidecar import NOBODY, Sidecar
from parts.valkey import Valkey
from parts.workers import Worker
from tokens import AUDIENCE, ISSUER, SECRET, bearer, claims, jwk, jwks, rsa_key, token

# Whoever hangs here, hangs: every limit of the sidecar's own is far below.
PATIENCE_SECONDS = 40.0
ALERTS_TOKEN = "the token of the webhook"
BATCH = {"task_ids": ["a"], "operation": "revoke"}


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar with nothing around it: no broker, no exporter, no Prometheus."""
    file = tmp_path_factory.mktemp("alerts") / "token"
    file.write_text(ALERTS_TOKEN)
    file.chmod(0o600)
    with Sidecar(extra=["--alerts-token-file", str(file)]) as sidecar:
        yield sidecar


def assert_problem(answer: httpx.Response, status: int) -> str:
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    ), answer.text
    body = answer.json()
    assert body["status"] == status
    return str(body["detail"])


# -- how it is ---------------------------------------------------------------------------------


def test_alone_it_is_unhealthy_and_says_why(lonely: Sidecar) -> None:
    answer = httpx.get(f"{lonely.url}/system/health")
    assert answer.status_code == 503
    health = answer.json()
    assert health["status"] == "unhealthy"
    assert {"exporter", "broker", "workers", "prometheus"} <= set(health["checks"])
    for part in ("exporter", "broker", "prometheus"):
        assert health["checks"][part]["status"] == "unhealthy"
        assert health["checks"][part]["detail"]


def test_alone_it_lives(lonely: Sidecar) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert httpx.get(lonely.root + path).status_code == 200


def test_its_information_names_no_host(lonely: Sidecar) -> None:
    info = httpx.get(f"{lonely.url}/system/info").json()
    assert {"name", "version", "celery_version", "broker_transport", "features"} <= set(info)
    assert "127.0.0.1" not in json.dumps(info)


def test_everything_at_once_is_for_admins(lonely: Sidecar) -> None:
    assert_problem(lonely.get("/system/status", "operator"), 403)
    status = lonely.get("/system/status").json()
    assert {"workers", "queues", "sources", "firing_alerts", "components"} <= set(status)


def test_beside_an_exporter_only_prometheus_is_missed(valkey: Valkey) -> None:
    with Exporter(valkey.url) as exporter, Sidecar(valkey.url, exporter.url) as sidecar:
        exporter.ready()
        answer = httpx.get(f"{sidecar.url}/system/health")
        assert answer.status_code == 200
        health = answer.json()
        assert health["status"] == "degraded"
        bad = {name for name, check in health["checks"].items() if check["status"] != "healthy"}
        assert bad == {"prometheus", "workers"}
        sources = {row["source"]: row for row in sidecar.get("/system/status").json()["sources"]}
        assert sources["queues"]["successful"] is True
        assert 0 <= sources["queues"]["age_seconds"] < 60


def test_a_broker_that_hangs_holds_no_health_up(valkey: Valkey) -> None:
    with Sidecar(valkey.url) as sidecar:
        valkey.child.pause()
        began = time.monotonic()
        with ThreadPoolExecutor(4) as threads:
            looks = [
                threads.submit(httpx.get, f"{sidecar.url}/system/health", timeout=PATIENCE_SECONDS)
                for _ in range(4)
            ]
            assert [look.result().status_code for look in looks] == [503] * 4
        assert time.monotonic() - began < PATIENCE_SECONDS / 2
        valkey.child.resume()
        wait_for(
            lambda: (
                httpx.get(f"{sidecar.url}/system/health").json()["checks"]["broker"]["status"]
                == "healthy"
            ),
            PATIENCE_SECONDS,
            "the broker to be healthy again",
        )


# -- the document ------------------------------------------------------------------------------


def test_the_document_is_openapi(lonely: Sidecar) -> None:
    document = httpx.get(f"{lonely.url}/openapi.json").json()
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert document["paths"]["/celery-admin/monitoring/ws"]["get"]["responses"]["101"]


def rows(sidecar: Sidecar) -> Iterator[tuple[str, str, str]]:
    """Yield method, path and role of every row that asks for one, as the document says."""
    document = httpx.get(f"{sidecar.url}/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["security"]:
                role = operation["description"].removeprefix("Role: ").removesuffix(".")
                yield method.upper(), path.replace("{", "").replace("}", ""), role


def test_every_role_below_is_refused_by_every_route(lonely: Sidecar) -> None:
    roles = ["nobody", "viewer", "operator", "admin"]
    found = list(rows(lonely))
    assert len(found) >= 16
    for method, path, role in found:
        for below in roles[: roles.index(role)]:
            headers = {} if below == "nobody" else bearer(below)
            answer = httpx.request(method, lonely.root + path, headers=headers)
            is_stream = path.endswith("/ws")
            expected = 426 if is_stream else 401 if below == "nobody" else 403
            assert answer.status_code == expected, (method, path, below)


# -- what is refused ---------------------------------------------------------------------------


def test_70_an_empty_body_is_400(lonely: Sidecar) -> None:
    with lonely.client() as client:
        assert_problem(client.post("/tasks/batch"), 400)
        assert_problem(client.post("/tasks/batch", content=b"", headers=JSON), 400)


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"[]", JSON, 400),
        (b"{", JSON, 400),
        (json.dumps(BATCH | {"more": 1}).encode(), JSON, 400),
        (json.dumps(BATCH).encode(), {"Content-Type": "text/plain"}, 415),
        (json.dumps(BATCH).encode(), {}, 415),
        (json.dumps(BATCH).encode(), JSON | {"Content-Encoding": "gzip"}, 415),
        (b" " * (10 << 20), JSON, 413),
    ],
    ids=["71", "no JSON", "80", "82", "82 without type", "85", "83"],
)
def test_a_bad_body_is_refused(
    lonely: Sidecar, body: bytes, headers: dict[str, str], status: int
) -> None:
    with lonely.client() as client:
        assert_problem(client.post("/tasks/batch", content=body, headers=headers), status)


def test_84_a_large_body_without_length_is_413(lonely: Sidecar) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(160):
            yield b" " * 65536

    with lonely.client() as client:
        assert_problem(client.post("/tasks/batch", content=chunks(), headers=JSON), 413)


def test_84_a_body_without_end_is_cut_off(lonely: Sidecar) -> None:
    head = f"POST /celery-admin/tasks/batch HTTP/1.1\r\nHost: x\r\nAuthorization: {admin()}\r\n"
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with closing(
        socket.create_connection(("127.0.0.1", lonely.port), timeout=PATIENCE_SECONDS)
    ) as sock:
        sock.sendall(head.encode())
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 1 << 30:
                sock.sendall(chunk)
                sent += len(chunk)
        assert sent < 128 << 20


def admin() -> str:
    return bearer("admin")["Authorization"]


def say(sidecar: Sidecar, words: bytes) -> bytes:
    """Send bytes as they are; return the first of the answer."""
    with closing(
        socket.create_connection(("127.0.0.1", sidecar.port), timeout=PATIENCE_SECONDS)
    ) as sock:
        sock.sendall(words)
        return sock.recv(65536)


@pytest.mark.parametrize(
    "words",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /celery-admin/tasks/batch HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /celery-admin/tasks/batch HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n" + b"X-Header: x\r\n" * 5000 + b"\r\n",
        b"GET /livez HTTP/1.1\r\nX-Header: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=lambda words: words[:30].decode("latin-1").strip(),
)
def test_what_is_no_request_is_4xx_at_most(lonely: Sidecar, words: bytes) -> None:
    assert say(lonely, words + b"\r\n\r\n")[9:10] in (b"", b"4")
    assert "Traceback" not in lonely.child.log_text()


BAD_TOKENS = {
    "100": jwt.encode(claims(), "", "none"),
    "103": token(exp=int(time.time()) - 31),
    "121": token() + "\xe4",
    "122": token(more="a" * 9000),
    "empty": "",
}


@pytest.mark.parametrize("bad", BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_a_bad_token_is_401(lonely: Sidecar, bad: str) -> None:
    words = b"GET /celery-admin/monitoring/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
    answer = say(lonely, words + bad.encode("latin-1") + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nWWW-Authenticate: Bearer\r\n" in answer


def test_a_question_is_answered_while_others_hang(lonely: Sidecar) -> None:
    """Half a request each, from as many as a thread pool would never hold."""
    waiting = [
        socket.create_connection(("127.0.0.1", lonely.port), timeout=PATIENCE_SECONDS)
        for _ in range(300)
    ]
    try:
        for sock in waiting:
            sock.sendall(b"POST /celery-admin/tasks/batch HTTP/1.1\r\nContent-Length: 10\r\n")
        began = time.monotonic()
        assert lonely.get("/monitoring/status", "viewer").status_code == 200
        assert time.monotonic() - began < PATIENCE_SECONDS
    finally:
        for sock in waiting:
            sock.close()


UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/tasks/batch", "/monitoring/ws", "/monitoring/w%73"])
@pytest.mark.parametrize("length", ["Content-Length: {0}", "Transfer-Encoding: chunked"])
def test_an_upgrade_hides_no_second_request_in_its_body(
    lonely: Sidecar, method: str, path: str, length: str
) -> None:
    body = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    head = f"{method} /celery-admin{path} HTTP/1.1\r\nHost: x\r\nAuthorization: {admin()}\r\n"
    head += UPGRADE + length.format(len(body)) + "\r\n\r\n"
    if "chunked" in length:
        body = f"{len(body):x}\r\n{body}\r\n0\r\n\r\n"
    with closing(
        socket.create_connection(("127.0.0.1", lonely.port), timeout=PATIENCE_SECONDS)
    ) as sock:
        sock.sendall((head + body).encode())
        sock.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 4")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_proxy_that_always_says_upgrade_is_understood(lonely: Sidecar) -> None:
    with lonely.client("viewer") as client:
        headers = {"Connection": "upgrade"}
        assert client.get("/monitoring/status", headers=headers).status_code == 200
        assert_problem(client.post("/monitoring/start", headers=headers, json={"a": 1}), 403)
        assert_problem(client.get("/monitoring/ws", headers=headers), 426)


# -- keys of a JWKS server ---------------------------------------------------------------------


class KeyServer:
    """Serves whatever ``document`` is; counts who asks."""

    def __init__(self, document: bytes) -> None:
        self.document, self.status, self.asked = document, 200, 0
        keys = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                keys.asked += 1
                self.send_response(keys.status)
                self.end_headers()
                self.wfile.write(keys.document)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> KeyServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def signed(name: str, kid: str) -> dict[str, str]:
    text = jwt.encode(claims(iss=ISSUER, aud=AUDIENCE), rsa_key(name), "RS256", {"kid": kid})
    return {"Authorization": f"Bearer {text}"}


def test_24_keys_rotate_and_outlive_their_server() -> None:
    old, new = jwk(rsa_key("old"), "old"), jwk(rsa_key("new"), "new")
    strict = ["--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE, "--jwks-refresh", "1"]
    with KeyServer(jwks(old)) as keys:
        env = {"CELERIAC_JWT_SECRET": ""}
        with Sidecar(extra=["--jwks-url", keys.url, *strict], env=env) as sidecar:

            def code(name: str, kid: str) -> int:
                url = f"{sidecar.url}/monitoring/status"
                return httpx.get(url, headers=signed(name, kid)).status_code

            wait_for(lambda: code("old", "old") == 200, PATIENCE_SECONDS, "the first keys")
            began, asked = time.monotonic(), keys.asked
            assert [code("new", f"unknown {n}") for n in range(50)] == [401] * 50
            # As often as time demands, whatever tokens come.
            assert keys.asked - asked <= 1 + time.monotonic() - began
            keys.document = jwks(new)
            wait_for(lambda: code("new", "new") == 200, PATIENCE_SECONDS, "the new key")
            assert code("old", "old") == 401
            keys.document = b"garbage"
            wait_for(
                lambda: "--jwks-url" in sidecar.child.log_text(),
                PATIENCE_SECONDS,
                "a fruitless try",
            )
            assert code("new", "new") == 200


# -- the end, and what is told ------------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_when_nothing_runs(signum: int) -> None:
    with Sidecar() as sidecar, sidecar.client() as kept_open:
        kept_open.get("/monitoring/status")
        sidecar.child.signal(signum)
        assert sidecar.child.wait(PATIENCE_SECONDS) == 0


def test_it_ends_as_well_while_it_starts() -> None:
    sidecar = Sidecar()
    sidecar.child.start()
    try:
        wait_for(
            lambda: catches(sidecar.child.pid, signal.SIGTERM), PATIENCE_SECONDS, "its first act"
        )
        sidecar.child.signal(signal.SIGTERM)
        assert sidecar.child.wait(PATIENCE_SECONDS) == 0
        assert sidecar.child.log_text() == ""
    finally:
        sidecar.stop()


def catches(pid: int, signum: int) -> bool:
    """Return whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (signum - 1) & 1)


def test_28_a_running_request_is_finished_while_readyz_says_stopping(valkey: Valkey) -> None:
    with Sidecar(valkey.url) as sidecar, ThreadPoolExecutor(1) as threads:
        # A look at a broker that hangs takes seconds.
        valkey.child.pause()
        running = threads.submit(
            httpx.get, f"{sidecar.url}/system/health", timeout=PATIENCE_SECONDS
        )
        wait_for(
            lambda: len(sockets_to(sidecar.child.pid, valkey.port)) > 0,
            PATIENCE_SECONDS,
            "the look",
        )
        sidecar.child.signal(signal.SIGTERM)
        wait_for(
            lambda: (
                accepts_connections(sidecar.port)
                and httpx.get(f"{sidecar.root}/readyz").status_code == 503
            ),
            PATIENCE_SECONDS,
            "readyz to say so",
        )
        assert running.result().status_code == 503
        assert running.result().json()["status"] == "unhealthy"
        assert sidecar.child.wait(PATIENCE_SECONDS) == 0
        valkey.child.resume()


def test_28_a_running_batch_is_finished_and_recorded(valkey: Valkey) -> None:
    with (
        Worker(valkey.url, "one") as worker,
        Sidecar(valkey.url) as sidecar,
        ThreadPoolExecutor(1) as threads,
    ):
        worker.ready()
        sidecar.post("/tasks/batch", BATCH)
        worker.child.pause()
        running = threads.submit(sidecar.post, "/tasks/batch", BATCH)
        wait_for(
            lambda: kinds(sidecar)[:1] == ["intent"], PATIENCE_SECONDS, "the intent of the second"
        )
        sidecar.child.signal(signal.SIGTERM)
        answer = running.result().json()
        assert answer["workers"] == {worker.node: "no_reply"}
        assert sidecar.child.wait(PATIENCE_SECONDS) == 0
        worker.child.resume()
        result = verify(f"sqlite:///{sidecar.database_path}")
    assert (result.records, result.first_bad) == (4, None)


def kinds(sidecar: Sidecar) -> list[str]:
    """Return what the audit's records are, the newest first."""
    return [record["kind"] for record in sidecar.get("/audit").json()["records"]]


def sockets_to(pid: int, port: int) -> list[str]:
    """Return the connections of a process to a port of this machine."""
    files = {os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir() if file.exists()}
    rows = [row.split() for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return [r[2] for r in rows if int(r[2][-4:], 16) == port and f"socket:[{r[9]}]" in files]


def test_a_websocket_does_not_hold_the_end_up() -> None:
    with Sidecar() as sidecar:
        url = sidecar.url.replace("http", "ws") + "/monitoring/ws"
        with connect_websocket(url, additional_headers=bearer()) as websocket:
            assert (
                json.loads(websocket.recv(PATIENCE_SECONDS))["message_type"]
                == "connection_established"
            )
            sidecar.child.signal(signal.SIGTERM)
            assert sidecar.child.wait(PATIENCE_SECONDS) == 0


def test_a_port_that_is_taken_is_one_line_and_2(lonely: Sidecar) -> None:
    second = Sidecar(extra=["--port", str(lonely.port)])
    second.child.start()
    try:
        assert second.child.wait(PATIENCE_SECONDS) == 2
        (line,) = second.child.log_text().splitlines()
        assert line.startswith("celeriac: --host or --port: cannot listen there")
    finally:
        second.stop()


CANARY = "canary5ecret"


def test_no_secret_is_told(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{CANARY}-alerts")
    file.chmod(0o600)
    env = {
        "CELERIAC_BROKER_URL": f"redis://:{CANARY}-broker@127.0.0.1:9/0",
        "CELERIAC_JWT_SECRET": f"{CANARY}-" * 4,
        "CELERIAC_LOG_LEVEL": "debug",
    }
    urls = [NOBODY.replace("//", f"//u:{CANARY}-{n}@") for n in range(3)]
    extra = ["--exporter-url", urls[0], "--prometheus-url", urls[1], "--alertmanager-url", urls[2]]
    extra += ["--alerts-token-file", str(file)]
    sidecar = Sidecar(env=env, extra=extra)
    # What the part gives by itself would go before the variable.
    command = sidecar.child.command
    at = command.index("--broker-url")
    del command[at : at + 2]
    with sidecar:
        signed_token = jwt.encode(claims("admin"), env["CELERIAC_JWT_SECRET"], "HS256")
        headers = {"Authorization": f"Bearer {signed_token}"}
        told = [httpx.get(sidecar.root + path).text for path in ("/metrics", "/livez")]
        document = httpx.get(f"{sidecar.url}/openapi.json").json()
        told.append(json.dumps(document))
        for path in document["paths"]:
            if "{" not in path and not path.endswith("/ws"):
                told.append(
                    httpx.get(sidecar.root + path, headers=headers, timeout=PATIENCE_SECONDS).text
                )
                told.append(
                    httpx.post(
                        sidecar.root + path, headers=headers, json=BATCH, timeout=PATIENCE_SECONDS
                    ).text
                )
        assert sidecar.child.terminate() == 0
        told.append(sidecar.child.log_text())
    assert CANARY not in "".join(told)
    assert SECRET not in "".join(told)
    assert signed_token not in "".join(told)
    assert "Traceback" not in told[-1]
