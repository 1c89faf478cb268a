"""The doctor on the broker: there, open, the right database, prefix, virtual host and names."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cluster import Cluster as Cell
from examined import (
    ASKED,
    EVENT_QUEUE,
    NAMES,
    RABBITMQ,
    REDIS,
    cluster,
    finding,
    findings,
    healthy,
    with_broker,
    with_cluster,
    words,
    worker,
)

from celeriac.doctor.broker_facts import Channel, Contact, Names, Pidbox, RedisFacts, Trace
from celeriac.doctor.checks.broker import remedy
from celeriac.doctor.evidence import Evidence
from celeriac.doctor.findings import Severity, diagnose
from celeriac.doctor.listening import Heard
from celeriac.doctor.table import CHECKS
from celeriac.doctor.unexamined import Unexamined
from celeriac.model.facts import QueueDepth

ELSEWHERE = Trace(1, "", frozenset({"celery", "celery.pidbox"}), frozenset({"one@host"}))


def test_an_unreachable_broker_is_a_problem_with_its_address() -> None:
    contact = Contact(ASKED, "unreachable", "OperationalError: Error 111 Connection refused.")
    found = finding("broker-unreachable", healthy()._replace(contact=contact))
    assert found.severity is Severity.PROBLEM
    assert ASKED.broker in found.title
    assert "Start the broker" in found.remedy


def test_a_refusal_is_a_problem_of_its_own() -> None:
    contact = Contact(ASKED, "refused", "NotAllowed: (530) NOT_ALLOWED - vhost app not found")
    evidence = healthy()._replace(contact=contact)
    assert "rabbitmqctl add_vhost" in finding("broker-refused", evidence).remedy
    assert findings("broker-unreachable", evidence) == []


@pytest.mark.parametrize(
    ("said", "part_of_remedy"),
    [
        ("AuthenticationError: Authentication required.", "add it to the URL"),
        ("invalid username-password pair or user is disabled.", "Correct user and password"),
        ("(403) ACCESS_REFUSED - Login was refused", "Correct user and password"),
        ("access to vhost '/' refused for user 'app'", "set_permissions"),
        ("NoPermissionError: this user has no permissions", "to subscribe"),
        ("DB index is out of range", "no such database"),
        ("Error -2 connecting to nowhere:6379. Name or service not known.", "host name"),
        ("OperationalError: timed out", "firewall"),
        ('Protocol error, got "A" as reply type byte', "Something else"),
        ("certificate verify failed", "ssl_ca_certs"),
        ("what nobody has ever read", "Check that the broker runs"),
    ],
)
def test_what_was_said_decides_the_remedy(said: str, part_of_remedy: str) -> None:
    assert part_of_remedy in remedy(said)


def test_a_source_that_fails_is_a_problem_with_its_complaint() -> None:
    cell = Cell()
    for source in ("workers", "queues", "beat"):
        cell.state.succeed(source, cell.now)
    cell.state.fail("events", "auth")
    examined = cluster(worker())
    snapshot = replace(examined.snapshot, sources=cell.snapshot().sources)
    said = ("source events fails: redis://broker:6379/0: NoPermissionError",)
    found = finding(
        "not-sampled", with_cluster(replace(examined, snapshot=snapshot, complaints=said))
    )
    assert (found.severity, found.evidence) == (Severity.PROBLEM, said)
    assert "events (auth)" in found.title


def deaf_and_blind() -> Evidence:
    cell = Cell()
    examined = cluster(worker(), heard=Heard())
    return with_cluster(
        replace(examined, snapshot=replace(examined.snapshot, sources=cell.snapshot().sources))
    )


def test_what_could_not_be_sampled_is_judged_by_nobody() -> None:
    diagnosis = diagnose(CHECKS, deaf_and_blind())
    blind = {code: part.reason for part in diagnosis.not_examined for code in part.codes}
    assert blind["heartbeats-off"] == blind["task-events-off"] == "no event could be heard"
    assert blind["queue-unconsumed"] == "the queues could not be sampled"


# -- Redis: database and prefix ------------------------------------------------------------


def test_keys_in_another_database_only_are_a_problem_that_names_it() -> None:
    facts = RedisFacts(ASKED, 0, "", traces=(ELSEWHERE,))
    found = finding("redis-database", with_broker(redis=facts))
    assert found.severity is Severity.PROBLEM
    assert found.title == "Celery is not in database 0 but in 1"
    assert "one@host" in words(found)
    assert "/1" in found.remedy


def test_heartbeats_of_another_database_are_enough() -> None:
    facts = RedisFacts(ASKED, 0, "", channels=frozenset({Channel("", 4, "celeryev")}))
    assert "in 4" in finding("redis-database", with_broker(redis=facts)).title


def test_where_celery_has_been_another_database_is_only_a_warning() -> None:
    was_here = Trace(0, "", frozenset({"celery"}), frozenset())
    facts = RedisFacts(ASKED, 0, "", traces=(was_here, ELSEWHERE))
    assert finding("redis-database", with_broker(redis=facts)).severity is Severity.WARNING


def test_a_second_application_in_another_database_is_nobodys_business() -> None:
    facts = replace(REDIS, traces=(*REDIS.traces, ELSEWHERE))
    assert findings("redis-database", with_broker(redis=facts)) == []


def test_old_bindings_elsewhere_are_no_finding_where_celery_has_been() -> None:
    was_here = Trace(0, "", frozenset({"celery"}), frozenset())
    old = Trace(1, "", frozenset({"celery"}), frozenset())
    facts = RedisFacts(ASKED, 0, "", traces=(was_here, old))
    assert findings("redis-database", with_broker(redis=facts)) == []


def test_another_prefix_is_a_problem_that_names_the_option() -> None:
    facts = RedisFacts(ASKED, 0, "", traces=(ELSEWHERE._replace(database=0, prefix="app:"),))
    found = finding("redis-keyprefix", with_broker(redis=facts))
    assert found.severity is Severity.PROBLEM
    assert "global_keyprefix=app:" in found.remedy
    assert findings("redis-database", with_broker(redis=facts)) == []


def test_no_prefix_is_a_prefix_too() -> None:
    facts = RedisFacts(ASKED, 0, "app:", traces=(ELSEWHERE._replace(database=0),))
    found = finding("redis-keyprefix", with_broker(redis=facts))
    assert found.remedy.startswith("Leave out global_keyprefix")


def test_another_prefix_in_another_database_names_both() -> None:
    facts = RedisFacts(ASKED, 0, "", traces=(ELSEWHERE._replace(prefix="app:"),))
    found = finding("redis-keyprefix", with_broker(redis=facts))
    assert "global_keyprefix=app:" in found.remedy
    assert "/1" in found.remedy


def test_a_prefix_in_our_own_database_is_the_nearest_guess() -> None:
    prefixed = ELSEWHERE._replace(database=0, prefix="app:")
    facts = RedisFacts(ASKED, 0, "", traces=(prefixed, ELSEWHERE))
    assert "global_keyprefix=app:" in finding("redis-keyprefix", with_broker(redis=facts)).remedy
    assert findings("redis-database", with_broker(redis=facts)) == []


# -- RabbitMQ: virtual host, event exchange, event queue -----------------------------------


def test_a_virtual_host_without_celerys_exchanges_is_a_problem() -> None:
    facts = replace(
        RABBITMQ,
        vhost="app",
        has_event_exchange=False,
        has_control_exchange=False,
        pidboxes=(Pidbox("prod", "one@host", "celery"),),
    )
    found = finding("rabbitmq-vhost", with_broker(rabbitmq=facts))
    assert found.severity is Severity.PROBLEM
    assert found.title == "Celery is not in virtual host app but in prod"
    assert "one@host" in words(found)


def test_workers_in_another_virtual_host_only_are_a_warning() -> None:
    facts = replace(RABBITMQ, pidboxes=(Pidbox("prod", "one@host", "celery"),))
    assert finding("rabbitmq-vhost", with_broker(rabbitmq=facts)).severity is Severity.WARNING


def test_without_the_management_api_an_exchange_is_enough() -> None:
    facts = replace(RABBITMQ, pidboxes=Unexamined("no API"), is_api_configured=False)
    assert findings("rabbitmq-vhost", with_broker(rabbitmq=facts)) == []
    assert finding("management-api", with_broker(rabbitmq=facts)).severity is Severity.NOTE


def test_a_management_api_that_refuses_is_a_warning_with_its_reason() -> None:
    facts = replace(RABBITMQ, pidboxes=Unexamined("HTTP 401"))
    found = finding("management-api", with_broker(rabbitmq=facts))
    assert (found.severity, found.evidence) == (Severity.WARNING, ("HTTP 401",))


def test_an_event_exchange_of_another_type_is_a_problem() -> None:
    facts = replace(RABBITMQ, event_exchange_conflict="inequivalent arg 'type'")
    found = finding("event-exchange", with_broker(rabbitmq=facts))
    assert found.severity is Severity.PROBLEM
    assert "delete exchange name=celeryev" in found.remedy


def test_an_event_queue_without_consumer_is_a_problem_with_what_waits() -> None:
    facts = replace(EVENT_QUEUE, depth=QueueDepth(1234, None, 0))
    found = finding("event-queue", with_broker(event_queue=facts))
    assert found.severity is Severity.PROBLEM
    assert "1,234 messages of at most 200,000" in words(found)


def test_an_event_queue_that_is_nearly_full_is_a_warning() -> None:
    facts = replace(EVENT_QUEUE, depth=QueueDepth(190_000, None, 1))
    assert finding("event-queue", with_broker(event_queue=facts)).severity is Severity.WARNING


def test_no_event_queue_is_a_warning_that_names_it() -> None:
    found = finding("event-queue", with_broker(event_queue=replace(EVENT_QUEUE, depth=None)))
    assert found.severity is Severity.WARNING
    assert "celeriac.events.default" in found.title


# -- the names of exchanges ----------------------------------------------------------------


def test_another_control_exchange_is_named() -> None:
    names = replace(NAMES, control={"ctl": frozenset({"one@host"})})
    found = finding("control-exchange", with_broker(names=names))
    assert found.severity is Severity.PROBLEM
    assert "--control-exchange ctl" in found.remedy


def test_another_event_exchange_is_named() -> None:
    names = replace(NAMES, events=frozenset({"evx"}))
    found = finding("event-exchange-name", with_broker(names=names))
    assert found.severity is Severity.PROBLEM
    assert "--event-exchange evx" in found.remedy


def test_a_second_application_with_other_names_is_nobodys_business() -> None:
    names = Names(
        ASKED,
        {"celery": frozenset({"one@host"}), "ctl": frozenset({"two@host"})},
        frozenset({"celeryev", "evx"}),
    )
    assert findings("control-exchange", with_broker(names=names)) == []
    assert findings("event-exchange-name", with_broker(names=names)) == []
