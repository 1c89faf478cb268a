"""PromQL in small pieces; every name is in the metric table, a recording rule, or Prometheus' own.

Two exporters of one broker say the same, so each series is taken from the one that says more
(``max`` over instances) before anything is summed.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from celeriac.exposition.families import FAMILIES
from celeriac.sidecar.metrics import SidecarMetrics

RULES = Path(__file__).resolve().parents[2] / "alerting" / "rules"
SCOPE = 'namespace=~"$namespace", job=~"$job"'
SIDECAR_SCOPE = 'namespace=~"$namespace", job=~"$sidecar"'
ALERT_SCOPE = f'severity=~"warning|critical", alertname=~"Celery.+", {SCOPE}'
FIRING = f'ALERTS{{alertstate="firing", {ALERT_SCOPE}}}'
REPLICAS = "instance, pod, container, endpoint"
_HISTOGRAM_SUFFIXES = ("_bucket", "_sum", "_count")


class UnknownMetricError(Exception):
    """A dashboard asks for a metric that nobody exports or records."""


@cache
def recorded_names() -> frozenset[str]:
    """Return the names of all recording rules."""
    groups = (g for path in sorted(RULES.glob("*.yml")) for g in _groups(path))
    return frozenset(rule["record"] for group in groups for rule in group if "record" in rule)


def _groups(path: Path) -> list[list[dict[str, str]]]:
    return [group["rules"] for group in yaml.safe_load(path.read_text())["groups"]]


@cache
def exported_names() -> frozenset[str]:
    """Return the names of all series on the exporter's page."""
    names = {family.name for family in FAMILIES}
    histograms = [family.name for family in FAMILIES if family.kind == "histogram"]
    return frozenset(names | {h + suffix for h in histograms for suffix in _HISTOGRAM_SUFFIXES})


@cache
def sidecar_names() -> frozenset[str]:
    """Return the names of all series on the sidecar's page."""
    families = SidecarMetrics().registry.collect()
    return frozenset(f.name + ("_total" if f.type == "counter" else "") for f in families)


def select(name: str, *matchers: str) -> str:
    """Return the selector of a metric in the dashboard's scope."""
    if name in sidecar_names():
        return f"{name}{{{', '.join((SIDECAR_SCOPE, *matchers))}}}"
    if name not in exported_names() | recorded_names():
        raise UnknownMetricError(name)
    return f"{name}{{{', '.join((SCOPE, *matchers))}}}"


def each(name: str, *matchers: str) -> str:
    """Return a gauge once for all exporters of a broker; what rules record is so already."""
    if name in recorded_names():
        return select(name, *matchers)
    return f"max without ({REPLICAS}) ({select(name, *matchers)})"


def rate(name: str, *matchers: str) -> str:
    """Return how much a counter gains in a second."""
    return f"max without ({REPLICAS}) (rate({select(name, *matchers)}[$__rate_interval]))"


def gain(name: str, *matchers: str, over: str) -> str:
    """Return what a counter has gained in the last *over*."""
    return f"max without ({REPLICAS}) (increase({select(name, *matchers)}[{over}]))"


def of_exporters(expression: str) -> str:
    """Return what Prometheus' own families say of the exporters; ``{}`` becomes the scope."""
    scoped = expression.replace("{}", f"{{{SCOPE}}}")
    return f"{scoped} and on (job, instance) {select('celery_exporter_build_info')}"


def total(expression: str, *by: str) -> str:
    """Return the sum, by labels if any are given."""
    return f"sum{_by(by)} ({expression})"


def most(expression: str, *by: str) -> str:
    return f"max{_by(by)} ({expression})"


def quantile(q: float, buckets: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Return a quantile of a histogram, from the recorded rates of its buckets."""
    return f"histogram_quantile({q:g}, {total(each(buckets, *matchers), *by, 'le')})"


def top(n: int, expression: str) -> str:
    return f"topk({n}, {expression})"


def top_of_range(expression: str, by: str, rank: str, n: int = 10) -> str:
    """Return the *n* series that rank first over the whole range, the same at every step.

    A plain ``topk`` chooses anew at each step, and a graph of it has many more than *n*. *rank* is
    evaluated once, at the end of the range: give it ``[$__range] @ end()``.
    """
    return f"{expression} and on ({by}) topk({n}, {rank})"


def peak_of_range(name: str, by: str, *matchers: str) -> str:
    """Return the highest value that a gauge had in the range, for ``top_of_range``."""
    return most(f"max_over_time({select(name, *matchers)}[$__range] @ end())", by)


def gain_of_range(name: str, by: str, *matchers: str) -> str:
    """Return what a counter has gained over the whole range, for ``top_of_range``."""
    gained = f"increase({select(name, *matchers)}[$__range] @ end())"
    return total(f"max without ({REPLICAS}) ({gained})", by)


def sum_of_range(name: str, by: str, *matchers: str) -> str:
    """Return the sum of what a rule has recorded over the whole range, for ``top_of_range``."""
    return total(f"sum_over_time({select(name, *matchers)}[$__range] @ end())", by)


def growth_of_range(name: str, by: str) -> str:
    """Return about what a counter has gained over the whole range, for ``top_of_range``.

    Two readings instead of all of them: over a day of many series that is what it costs. Of a
    counter that was reset, only what came after counts.
    """
    then, now = (
        total(f"max without ({REPLICAS}) ({select(name)} @ end(){offset})", by)
        for offset in (" offset $__range", "")
    )
    return f"({now} - {then} >= 0 or {now})"


def either(*expressions: str) -> str:
    """Return the first of the expressions that has a series with these labels."""
    return " or ".join(f"({expression})" for expression in expressions)


def age(timestamp: str) -> str:
    """Return how long ago an instant was."""
    return f"time() - ({timestamp} > 0)"


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""
