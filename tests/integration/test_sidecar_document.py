"""The OpenAPI document against the real thing: no 5xx, no answer that it does not describe."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from parts.exporter import Exporter
from parts.processes import inherited_environment
from parts.prometheus import Prometheus
from parts.sidecar import Sidecar
from parts.valkey import Valkey
from parts.workers import Worker
from tokens import bearer

LONGEST_SECONDS = 180
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
)


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    """A sidecar with everything around it, which may be broken."""
    with (
        Valkey() as broker,
        Exporter(broker.url) as exporter,
        Worker(broker.url, "one") as worker,
        Prometheus([f"127.0.0.1:{exporter.port}"]) as prometheus,
        Sidecar(
            broker.url,
            exporter.url,
            prometheus.url,
            extra=["--ws-auth", "optional", "--control-timeout", "0.5"],
        ) as sidecar,
    ):
        worker.ready()
        exporter.ready()
        yield sidecar


@pytest.mark.slow
@pytest.mark.parametrize("role", ["admin", "viewer"])
def test_schemathesis_finds_nothing(sidecar: Sidecar, role: str) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{sidecar.url}/openapi.json"]
    command += ["--header", f"Authorization:{bearer(role)['Authorization']}"]
    command += ["--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"]
    command += ["--max-examples", "5", "--seed", "1", "--suppress-health-check", "all"]
    command += ["--exclude-path", "/celery-admin/monitoring/ws", "--no-color"]
    done = subprocess.run(
        command,
        cwd=sidecar.folder,
        env=inherited_environment(),
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Traceback" not in sidecar.child.log_text()
