"""What every scenario is given: how long it may take, where files go, who else is there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parts.processes import PYTHON_PATH, Child

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Stage:
    """The setting of one run of the benchmarks."""

    is_full: bool
    folder: Path
    """For recorded loads; they are made once for all rounds."""
    others: Path | None
    """The Python of the environment that the other exporters are installed in."""
    say: Callable[[str], None]


def module(name: str, folder: Path, *arguments: str) -> Child:
    """Return ``python -m bench.NAME``, not started, with its output in *folder*."""
    env = {"PYTHONPATH": os.pathsep.join([str(ROOT), PYTHON_PATH])}
    return Child(name, [sys.executable, "-m", f"bench.{name}", *arguments], folder, env)
