"""Can Grafana show it: is there a data source that answers, and are there dashboards?"""

from __future__ import annotations

from collections.abc import Iterator

from celeriac.doctor.findings import Check, Look, Verdict, problem, warning
from celeriac.doctor.questions.grafana import TAG
from celeriac.doctor.unexamined import Unexamined, inside
from celeriac.doctor.web_facts import Datasource, GrafanaFacts, WebContact
from celeriac.doctor.words import listed

CONTACT = Look("Grafana", lambda evidence: evidence.web.grafana_contact)
ACCESS = Look("what Grafana lets us see", lambda evidence: evidence.web.grafana)
DATASOURCES = Look(
    "Grafana's data sources",
    lambda evidence: inside(evidence.web.grafana, lambda facts: facts.datasources),
)
DASHBOARDS = Look(
    "Grafana's dashboards",
    lambda evidence: inside(evidence.web.grafana, lambda facts: facts.dashboards),
)


def unreachable(contact: WebContact) -> Iterator[Verdict]:
    if contact.failure is not None:
        yield problem(
            f"Grafana does not answer at {contact.url}",
            contact.failure,
            remedy="Start it, or correct --grafana-url; behind a proxy, with its path.",
        )


def refused(facts: GrafanaFacts) -> Iterator[Verdict]:
    parts = {"data sources": facts.datasources, "dashboards": facts.dashboards}
    hidden = {name: part.reason for name, part in parts.items() if isinstance(part, Unexamined)}
    if hidden:
        yield warning(
            f"Grafana does not show us its {listed(hidden)}",
            *(f"{name}: {reason}" for name, reason in hidden.items()),
            remedy="Give the token of a service account that may read data sources and dashboards "
            "(role Viewer, with the permission datasources:read): --grafana-token-file FILE.",
        )


def datasource(found: tuple[Datasource, ...]) -> Iterator[Verdict]:
    if not found:
        yield problem(
            "Grafana has no Prometheus data source",
            "none of its data sources is of type prometheus, as far as this user may see",
            remedy="Add one (Connections, Data sources), with the address of Prometheus as it is "
            "seen from Grafana.",
        )
        return
    failing = [source for source in found if source.failure is not None]
    if failing:
        judge = problem if len(failing) == len(found) else warning
        yield judge(
            f"Data sources that do not answer: {listed(source.name for source in failing)}",
            *(f"{source.name}: {source.failure}" for source in failing),
            remedy="Correct their URL, as it is seen from where Grafana runs; Save & test tells "
            "whether it works.",
        )


def empty(found: tuple[Datasource, ...]) -> Iterator[Verdict]:
    answering = [source for source in found if source.failure is None]
    if answering and not any(source.has_celery for source in answering):
        yield problem(
            "No data source of Grafana has Celery's metrics",
            f"celery_active_workers is empty in {listed(source.name for source in answering)}",
            remedy="Let a data source point to the Prometheus that scrapes the exporter.",
        )


def dashboards(titles: tuple[str, ...]) -> Iterator[Verdict]:
    if not titles:
        yield warning(
            f"Grafana has no dashboard with the tag {TAG}",
            "or this user may not see it",
            remedy="Provision Celeriac's dashboards, or import their JSON files.",
        )


CHECKS = (
    Check("grafana-unreachable", CONTACT, "Grafana answers", unreachable),
    Check("grafana-refused", ACCESS, "it lets us look", refused),
    Check("grafana-datasource", DATASOURCES, "its data sources answer", datasource),
    Check("grafana-empty", DATASOURCES, "one of them has Celery's metrics", empty),
    Check("grafana-dashboards", DASHBOARDS, f"there are dashboards tagged {TAG}", dashboards),
)
