"""Does Prometheus scrape the exporter, keep everything, evaluate rules and send alerts?"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from celeriac.doctor.findings import Check, Look, Verdict, note, problem, warning
from celeriac.doctor.unexamined import Unexamined, if_any, inside
from celeriac.doctor.web_facts import Labels, PrometheusFacts, Rule, Target, WebContact
from celeriac.doctor.words import listed, several, span

CONTACT = Look("Prometheus", lambda evidence: evidence.web.prometheus_contact)
STORE = Look("what Prometheus has stored", lambda evidence: evidence.web.prometheus)
SERIES = Look(
    "what Prometheus has of the exporter",
    lambda evidence: if_any(
        evidence.web.prometheus, lambda facts: bool(facts.series), "Prometheus has nothing of it"
    ),
)
TARGETS = Look(
    "Prometheus' targets",
    lambda evidence: inside(evidence.web.prometheus, lambda facts: facts.targets),
)
RULES = Look(
    "Prometheus' rules",
    lambda evidence: inside(evidence.web.prometheus, lambda facts: facts.rules),
)
ALERTING = Look(
    "Prometheus' Alertmanagers",
    lambda evidence: inside(evidence.web.prometheus, lambda facts: facts.alertmanagers),
)
MAX_INTERVAL_SECONDS = 60.0
MAX_CLOCK_SECONDS = 10.0
# A scrape that takes this much of its timeout is about to fail.
NEARLY_TOO_SLOW = 0.8


def unreachable(contact: WebContact) -> Iterator[Verdict]:
    if contact.failure is not None:
        yield problem(
            f"Prometheus does not answer at {contact.url}",
            contact.failure,
            remedy="Start it, or correct --prometheus-url; user and password may be in the URL, "
            "and a path in front of /api/v1.",
        )


def not_scraped(facts: PrometheusFacts) -> Iterator[Verdict]:
    if facts.series:
        return
    who = f"the exporter at {facts.exporter_url}" if facts.exporter_url else "any exporter"
    failing = [] if isinstance(facts.targets, Unexamined) else _failing(facts.targets)
    if failing:
        yield problem(
            f"Prometheus cannot scrape {who}",
            *(f"{target.url}: {target.last_error}" for target in failing),
            remedy="Correct the address in scrape_configs, as it is seen from where Prometheus "
            "runs (in a container, localhost is the container itself), scheme, password and "
            "certificate.",
        )
        return
    address = urlsplit(facts.exporter_url or "http://HOST:9808").netloc.rpartition("@")[2]
    yield problem(
        f"Prometheus does not scrape {who}",
        "it has none of its series",
        _no_target(facts),
        remedy="Add a job to scrape_configs: {job_name: celeriac, static_configs: [{targets: "
        f"['{address}']}}]}}, and reload Prometheus.",
    )


def _failing(targets: tuple[Target, ...]) -> list[Target]:
    return [target for target in targets if target.last_error]


def _no_target(facts: PrometheusFacts) -> str:
    if isinstance(facts.targets, Unexamined):
        return f"its targets cannot be listed: {facts.targets.reason}"
    if facts.targets:
        return "a target looks like it, and was not scraped yet, or is another process"
    return "no active target looks like it"


def labels(facts: PrometheusFacts) -> Iterator[Verdict]:
    missing = {
        name for series in facts.series for name in ("job", "instance") if name not in series
    }
    exported = {name for series in facts.series for name in series if name.startswith("exported_")}
    if missing:
        yield problem(
            f"Series of the exporter have no {listed(missing)}",
            *map(_in_words, facts.series[:3]),
            remedy="Let relabelling keep them: dashboards and rules group by job and tell "
            "exporters apart by instance.",
        )
    if exported:
        plain = {name.removeprefix("exported_") for name in exported}
        yield problem(
            f"Labels of the exporter are hidden by labels of its target: {listed(plain)}",
            *map(_in_words, facts.series[:3]),
            remedy=f"Do not give the target labels called {listed(plain)}, or set honor_labels: "
            "true in its scrape_config.",
        )


def _in_words(series: Labels) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(series.items()))


def scraped_often(facts: PrometheusFacts) -> Iterator[Verdict]:
    jobs = {(series.get("job"), series.get("instance")) for series in facts.series}
    if len(jobs) > 1:
        yield note(
            f"This exporter is scraped {len(jobs)} times",
            *(f"job {job}, instance {instance}" for job, instance in sorted(jobs, key=str)),
            remedy="Scrape it once: sums over all jobs count it as often.",
        )


def dropped(facts: PrometheusFacts) -> Iterator[Verdict]:
    if facts.dropped:
        yield problem(
            f"Prometheus drops families of the exporter: {listed(facts.dropped)}",
            "they are on the exporter's page, and not in Prometheus",
            remedy="Look at metric_relabel_configs of the job, and at its sample_limit.",
        )


def clock(facts: PrometheusFacts) -> Iterator[Verdict]:
    skew = facts.clock_ahead_seconds
    if abs(skew) > MAX_CLOCK_SECONDS:
        way = "ahead of" if skew > 0 else "behind"
        yield warning(
            f"Prometheus' clock is {span(abs(skew))} {way} this machine's",
            "time() - …_timestamp_seconds is wrong by as much",
            remedy="Set both clocks by NTP.",
        )


def slowly_scraped(targets: tuple[Target, ...]) -> Iterator[Verdict]:
    for target in targets:
        interval, timeout = target.interval_seconds, target.timeout_seconds
        if interval is not None and interval > MAX_INTERVAL_SECONDS:
            yield warning(
                f"The exporter is scraped only every {span(interval)}",
                f"{target.url}: rate() over a minute or two has nothing to work on",
                remedy="Set scrape_interval: 15s for the job; a page costs milliseconds.",
            )
        taken = target.last_duration_seconds
        if timeout and taken is not None and taken > NEARLY_TOO_SLOW * timeout:
            yield warning(
                f"A scrape takes {span(taken)} of the {span(timeout)} that it may",
                target.url,
                remedy="Raise scrape_timeout, or look for what slows the network: the page is "
                "rendered from memory.",
            )


def rules(found: tuple[Rule, ...]) -> Iterator[Verdict]:
    if not found:
        yield warning(
            "Prometheus has no rule about Celery",
            "no rule of any group has a celery_ metric in its query",
            remedy="Add Celeriac's rule files to rule_files and reload Prometheus; without them "
            "nobody is alerted, and panels of recorded series are empty.",
        )
    elif failing := [rule for rule in found if rule.last_error]:
        yield warning(
            f"{several(len(failing), 'rule')} cannot be evaluated: "
            f"{listed(rule.name for rule in failing)}",
            *(f"{rule.name}: {rule.last_error}" for rule in failing[:3]),
            remedy="Correct the rule; promtool check rules FILE finds most errors.",
        )
    elif not any(rule.kind == "alerting" for rule in found):
        yield note(
            "Prometheus has rules about Celery, but no alert",
            f"recording rules: {listed(rule.name for rule in found)}",
            remedy="Add Celeriac's alerts to rule_files, if somebody is to be warned.",
        )


def alerting(alertmanagers: tuple[str, ...]) -> Iterator[Verdict]:
    if not alertmanagers:
        yield warning(
            "Prometheus sends its alerts nowhere",
            "it knows no Alertmanager",
            remedy="Add one to alerting.alertmanagers in prometheus.yml and reload Prometheus.",
        )


CHECKS = (
    Check("prometheus-unreachable", CONTACT, "Prometheus answers", unreachable),
    Check("prometheus-target", STORE, "Prometheus scrapes the exporter", not_scraped),
    Check("prometheus-twice", SERIES, "it scrapes it once", scraped_often),
    Check("prometheus-labels", SERIES, "job, instance and our labels arrive", labels),
    Check("prometheus-dropped", SERIES, "no family is dropped on the way", dropped),
    Check("prometheus-clock", STORE, "its clock agrees with this machine's", clock),
    Check("prometheus-interval", TARGETS, "it scrapes often and fast", slowly_scraped),
    Check("prometheus-rules", RULES, "rules about Celery are evaluated", rules),
    Check("prometheus-alertmanager", ALERTING, "alerts have somewhere to go", alerting),
)
