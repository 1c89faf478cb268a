"""The demo from its first line to its last: lock, start, show, hold, end everything."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from celeriac.demo.children import ChildDiedError, Children
from celeriac.demo.cluster import Addresses, Cluster
from celeriac.demo.guide import LOOKS
from celeriac.demo.screen import Screen
from celeriac.demo.state_dir import StateDir
from celeriac.demo.watch import StartTimeoutError, StopRequestedError, Watch, stop_signals


def play(state_path: Path, duration_seconds: float | None, *, is_healthy: bool) -> None:
    """Run one demo in the folder; exit with 1 if a part of it fails, after ending the rest."""
    state, screen = StateDir(state_path), Screen()
    # Whatever fails from here on, a closed terminal included: children end on the way out.
    with (
        state.locked(),
        stop_signals() as stop_requested,
        Children(state.logs) as children,
    ):
        try:
            watch = Watch(children, stop_requested)
            with screen.starting(Cluster.STEPS) as announce:
                cluster = Cluster(state, children, watch, announce, is_healthy=is_healthy)
                addresses = cluster.start()
            state.write_env(_env(state, addresses))
            looks = [look for look in LOOKS if not (is_healthy and look.is_trouble)]
            screen.show_guide(addresses, state, looks, _end_of(duration_seconds))
            watch.hold(duration_seconds)
        except StopRequestedError:
            pass
        except (ChildDiedError, StartTimeoutError) as error:
            click.echo(f"celeriac demo: {error}\nAll logs: {state.logs}", err=True)
            sys.exit(1)
        finally:
            screen.say("ending everything it started")
    screen.say("nothing of it runs any more")


def _env(state: StateDir, addresses: Addresses) -> dict[str, str]:
    values = {
        "EXPORTER_URL": addresses.exporter_url,
        "BROKER_URL": addresses.broker_url,
        "PROMETHEUS_URL": addresses.prometheus_url,
        "ALERTMANAGER_URL": addresses.alertmanager_url,
        "SIDECAR_URL": addresses.sidecar_url,
        "SIDECAR_TOKEN": addresses.admin_token,
        "SIDECAR_VIEWER_TOKEN": addresses.viewer_token,
        "STATE_DIR": str(state.path),
    }
    return {name: value for name, value in values.items() if value is not None}


def _end_of(duration_seconds: float | None) -> str:
    if duration_seconds is None:
        return "Ctrl-C"
    return f"Ctrl-C, or by itself after {duration_seconds:g} s"
