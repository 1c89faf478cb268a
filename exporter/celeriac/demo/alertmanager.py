"""The demo's Alertmanager, if this machine has one: the bundle's routes, told to the sidecar."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from celeriac.demo.sidecar import Sidecar

DEFAULT_PORT = 9093
WEBHOOK = "/celery-admin/alerts"
# Debian's name and everybody else's.
PROGRAMS = ("prometheus-alertmanager", "alertmanager")
# A demo is looked at for minutes.
GROUPING = {"group_wait": "5s", "group_interval": "10s"}


def find_program() -> str | None:
    """Return the path of Alertmanager, None if it is not on PATH."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def configuration(bundle: Path, sidecar: Sidecar) -> dict[str, Any]:
    """Return the bundle's configuration with one receiver in the place of all: the sidecar."""
    published = yaml.safe_load((bundle / "alertmanager" / "alertmanager.yml").read_text("utf-8"))
    receivers = [_receiver(receiver["name"], sidecar) for receiver in published["receivers"]]
    return {
        "route": _told_once(published["route"]) | GROUPING,
        "inhibit_rules": published.get("inhibit_rules", []),
        "receivers": receivers,
    }


def _receiver(name: str, sidecar: Sidecar) -> dict[str, Any]:
    credentials = {"type": "Bearer", "credentials_file": str(sidecar.alerts_token_file)}
    webhook = {
        "url": sidecar.url + WEBHOOK,
        "http_config": {"authorization": credentials},
    }
    return {"name": name, "webhook_configs": [webhook]}


def _told_once(route: dict[str, Any]) -> dict[str, Any]:
    """Return the route without ``continue``: every way out is the same one here."""
    below = [_told_once(child) for child in route.get("routes", [])]
    kept = {key: value for key, value in route.items() if key not in {"continue", "routes"}}
    return kept | ({"routes": below} if below else {})


def command(
    program: str, folder: Path, listen_address: str, configured: dict[str, Any]
) -> list[str]:
    """Write the configuration into ``folder``; return the command that runs Alertmanager there."""
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(configured, sort_keys=False), encoding="utf-8")
    return [
        program,
        f"--config.file={path}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={listen_address}",
        # One alone: nobody to gossip with.
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
