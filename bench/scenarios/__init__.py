"""What is measured: one module each, with NAME, TARGETS and ``measure``."""

from __future__ import annotations

from bench.rounds import Scenario
from bench.scenarios import (
    batch,
    ingestion,
    lag,
    loss,
    memory,
    page,
    quiet,
    report,
    sampling,
    sidecar,
    start,
    stream,
)

SCENARIOS: tuple[Scenario, ...] = (
    ingestion, loss, lag, page, sampling, memory, quiet, start, sidecar, batch,
    stream, report,
)  # fmt: skip
