"""The doctor on workers: there, told apart, answering, clocks, versions, results."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cluster import stats
from examined import (
    ASKED,
    CONF,
    cluster,
    finding,
    findings,
    report,
    with_cluster,
    words,
    worker,
)

from celeriac.doctor.findings import Severity, diagnose
from celeriac.doctor.listening import Heard, Voice
from celeriac.doctor.table import CHECKS


def heard(**voices: Voice) -> Heard:
    return Heard({f"{name}@host": voice for name, voice in voices.items()})


def test_no_worker_is_a_problem_that_names_the_exchanges() -> None:
    found = finding("workers-silent", with_cluster(cluster()))
    assert found.severity is Severity.PROBLEM
    assert "celeryev" in words(found)
    assert "celery.pidbox" in words(found)


def test_without_workers_nothing_is_said_to_be_well_about_them() -> None:
    diagnosis = diagnose(CHECKS, with_cluster(cluster()))
    blind = {code for part in diagnosis.not_examined for code in part.codes}
    assert {"heartbeats-off", "task-events-off", "clock-skew", "prefetch"} <= blind
    assert {"there is no worker"} == {part.reason for part in diagnosis.not_examined}


def test_fewer_workers_than_expected_are_a_warning() -> None:
    examined = cluster(worker(), asked=replace(ASKED, expected_workers=3))
    found = finding("workers-missing", with_cluster(examined))
    assert (found.severity, found.title) == (Severity.WARNING, "2 workers of 3 missing")


def test_a_worker_that_answers_and_sends_no_heartbeat_is_named() -> None:
    examined = cluster(worker(), worker("mute@host"), heard=heard(one=Voice(6)))
    found = finding("heartbeats-off", with_cluster(examined))
    assert (found.severity, found.title) == (
        Severity.WARNING,
        "1 worker without heartbeats: mute@host",
    )
    assert "--without-heartbeat" in found.remedy


def test_a_solo_worker_may_be_too_busy_for_heartbeats() -> None:
    busy = worker("busy@host", report=report("busy@host", stats=stats(pool="solo")))
    examined = cluster(busy, heard=Heard())
    assert findings("heartbeats-off", with_cluster(examined)) == []


def test_a_worker_that_sends_heartbeats_and_answers_nothing_is_named() -> None:
    examined = cluster(worker(), worker("deaf@host", report=None), answering=frozenset())
    found = finding("remote-control-off", with_cluster(examined))
    assert (found.severity, found.title) == (
        Severity.WARNING,
        "1 worker without answers to commands: deaf@host",
    )
    assert "worker_enable_remote_control" in found.remedy


def test_two_answers_under_one_name_are_a_problem() -> None:
    examined = cluster(worker(), namesakes=frozenset({"twin@host"}))
    found = finding("worker-namesakes", with_cluster(examined))
    assert found.severity is Severity.PROBLEM
    assert "twin@host" in found.title


def test_heartbeats_by_two_processes_in_turn_are_two_workers() -> None:
    examined = cluster(worker(), heard=heard(one=Voice(6, 0, (7, 9, 7))))
    assert "processes 7 and 9" in words(finding("worker-namesakes", with_cluster(examined)))


def test_a_restart_is_not_a_second_worker() -> None:
    examined = cluster(worker(), heard=heard(one=Voice(6, 0, (7, 9))))
    assert findings("worker-namesakes", with_cluster(examined)) == []


@pytest.mark.parametrize(
    ("skew_seconds", "severity"),
    [(1.5, Severity.WARNING), (-1.5, Severity.WARNING), (31.0, Severity.PROBLEM)],
)
def test_a_wrong_clock_is_worse_the_wronger_it_is(skew_seconds: float, severity: Severity) -> None:
    examined = cluster(worker(), worker("skewed@host", clock_skew_seconds=skew_seconds))
    found = finding("clock-skew", with_cluster(examined))
    assert (found.severity, found.title) == (
        severity,
        "The clock is wrong on 1 worker: skewed@host",
    )
    assert "skewed@host" in found.evidence[0]


def test_a_clock_within_a_second_is_right() -> None:
    examined = cluster(worker(clock_skew_seconds=-0.9))
    assert findings("clock-skew", with_cluster(examined)) == []


def test_whole_hours_hint_at_local_time() -> None:
    examined = cluster(
        worker(clock_skew_seconds=7200.0), heard=heard(one=Voice(6, utcoffset_hours=-2.0))
    )
    said = words(finding("clock-skew", with_cluster(examined)))
    assert "-2 h from UTC" in said
    assert "local time" in said


def test_the_same_skew_everywhere_is_rather_this_machines() -> None:
    examined = cluster(worker(clock_skew_seconds=60.0), worker("two@host", clock_skew_seconds=60.2))
    assert "this machine" in finding("clock-skew", with_cluster(examined)).title


def test_workers_of_two_versions_are_a_warning_with_their_names() -> None:
    examined = cluster(worker(), worker("old@host", version="5.4.0"))
    found = finding("versions", with_cluster(examined))
    assert found.severity is Severity.WARNING
    assert "celery 5.4.0: old@host" in found.evidence


def test_a_celery_before_5_is_a_warning() -> None:
    examined = cluster(worker(version="4.4.7"))
    assert "4.4.7" in finding("versions", with_cluster(examined)).title


def test_a_celery_newer_than_ours_is_a_note() -> None:
    examined = cluster(worker(version="6.0.0"))
    assert finding("versions", with_cluster(examined)).severity is Severity.NOTE


RESULTS = {
    "none": (None, None, "No result backend"),
    "disabled": ("disabled://", None, "No result backend"),
    "endless": ("redis", None, "Results never expire"),
}


@pytest.mark.parametrize(("backend", "expires", "title"), RESULTS.values(), ids=RESULTS)
def test_results_are_never_more_than_a_note(
    backend: str | None, expires: float | None, title: str
) -> None:
    conf = replace(CONF, result_backend=backend, result_expires_seconds=expires)
    found = finding("results", with_cluster(cluster(worker(report=report(conf=conf)))))
    assert (found.severity, found.title) == (Severity.NOTE, title)


def test_results_in_two_places_are_a_note_that_names_them() -> None:
    other = report("two@host", replace(CONF, result_backend="rpc"))
    found = finding("results", with_cluster(cluster(worker(), worker("two@host", report=other))))
    assert "redis and rpc" in found.title
    assert "rpc: two@host" in found.evidence
