"""A whole cluster on one machine: embedded broker, real workers, a load, everything wired."""

from __future__ import annotations

from pathlib import Path


def run(state_dir: Path, duration_seconds: float | None) -> None:
    """Run the demo until told to stop."""
    raise NotImplementedError
