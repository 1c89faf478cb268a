"""Saved reports in both databases, from several replicas at once."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from reported import NOON, report, task, troubled

from celeriac.sidecar.database import Database
from celeriac.sidecar.report_store import ReportStore
from parts.postgresql import PostgreSQL


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[ReportStore]]:
    """Those of four replicas."""
    url = f"sqlite:///{tmp_path / 'sidecar.db'}"
    if request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("server")
        server.query("DROP TABLE IF EXISTS reports")
        url = server.url
    databases = [Database(url) for _ in range(4)]
    yield [ReportStore(database, max_reports=20) for database in databases]
    for database in databases:
        database.close()


def test_a_report_comes_back_whole(stores: list[ReportStore]) -> None:
    saved = troubled()
    saved.tasks.append(task("nothing \0, \U0001f955, \\u0000, ' or 1=1 --"))
    stores[0].save(saved)
    assert msgspec.json.encode(stores[1].find(saved.report_id)) == msgspec.json.encode(saved)


def test_replicas_save_side_by_side(stores: list[ReportStore]) -> None:
    def save(number: int) -> None:
        moment = NOON + dt.timedelta(seconds=number)
        stores[number % 4].save(report(report_id=uuid.uuid4().hex, generated_at=moment))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(save, range(40)))
    assert [row.generated_at for row in stores[0].latest(100)] == [
        NOON + dt.timedelta(seconds=number) for number in range(39, 19, -1)
    ]


@pytest.mark.parametrize("report_id", ["", "x" * 10_000, "\0", "' or '1'='1", "\ud800", "0" * 32])
def test_any_id_may_be_asked_for(stores: list[ReportStore], report_id: str) -> None:
    assert stores[0].find(report_id) is None
