"""Saved reports come back as they were, and old ones give way."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec
import pytest
from reported import NOON, report, troubled

from celeriac.sidecar.database import Database
from celeriac.sidecar.report_store import ReportStore


@pytest.fixture
def store(tmp_path: Path) -> ReportStore:
    return ReportStore(Database(f"sqlite:///{tmp_path / 'reports.db'}"), max_reports=3)


def save(store: ReportStore, number: int) -> None:
    moment = NOON + dt.timedelta(minutes=number)
    store.save(report(report_id=f"{number:032}", generated_at=moment))


def test_a_report_comes_back_whole(store: ReportStore) -> None:
    saved = troubled()
    store.save(saved)
    found = store.find(saved.report_id)
    assert msgspec.json.encode(found) == msgspec.json.encode(saved)


def test_an_empty_store_lists_nothing(store: ReportStore) -> None:
    assert store.latest(10) == []
    assert store.find("0") is None


def test_the_latest_comes_first(store: ReportStore) -> None:
    for number in (2, 1, 3):
        save(store, number)
    assert [int(row.report_id) for row in store.latest(2)] == [3, 2]


def test_the_oldest_gives_way(store: ReportStore) -> None:
    for number in range(5):
        save(store, number)
    assert [int(row.report_id) for row in store.latest(10)] == [4, 3, 2]
    assert store.find(f"{0:032}") is None
