"""The doctor on events: switched on, announced by clients, readable, complete."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cluster import Cluster as Cell
from cluster import stats
from examined import (
    CONF,
    cluster,
    finding,
    findings,
    queue,
    report,
    with_cluster,
    words,
    worker,
)

from celeriac.doctor.evidence import Cluster
from celeriac.doctor.findings import Severity
from celeriac.doctor.listening import Heard, Voice

QUIET = {"one@host": Voice(6)}


def silent(name: str = "off@host", **fields: Any) -> Any:
    return worker(name, **{"events_enabled": False, **fields})


def unannounced(*, conf_is_on: bool, ready: int = 0, **heard: Any) -> Cluster:
    conf = replace(CONF, sends_sent_events=conf_is_on)
    return cluster(
        worker(report=report(conf=conf)),
        queues=(queue(ready=ready),),
        heard=Heard(QUIET, **heard),
    )


def test_a_worker_that_counts_without_events_is_named() -> None:
    examined = cluster(worker(), silent(), heard=Heard({"one@host": Voice(6, 3)}))
    found = finding("task-events-off", with_cluster(examined))
    assert (found.severity, found.title) == (
        Severity.WARNING,
        "1 worker without task events: off@host",
    )
    assert "--enable-events" in found.remedy


def test_no_worker_with_events_is_a_problem() -> None:
    examined = cluster(silent(), heard=Heard())
    assert finding("task-events-off", with_cluster(examined)).severity is Severity.PROBLEM


def test_what_cannot_be_told_is_a_note() -> None:
    examined = cluster(worker(events_enabled=None), heard=Heard(QUIET))
    found = finding("task-events-off", with_cluster(examined))
    assert (found.severity, found.title) == (
        Severity.NOTE,
        "Task events cannot be told yet of 1 worker: one@host",
    )


def test_one_event_tells() -> None:
    examined = cluster(worker(events_enabled=None), heard=Heard({"one@host": Voice(6, 1)}))
    assert findings("task-events-off", with_cluster(examined)) == []


def test_the_configuration_tells_that_they_are_on() -> None:
    conf = replace(CONF, sends_task_events=True)
    examined = cluster(worker(events_enabled=None, report=report(conf=conf)), heard=Heard(QUIET))
    assert findings("task-events-off", with_cluster(examined)) == []


def test_a_task_that_nobody_announced_is_named() -> None:
    examined = unannounced(conf_is_on=False, unannounced={"app.add": 3}, senders=frozenset({"web"}))
    found = finding("sent-events-off", with_cluster(examined))
    assert (found.severity, found.title) == (
        Severity.WARNING,
        "Clients do not announce what they publish: app.add",
    )
    assert "app.add (3)" in words(found)
    assert "one@host" in words(found)
    assert "web" in words(found)
    assert "task_send_sent_event = True" in found.remedy


def test_a_client_of_another_configuration_is_found_by_its_tasks() -> None:
    examined = unannounced(conf_is_on=True, unannounced={"app.add": 1}, sent={"app.mail": 4})
    assert finding("sent-events-off", with_cluster(examined)).severity is Severity.WARNING


def test_what_may_have_waited_for_long_is_only_a_note() -> None:
    examined = unannounced(conf_is_on=True, ready=500, unannounced={"app.add": 1})
    assert finding("sent-events-off", with_cluster(examined)).severity is Severity.NOTE


def test_the_configuration_tells_that_nobody_announces() -> None:
    examined = unannounced(conf_is_on=False)
    assert finding("sent-events-off", with_cluster(examined)).severity is Severity.WARNING


def test_an_announcement_proves_the_configuration_wrong() -> None:
    assert (
        findings("sent-events-off", with_cluster(unannounced(conf_is_on=False, sent={"a": 1})))
        == []
    )


def test_events_that_cannot_be_read_are_a_warning_with_reasons() -> None:
    cell = Cell()
    cell.state.reject_events(["content_type", "content_type", "body"])
    examined = cluster(worker())
    snapshot = replace(examined.snapshot, exporter=cell.snapshot().exporter)
    found = finding("events-unreadable", with_cluster(replace(examined, snapshot=snapshot)))
    assert found.severity is Severity.WARNING
    assert "content_type (2)" in found.title
    assert "event_serializer" in found.remedy


def missing(count: int) -> Cluster:
    examined = cluster(worker())
    exporter = replace(examined.snapshot.exporter, events_missed=count)
    return replace(examined, snapshot=replace(examined.snapshot, exporter=exporter))


def test_missed_events_are_a_warning() -> None:
    found = finding("events-missed", with_cluster(missing(7)))
    assert found.title.startswith("7 events")


def test_what_may_be_a_start_from_before_is_not_missed() -> None:
    assert findings("events-missed", with_cluster(missing(2))) == []


@pytest.mark.parametrize(
    ("version", "pool", "is_told"),
    [
        ("5.6.3", "threads", True),
        ("5.5.3", "gevent", True),
        ("5.6.3", "prefork", False),
        ("5.6.3", "solo", False),
        ("5.7.0", "threads", False),
        ("5.10.1", "threads", False),
        ("main", "threads", False),
        (None, "threads", False),
    ],
)
def test_an_old_worker_with_threads_may_lose_events(
    version: str | None, pool: str, is_told: bool
) -> None:
    answered = report(stats=stats(pool=pool))
    examined = cluster(worker(version=version, report=answered), heard=Heard(QUIET))
    told = findings("events-lost", with_cluster(examined))
    assert [found.evidence for found in told] == (
        [(f"one@host: celery {version}, pool {pool}",)] if is_told else []
    )


def test_a_worker_without_events_has_none_to_lose() -> None:
    old = worker(version="5.6.3", report=report(stats=stats(pool="threads")), events_enabled=False)
    assert not findings("events-lost", with_cluster(cluster(old, heard=Heard(QUIET))))
