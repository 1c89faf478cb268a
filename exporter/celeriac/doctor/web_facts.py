"""What exporter, Prometheus and Grafana answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from celeriac.doctor.broker_facts import Asked
from celeriac.doctor.unexamined import Unexamined


@dataclass(frozen=True, slots=True)
class WebContact:
    """Whether somebody answers at an HTTP address, and what failed if not."""

    url: str
    failure: str | None = None
    is_given: bool = True
    """False for an address that is our own guess."""


class SourceHealth(NamedTuple):
    """One source as the exporter's ``/health`` shows it."""

    is_successful: bool
    reason: str | None
    age_seconds: float | None


@dataclass(frozen=True, slots=True)
class ExporterFacts:
    """What a running exporter says of itself."""

    url: str
    asked: Asked
    ready: str = "ready"
    sources: Mapping[str, SourceHealth] = field(default_factory=dict)
    version: str | None = None
    celery_version: str | None = None
    is_compat: bool = False
    started_at: float | None = None
    missed: float = 0.0
    gap_seconds: float = 0.0
    rejected: Mapping[str, float] = field(default_factory=dict)
    overflows: Mapping[str, float] = field(default_factory=dict)
    families: frozenset[str] = frozenset()
    """Of those that were asked for, the ones that have a series."""

    @property
    def is_ours(self) -> bool:
        return self.version is not None or self.is_compat


Labels = Mapping[str, str]


class Target(NamedTuple):
    """A target of Prometheus; intervals are in seconds, None if it does not tell."""

    labels: Labels
    url: str
    health: str
    last_error: str
    interval_seconds: float | None = None
    timeout_seconds: float | None = None
    last_duration_seconds: float | None = None


class Rule(NamedTuple):
    """A recording or alerting rule."""

    name: str
    kind: str
    query: str
    last_error: str


@dataclass(frozen=True, slots=True)
class PrometheusFacts:
    """What Prometheus has of this exporter, its rules and where its alerts go."""

    url: str
    exporter_url: str | None
    """None if the exporter's own page could not be read: any exporter is taken for it."""
    series: tuple[Labels, ...] = ()
    """The labels of one series of the exporter for each time it is scraped."""
    dropped: frozenset[str] = frozenset()
    """Families that are on the exporter's page and not in Prometheus."""
    clock_ahead_seconds: float = 0.0
    targets: tuple[Target, ...] | Unexamined = ()
    """Those that scrape the exporter, or that seem to try."""
    rules: tuple[Rule, ...] | Unexamined = ()
    """Those with a metric of Celery's."""
    alertmanagers: tuple[str, ...] | Unexamined = ()


class Datasource(NamedTuple):
    """A Prometheus data source of Grafana; *failure* is why a query through it fails."""

    name: str
    failure: str | None
    has_celery: bool


@dataclass(frozen=True, slots=True)
class GrafanaFacts:
    """What Grafana has of ours."""

    url: str
    datasources: tuple[Datasource, ...] | Unexamined = ()
    dashboards: tuple[str, ...] | Unexamined = ()


class WebFacts(NamedTuple):
    """What was answered by HTTP, and by whom."""

    exporter_contact: WebContact
    exporter: ExporterFacts | Unexamined
    prometheus_contact: WebContact | Unexamined
    prometheus: PrometheusFacts | Unexamined
    grafana_contact: WebContact | Unexamined
    grafana: GrafanaFacts | Unexamined
