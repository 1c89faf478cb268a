"""What Prometheus' HTTP API says of this exporter (stable API, /api/v1)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from celeriac.doctor.questions.http import Web, WebFailureError, answer_or_reason
from celeriac.doctor.unexamined import Unexamined
from celeriac.doctor.web_facts import (
    ExporterFacts,
    Labels,
    PrometheusFacts,
    Rule,
    Target,
    WebContact,
)

# A start is unique to the millisecond; every exporter has one, whatever families it serves.
_THIS_EXPORTER = "abs(process_start_time_seconds - {started_at!r}) < 0.01"
_ANY_EXPORTER = '{__name__=~"celery_active_workers|celery_active_worker_count"}'
# Where relabelling keeps celery_* only, the start is not stored.
_EXPORTER_OF_UNKNOWN_START = f"{_ANY_EXPORTER} unless on (job, instance) process_start_time_seconds"
_DURATION = re.compile(r"(\d+)(ms|[smhd])")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_Text = Annotated[str, msgspec.Meta(max_length=10_000)]


class _Row(msgspec.Struct, gc=False):
    metric: dict[str, str]


class _Vector(msgspec.Struct, gc=False):
    result: list[_Row]


class _VectorAnswer(msgspec.Struct, gc=False):
    status: Literal["success"]
    data: _Vector


class _Scalar(msgspec.Struct, gc=False):
    result: tuple[float, str]


class _ScalarAnswer(msgspec.Struct, gc=False):
    status: Literal["success"]
    data: _Scalar


class _Target(msgspec.Struct, gc=False, rename="camel"):
    labels: dict[str, str]
    scrape_url: _Text
    health: _Text
    last_error: _Text = ""
    scrape_interval: _Text = ""
    scrape_timeout: _Text = ""
    last_scrape_duration: float | None = None


class _Targets(msgspec.Struct, gc=False, rename="camel"):
    active_targets: list[_Target]


class _TargetsAnswer(msgspec.Struct, gc=False):
    data: _Targets


class _Rule(msgspec.Struct, gc=False, rename="camel"):
    name: _Text
    type: _Text
    query: str
    last_error: _Text = ""


class _Group(msgspec.Struct, gc=False):
    rules: list[_Rule]


class _Groups(msgspec.Struct, gc=False):
    groups: list[_Group]


class _RulesAnswer(msgspec.Struct, gc=False):
    data: _Groups


class _Alertmanager(msgspec.Struct, gc=False):
    url: _Text


class _Alertmanagers(msgspec.Struct, gc=False, rename="camel"):
    active_alertmanagers: list[_Alertmanager]


class _AlertmanagersAnswer(msgspec.Struct, gc=False):
    data: _Alertmanagers


def try_ask(
    web: Web, exporter: ExporterFacts | Unexamined
) -> tuple[WebContact, PrometheusFacts | Unexamined]:
    """Return whether Prometheus answers, and what it says."""
    try:
        return WebContact(web.url), ask(web, exporter)
    except WebFailureError as error:
        return WebContact(web.url, str(error)), Unexamined("Prometheus does not answer")


def ask(web: Web, exporter: ExporterFacts | Unexamined) -> PrometheusFacts:
    """Return what Prometheus has. Errors: WebFailureError."""
    clock_ahead = _clock_ahead(web)
    found = None if isinstance(exporter, Unexamined) else exporter
    series = _series(web, found)
    return PrometheusFacts(
        url=web.url,
        exporter_url=found.url if found else None,
        series=series,
        dropped=_dropped(web, found, series) if found else frozenset(),
        clock_ahead_seconds=clock_ahead,
        targets=answer_or_reason(lambda: _targets(web, found, series)),
        rules=answer_or_reason(lambda: _rules(web)),
        alertmanagers=answer_or_reason(lambda: _alertmanagers(web)),
    )


def _clock_ahead(web: Web) -> float:
    before = time.time()
    answer = web.json("/api/v1/query", _ScalarAnswer, query="time()")
    return answer.data.result[0] - (before + time.time()) / 2


def _query(web: Web, promql: str) -> list[Labels]:
    answer = web.json("/api/v1/query", _VectorAnswer, query=promql)
    return [row.metric for row in answer.data.result]


def _series(web: Web, exporter: ExporterFacts | None) -> tuple[Labels, ...]:
    """Return the labels of one series for each time that the exporter is scraped."""
    if exporter is None or exporter.started_at is None:
        return tuple(_query(web, _ANY_EXPORTER))
    found = _query(web, _THIS_EXPORTER.format(started_at=exporter.started_at))
    found = found or _query(web, _EXPORTER_OF_UNKNOWN_START)
    workers = (row for labels in found for row in _query(web, _same("celery_worker_up", labels)))
    # Of the rest of the page, one with a label of ours, which a target's label would hide.
    return tuple(_one_each(workers)) or tuple(found)


def _one_each(series: Iterable[Labels]) -> list[Labels]:
    by_target: dict[tuple[str | None, str | None], Labels] = {}
    for labels in series:
        by_target.setdefault((labels.get("job"), labels.get("instance")), labels)
    return list(by_target.values())


def _same(names: str, labels: Labels) -> str:
    """Return a selector of families *names*, a regular expression, on the target of *labels*."""
    target = "".join(f",{name}={_quoted(labels.get(name, ''))}" for name in ("job", "instance"))
    return f"{{__name__=~{_quoted(names)}{target}}}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _dropped(web: Web, exporter: ExporterFacts, series: tuple[Labels, ...]) -> frozenset[str]:
    if not series or not exporter.families:
        return frozenset()
    selector = _same("|".join(sorted(exporter.families)), series[0])
    stored = {row.get("__name__", "") for row in _query(web, f"group by (__name__) ({selector})")}
    return exporter.families - stored


def _targets(
    web: Web, exporter: ExporterFacts | None, series: tuple[Labels, ...]
) -> tuple[Target, ...]:
    """Return the targets whose series these are; without any, those that look like it."""
    answer = web.json("/api/v1/targets", _TargetsAnswer, state="active")
    targets = list(map(_target, answer.data.active_targets))
    known = {(labels.get("job"), labels.get("instance")) for labels in series}
    exact = [t for t in targets if (t.labels.get("job"), t.labels.get("instance")) in known]
    port = urlsplit(exporter.url).port if exporter else None
    return tuple(exact or [target for target in targets if _looks_like_it(target, port)])


def _looks_like_it(target: Target, port: int | None) -> bool:
    with_port = port is not None and urlsplit(target.url).port == port
    return with_port or "celer" in target.labels.get("job", "").lower()


def _target(target: _Target) -> Target:
    return Target(
        labels=target.labels,
        url=target.scrape_url,
        health=target.health,
        last_error=target.last_error,
        interval_seconds=_seconds(target.scrape_interval),
        timeout_seconds=_seconds(target.scrape_timeout),
        last_duration_seconds=target.last_scrape_duration,
    )


def _seconds(duration: str) -> float | None:
    """Return what ``1m30s`` is in seconds; None for an empty text."""
    parts = _DURATION.findall(duration)
    return sum(int(number) * _UNIT_SECONDS[unit] for number, unit in parts) if parts else None


def _rules(web: Web) -> tuple[Rule, ...]:
    groups = web.json("/api/v1/rules", _RulesAnswer).data.groups
    return tuple(
        Rule(rule.name, rule.type, rule.query, rule.last_error)
        for group in groups
        for rule in group.rules
        if "celery_" in rule.query
    )


def _alertmanagers(web: Web) -> tuple[str, ...]:
    active = web.json("/api/v1/alertmanagers", _AlertmanagersAnswer).data.active_alertmanagers
    return tuple(alertmanager.url for alertmanager in active)
