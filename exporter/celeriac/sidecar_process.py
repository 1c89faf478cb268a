"""The process of ``celeriac sidecar``: greenlets for threads, before anything is imported."""

from __future__ import annotations

import signal
import sys
from urllib.parse import urlsplit

from celeriac.sidecar_settings import SidecarSettings


def run(settings: SidecarSettings) -> None:
    """Run a sidecar until SIGTERM or SIGINT. Errors: ConfigurationError."""
    # Until something runs that has to be ended in order.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(0))
    from gevent import monkey

    # Thousands of sockets may be open here, most of them idle: as greenlets they cost little.
    monkey.patch_all()
    from celeriac import brokers
    from celeriac.sidecar import composition

    brokers.check_scheme(urlsplit(settings.broker.url).scheme)
    composition.run(settings)
