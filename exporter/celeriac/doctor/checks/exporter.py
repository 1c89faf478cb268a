"""Does the exporter run, and is what its page shows true and whole?"""

from __future__ import annotations

from collections.abc import Iterator

import celery

from celeriac import __version__
from celeriac.doctor.broker_facts import Asked
from celeriac.doctor.findings import Check, Look, Verdict, note, problem, warning
from celeriac.doctor.unexamined import if_any
from celeriac.doctor.web_facts import ExporterFacts, WebContact
from celeriac.doctor.words import listed, several, span

CONTACT = Look("the exporter", lambda evidence: evidence.web.exporter_contact)
PAGE = Look("what answers for the exporter", lambda evidence: evidence.web.exporter)
OURS = Look(
    "the exporter's page",
    lambda evidence: if_any(
        evidence.web.exporter, lambda facts: facts.is_ours, "what answers is not Celeriac"
    ),
)
STALE_AFTER_INTERVALS = 3.0
SECONDS_WITHOUT_EVENTS = 10.0


def unreachable(contact: WebContact) -> Iterator[Verdict]:
    if contact.failure is None:
        return
    judge = problem if contact.is_given else warning
    guess = "" if contact.is_given else ", where it would be on this machine"
    yield judge(
        f"No exporter answers at {contact.url}{guess}",
        contact.failure,
        remedy="Start it: celeriac exporter, with the same options. If it runs elsewhere, say "
        "where: --exporter-url http://HOST:9808; with TLS, https:// and --ca-file.",
    )


def somebody_else(facts: ExporterFacts) -> Iterator[Verdict]:
    if not facts.is_ours:
        yield problem(
            f"What answers at {facts.url} is not Celeriac",
            "its page has no celery_exporter_build_info",
            remedy="Correct --exporter-url, or stop the other program and start celeriac exporter.",
        )


def not_ready(facts: ExporterFacts) -> Iterator[Verdict]:
    if facts.ready != "ready":
        yield problem(
            f"The exporter is not ready: {facts.ready}",
            *_failing(facts),
            remedy=_READY_REMEDIES.get(facts.ready, "Read the exporter's log."),
        )


_READY_REMEDIES = {
    "broker": "It cannot reach its broker: compare its --broker-url with ours, and the network "
    "from where it runs.",
    "auth": "Its broker refuses it: correct user and password, and restart it; another exporter "
    "may have its event queue, then give it an --instance of its own.",
    "starting": "It has just started; ask again in some seconds.",
    "stopping": "It is being stopped.",
}


def _failing(facts: ExporterFacts) -> Iterator[str]:
    for name, source in facts.sources.items():
        if not source.is_successful:
            yield f"source {name} fails: {source.reason}"


def stale(facts: ExporterFacts) -> Iterator[Verdict]:
    old = {
        name: source.age_seconds
        for name, source in facts.sources.items()
        if source.age_seconds is not None and source.age_seconds > _patience(name, facts.asked)
    }
    if old:
        yield warning(
            f"The exporter's numbers are old: {listed(old)}",
            *(f"{name}: last sampled {span(age)} ago" for name, age in sorted(old.items())),
            remedy="Read the exporter's log for why; it says so once. A source that takes longer "
            "than its interval: --inspect-timeout, --worker-interval, --queue-interval.",
        )


def _patience(source: str, asked: Asked) -> float:
    interval = asked.intervals.get(source, 0.0)
    return max(SECONDS_WITHOUT_EVENTS, STALE_AFTER_INTERVALS * interval)


def losses(facts: ExporterFacts) -> Iterator[Verdict]:
    rejected = {reason: count for reason, count in facts.rejected.items() if count}
    evidence = []
    if facts.missed:
        evidence.append(f"{several(facts.missed, 'task start')} that workers counted did not come")
    if rejected:
        reasons = listed(f"{reason} ({count:.0f})" for reason, count in rejected.items())
        evidence.append(f"events that could not be read: {reasons}")
    if evidence:
        yield warning(
            "The exporter has lost events since it started",
            *evidence,
            remedy="celery_exporter_events_missed_total and celery_exporter_events_rejected_total "
            "tell when. Look for a slow network or an overloaded broker at that time; events have "
            "to be JSON (event_serializer).",
        )


def gaps(facts: ExporterFacts) -> Iterator[Verdict]:
    if facts.gap_seconds:
        yield note(
            f"The exporter could not hear for {span(facts.gap_seconds)} since it started",
            "celery_exporter_event_gap_seconds_total; tasks of that time are not counted",
            remedy="None, if the broker or the network was away at "
            "celery_exporter_last_event_gap_timestamp_seconds.",
        )


def overflow(facts: ExporterFacts) -> Iterator[Verdict]:
    over = {label: count for label, count in facts.overflows.items() if count}
    if over:
        yield warning(
            f"More values than there is room for: {listed(over)}",
            *(f"label {label}: {count:.0f} times over its limit" for label, count in over.items()),
            "what is over is counted under __overflow__",
            remedy="Raise --max-tasks, --max-workers, --max-queues, --max-exceptions or "
            "--max-series, if the names are real; task names with an id in them are not.",
        )


def version(facts: ExporterFacts) -> Iterator[Verdict]:
    if facts.version not in {None, __version__}:
        yield note(
            f"The exporter is Celeriac {facts.version}, this doctor {__version__}",
            f"the exporter has Celery {facts.celery_version}, the doctor {celery.__version__}",
            remedy="Run both from the same image.",
        )


def compat(facts: ExporterFacts) -> Iterator[Verdict]:
    if facts.is_compat:
        yield note(
            "The exporter serves the metrics of celery-exporter (--compat)",
            "Celeriac's own dashboards and alerts find nothing on such a page",
            remedy="Start it without --compat for those, or run a second one with it.",
        )


CHECKS = (
    Check("exporter-unreachable", CONTACT, "the exporter answers", unreachable),
    Check("exporter-foreign", PAGE, "what answers is Celeriac", somebody_else),
    Check("exporter-not-ready", OURS, "the exporter is ready", not_ready),
    Check("exporter-stale", OURS, "its numbers are fresh", stale),
    Check("exporter-losses", OURS, "it has lost no event", losses),
    Check("exporter-gaps", OURS, "it could hear all the time", gaps),
    Check("exporter-overflow", OURS, "every label value has its series", overflow),
    Check("exporter-version", OURS, "it is of this version", version),
    Check("exporter-compat", OURS, "it serves Celeriac's own metrics", compat),
)
