"""The OpenAPI document against the real thing: no 5xx, no answer that it does not describe."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from parts.exporter import Exporter
from parts.processes import inherited_environment
from parts.prometheus import Prometheus
from parts.sidecar import Sidecar
from parts.valkey import Valkey
from parts.workers import Worker
from tokens import bearer

LONGEST_SECONDS = 300
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
def test_schemathesis_finds_nothing(sidecar: Sidecar) -> None:
    """As an admin and, beside it, as a viewer."""
    with ThreadPoolExecutor(2) as threads:
        for done in threads.map(lambda role: run_schemathesis(sidecar, role), ("admin", "viewer")):
            assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Traceback" not in sidecar.child.log_text()


def run_schemathesis(sidecar: Sidecar, role: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{sidecar.url}/openapi.json"]
    command += ["--header", f"Authorization:{bearer(role)['Authorization']}"]
    command += ["--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"]
    command += ["--max-examples", "5", "--seed", "1", "--suppress-health-check", "all"]
    command += ["--exclude-path", "/celery-admin/monitoring/ws", "--no-color"]
    folder = sidecar.folder / role
    folder.mkdir()
    return subprocess.run(
        command,
        cwd=folder,
        env=inherited_environment(),
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
