"""What is asked by HTTP: the exporter, then Prometheus about it, then Grafana about both."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from celeriac.doctor.broker_facts import Asked
from celeriac.doctor.questions import exporter_page, grafana, prometheus
from celeriac.doctor.questions.http import Address, Web
from celeriac.doctor.unexamined import Unexamined
from celeriac.doctor.web_facts import (
    ExporterFacts,
    GrafanaFacts,
    PrometheusFacts,
    WebContact,
    WebFacts,
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where to ask; None is not asked."""

    exporter: Address
    prometheus: Address | None = None
    grafana: Address | None = None
    is_exporter_given: bool = True


def ask(places: Places, asked: Asked) -> WebFacts:
    """Ask all of them; whoever does not answer is a fact too."""
    exporter_contact, exporter = _exporter(places, asked)
    prometheus_contact, stored = _prometheus(places.prometheus, exporter)
    grafana_contact, shown = _grafana(places.grafana)
    return WebFacts(exporter_contact, exporter, prometheus_contact, stored, grafana_contact, shown)


def _exporter(places: Places, asked: Asked) -> tuple[WebContact, ExporterFacts | Unexamined]:
    with closing(Web(places.exporter)) as web:
        return exporter_page.try_ask(web, asked, is_given=places.is_exporter_given)


def _prometheus(
    address: Address | None, exporter: ExporterFacts | Unexamined
) -> tuple[WebContact | Unexamined, PrometheusFacts | Unexamined]:
    if address is None:
        why = Unexamined("no --prometheus-url was given")
        return why, why
    with closing(Web(address)) as web:
        return prometheus.try_ask(web, exporter)


def _grafana(
    address: Address | None,
) -> tuple[WebContact | Unexamined, GrafanaFacts | Unexamined]:
    if address is None:
        why = Unexamined("no --grafana-url was given")
        return why, why
    with closing(Web(address)) as web:
        return grafana.try_ask(web)
