"""The doctor on queues and on the messages that workers hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cluster import EPOCH, running
from examined import (
    ASKED,
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

from celeriac.doctor.evidence import Cluster, Due, Evidence
from celeriac.doctor.findings import Severity
from celeriac.model.facts import QueueDepth, Request
from celeriac.model.histogram import HistogramView
from celeriac.model.tallies import TallyView

WAITING = Request("next", "app.add", "celery", "celery")


def test_messages_without_consumer_are_a_warning_with_their_number() -> None:
    examined = cluster(worker(), queues=(queue(), queue("parked", 1234, 0)))
    found = finding("queue-unconsumed", with_cluster(examined))
    assert (found.severity, found.title) == (
        Severity.WARNING,
        "Messages wait where nobody consumes: parked",
    )
    assert "parked: 1,234 waiting, no consumer" in found.evidence


def test_an_empty_queue_without_consumer_is_a_note() -> None:
    examined = cluster(worker(), queues=(queue("old", 0, 0),))
    assert finding("queue-unconsumed", with_cluster(examined)).severity is Severity.NOTE


def test_a_queue_of_which_consumers_are_unknown_is_none() -> None:
    examined = cluster(worker(), queues=(queue("odd", 5, None),))
    assert findings("queue-unconsumed", with_cluster(examined)) == []


def test_a_queue_that_is_consumed_and_does_not_exist_is_a_warning() -> None:
    examined = cluster(worker(), queues=(queue(), queue("gone", None, 1)))
    found = finding("queue-absent", with_cluster(examined))
    assert (found.severity, found.title) == (
        Severity.WARNING,
        "Workers consume queues that do not exist: gone",
    )


def test_where_no_queue_has_a_length_none_is_missed() -> None:
    examined = cluster(worker(), queues=(queue("gone", None, 1),))
    assert findings("queue-absent", with_cluster(examined)) == []


def test_a_queue_of_ours_that_nobody_knows_is_a_note() -> None:
    examined = cluster(worker(), asked=replace(ASKED, queues=frozenset({"mial"})))
    found = finding("queue-absent", with_cluster(examined))
    assert (found.severity, found.title) == (
        Severity.NOTE,
        "Queues of --queues that do not exist: mial",
    )


# -- prefetched behind long tasks ----------------------------------------------------------


def holding(**fields: Any) -> Cluster:
    """A worker that has run a task for ten minutes, and holds another one."""
    active = (running("long", "app.report", at=EPOCH - 600),)
    made = report(active=active, reserved=(WAITING,), **fields)
    return cluster(worker(report=made))


def test_a_task_held_behind_a_long_one_is_a_warning_that_names_both() -> None:
    found = finding("prefetch", with_cluster(holding()))
    assert found.severity is Severity.WARNING
    assert found.title == "one@host holds 1 task back behind long ones: app.report"
    assert "worker_prefetch_multiplier = 1" in found.remedy


def test_a_multiplier_of_one_is_all_that_can_be_done() -> None:
    held = holding(conf=replace(CONF, prefetch_multiplier=1))
    assert findings("prefetch", with_cluster(held)) == []


def test_a_task_that_has_just_begun_is_not_long() -> None:
    made = report(active=(running("new", at=EPOCH - 5),), reserved=(WAITING,))
    assert findings("prefetch", with_cluster(cluster(worker(report=made)))) == []


def test_the_age_of_a_task_is_by_the_clock_of_its_worker() -> None:
    made = report(active=(running("new", at=EPOCH - 600),), reserved=(WAITING,))
    behind = worker(report=made, clock_skew_seconds=-595.0)
    assert findings("prefetch", with_cluster(cluster(behind))) == []


def test_a_task_that_takes_minutes_as_a_rule_is_long_from_the_start() -> None:
    made = report(active=(running("new", "app.report", at=EPOCH - 5),), reserved=(WAITING,))
    examined = cluster(worker(report=made))
    runtime = HistogramView((1.0,), (0, 2), 300.0)
    tally = TallyView(("app.report", "celery"), (), {}, runtime, None, None, None, None)
    snapshot = replace(examined.snapshot, tallies=[tally])
    assert finding("prefetch", with_cluster(replace(examined, snapshot=snapshot)))


# -- delivered twice -----------------------------------------------------------------------


def late(**fields: Any) -> Evidence:
    due = (Due("one@host", "app.remind", 7200.0),)
    return with_cluster(cluster(worker(), **{"due": due, **fields}))


def test_an_eta_beyond_the_visibility_timeout_is_a_warning_that_names_the_task() -> None:
    found = finding("redelivery", late())
    assert found.severity is Severity.WARNING
    assert "visibility_timeout is 60 min" in found.evidence
    assert "app.remind with an ETA of up to 2 h" in words(found)


def test_an_eta_within_it_is_none() -> None:
    assert findings("redelivery", late(due=(Due("one@host", "app.remind", 600.0),))) == []


def test_rabbitmq_has_no_visibility_timeout() -> None:
    assert findings("redelivery", late(asked=replace(ASKED, scheme="amqp"))) == []


@pytest.mark.parametrize("is_late", [True, False])
def test_a_long_time_limit_matters_only_with_late_acknowledgement(is_late: bool) -> None:
    conf = replace(CONF, acks_late=is_late, task_time_limit_seconds=7200.0)
    evidence = with_cluster(cluster(worker(report=report(conf=conf))))
    assert bool(findings("redelivery", evidence)) is is_late


def test_a_task_that_runs_for_longer_is_named() -> None:
    conf = replace(CONF, acks_late=True, visibility_timeout_seconds=300.0)
    found = finding("redelivery", with_cluster(holding(conf=conf)))
    assert "app.report has run for longer" in words(found)


def test_workers_with_different_timeouts_disturb_each_other() -> None:
    other = report("two@host", replace(CONF, visibility_timeout_seconds=60.0))
    found = finding("redelivery", with_cluster(cluster(worker(), worker("two@host", report=other))))
    assert "visibility_timeout is 60 s" in found.evidence


def test_what_the_broker_itself_shows_to_be_at_risk_is_named() -> None:
    risky = queue()._replace(depth=QueueDepth(0, 3, redelivery_risk=3))
    found = finding("redelivery", with_cluster(cluster(worker(), queues=(risky,))))
    assert "3 messages of queue celery held past it" in words(found)
