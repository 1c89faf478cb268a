"""Where the rules that Celeriac ships are: in a checkout, or where pip has put them."""

from __future__ import annotations

import sysconfig
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
INSTALLED = Path(sysconfig.get_path("data"), "share", "celeriac")
CONFIGURATION = Path("alertmanager", "alertmanager.yml")


def find_alerting() -> Path | None:
    """Return the folder with ``rules/`` and ``alertmanager/``; None if it was not installed."""
    folders = (root / "alerting" for root in (CHECKOUT, INSTALLED))
    return next((folder for folder in folders if (folder / CONFIGURATION).is_file()), None)
