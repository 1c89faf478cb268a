"""promtool and amtool, as commands that succeed or say why not."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from parts.presence import require

if TYPE_CHECKING:
    from pathlib import Path


def promtool(*arguments: str | Path) -> str:
    """Return what promtool says; fail the test with it where promtool fails."""
    require("prometheus")
    return _said("promtool", *arguments)


def amtool(*arguments: str | Path) -> str:
    """Return what amtool says; fail the test with it where amtool fails."""
    require("alertmanager")
    return _said("amtool", *arguments)


def _said(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
