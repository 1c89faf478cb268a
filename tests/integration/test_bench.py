"""The benchmarks run to their end, and everything they send is counted; no figure is judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from parts.presence import require
from parts.processes import PYTHON_PATH, inherited_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]


# Those that publish faster than a busy machine can count belong to `make bench`.
@pytest.mark.parametrize("scenario", ["ingestion", "start"])
def test_a_benchmark_counts_what_it_sends(scenario: str, tmp_path: Path) -> None:
    require("redis", "rabbitmq")
    output = tmp_path / "figures.jsonl"
    command = [sys.executable, "-m", "bench", "--without-others", "--only", scenario]
    done = subprocess.run(
        [*command, "--output", str(output)],
        cwd=ROOT,
        env=inherited_environment() | {"PYTHONPATH": os.pathsep.join([str(ROOT), PYTHON_PATH])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    about, *figures = map(json.loads, output.read_text().splitlines())
    assert about["wrong_counts"] == []
    assert {figure["consumer"] for figure in figures} >= {"celeriac"}
