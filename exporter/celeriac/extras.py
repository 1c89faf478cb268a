"""What pip installs only where it is asked for: the extras, by the modules that they bring."""

from __future__ import annotations

import importlib.util

from celeriac.errors import ConfigurationError

SIDECAR = ("flask", "gevent", "jwt", "limits", "sqlalchemy", "wsproto")


def check_sidecar_extra(command: str) -> None:
    """Check that what only the sidecar needs is installed. Errors: ConfigurationError."""
    missing = [name for name in SIDECAR if importlib.util.find_spec(name) is None]
    if missing:
        problem = f"needs pip install 'celeriac[sidecar]' ({', '.join(missing)})"
        raise ConfigurationError(command, problem)
