"""Grafana's own SDK reads the dashboards and writes them again: a misspelt key would be lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.files import PATHS, read


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that is no object or list, by the way to it."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")
    else:
        yield path, value


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_round_trip_loses_no_key(path: Path) -> None:
    register_default_plugins()
    dashboard = read(path)
    text = JSONEncoder(sort_keys=True).encode(Dashboard.from_json(dashboard))
    again = dict(leaves(json.loads(text)))
    lost = {way: value for way, value in leaves(dashboard) if again.get(way, "lost") != value}
    assert lost == {}
