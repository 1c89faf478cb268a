"""What a report asks for is what the exporter has."""

from __future__ import annotations

import pytest

from celeriac.clients.celery_history import EXCEPTIONS, GAUGES, Scope
from celeriac.clients.celery_history import FAMILIES as ASKED
from celeriac.clients.counters import HEARTBEAT
from celeriac.clients.scrapes import REPLICA_LABELS, SERIES_LABELS
from celeriac.exposition.families import FAMILIES

KINDS = {family.name: family.kind for family in FAMILIES}
LABELS = {family.name: set(family.labels) for family in FAMILIES}


def test_every_counter_is_one_of_the_exporters() -> None:
    assert {KINDS[name] for name in ASKED.counted} == {"counter"}


def test_every_companion_is_one_of_the_exporters() -> None:
    parts = ASKED.companions - {EXCEPTIONS}
    assert {KINDS[name.rpartition("_")[0]] for name in parts} == {"histogram"}
    assert KINDS[EXCEPTIONS] == "counter"


@pytest.mark.parametrize("label", GAUGES)
def test_every_gauge_has_its_label(label: str) -> None:
    for gauge in GAUGES[label].values():
        assert KINDS[gauge.family] == "gauge"
        assert LABELS[gauge.family] == {label}


def test_the_heartbeat_is_one_series() -> None:
    assert LABELS[HEARTBEAT] == set()


def test_no_label_of_a_series_is_taken_for_the_targets() -> None:
    asked = [LABELS[name] for name in ASKED.counted]
    assert set().union(*asked) <= SERIES_LABELS
    assert not REPLICA_LABELS & SERIES_LABELS


def test_a_scope_admits_what_does_not_tell() -> None:
    scope = Scope(task="a", queue="q")
    assert scope.admits(frozenset({("worker", "w")}))
    assert scope.admits(frozenset({("task", "a"), ("queue", "q")}))
    assert not scope.admits(frozenset({("task", "a"), ("queue", "r")}))
