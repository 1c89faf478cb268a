"""Everything in this folder runs against real parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from parts.exporter import Exporter
from parts.valkey import Valkey

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.real)


@pytest.fixture(scope="module")
def idle_exporter() -> Iterator[Exporter]:
    """An exporter that is ready, beside a broker that nobody uses."""
    with Valkey() as valkey, Exporter(valkey.url) as exporter:
        exporter.ready()
        yield exporter
