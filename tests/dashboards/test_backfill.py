"""Rules over a made-up history: in which order, and from when on an alert fires."""

from __future__ import annotations

import pytest

from grafana.tour.backfill import _after, _levels, _nameless, _seconds


def test_a_rule_waits_for_those_that_it_reads() -> None:
    base = {"record": "a:b:max", "expr": "max(b)"}
    above = {"record": "a:b:sum", "expr": "sum(a:b:max)"}
    assert list(_levels([above, base])) == [[base], [above]]


def test_a_rule_may_read_itself() -> None:
    rule = {"record": "a:b:max", "expr": "b or last_over_time(a:b:max[1h])"}
    assert list(_levels([rule])) == [[rule]]


def test_rules_that_read_each_other_are_refused() -> None:
    rules = [{"record": "a:b:c", "expr": "d:e:f"}, {"record": "d:e:f", "expr": "a:b:c"}]
    with pytest.raises(ValueError, match="read each other"):
        list(_levels(rules))


def test_an_alert_fires_once_its_condition_has_held_long_enough() -> None:
    points = [(at, 1.0) for at in (0.0, 15.0, 30.0, 45.0)]
    firing, since = _after(points, 30.0)
    assert firing == [(30.0, 1.0), (45.0, 1.0)]
    assert since[-1] == (45.0, 0.0)


def test_a_gap_begins_the_wait_anew() -> None:
    points = [(0.0, 1.0), (15.0, 1.0), (60.0, 1.0), (75.0, 1.0)]
    firing, _ = _after(points, 30.0)
    assert firing == []


def test_durations_may_have_parts() -> None:
    assert _seconds("1h30m") == 5400


def test_series_that_differ_in_their_names_alone_are_one() -> None:
    rows = [
        {"metric": {"__name__": "a", "queue": "q"}, "values": [[30, "3"]]},
        {"metric": {"__name__": "b", "queue": "q"}, "values": [[15, "1"]]},
    ]
    assert _nameless(rows) == [({"queue": "q"}, [(15.0, 1.0), (30.0, 3.0)])]
