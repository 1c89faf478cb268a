"""What a running exporter says: readiness, sources, and a few families of its page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from celeriac.doctor.broker_facts import Asked
from celeriac.doctor.questions.http import Web, WebFailureError, refusal
from celeriac.doctor.unexamined import Unexamined
from celeriac.doctor.web_facts import ExporterFacts, SourceHealth, WebContact

# Families that every page has once it is ready; they are looked for in Prometheus too.
EXPECTED = ("celery_active_workers", "celery_broker_up", "celery_worker_up", "celery_queue_length")
_COMPAT = "celery_active_worker_count"
# A whole page would count as a scrape: what is new is shown at 0 once, and that is Prometheus'.
_NAMES = (
    *EXPECTED,
    _COMPAT,
    "celery_exporter_build_info",
    "celery_exporter_events_missed_total",
    "celery_exporter_event_gap_seconds_total",
    "celery_exporter_events_rejected_total",
    "celery_exporter_label_overflow_total",
    "process_start_time_seconds",
)


class _Source(msgspec.Struct, gc=False):
    successful: bool
    reason: str | None = None
    age_seconds: float | None = None


class _Health(msgspec.Struct, gc=False):
    sources: dict[str, _Source]


class _Value(NamedTuple):
    labels: Mapping[str, str]
    value: float


def ask(web: Web, asked: Asked) -> ExporterFacts:
    """Return what the exporter at *web* says. Errors: WebFailureError."""
    status, page = web.text("/metrics", {"name[]": _NAMES})
    if status != 200:
        raise refusal(status)
    samples = _samples(page)
    build = samples.get("celery_exporter_build_info", [_Value({}, 0)])[0].labels
    return ExporterFacts(
        url=web.url,
        asked=asked,
        ready=_ready(web),
        sources=_sources(web),
        version=build.get("version"),
        celery_version=build.get("celery_version"),
        is_compat=f"# TYPE {_COMPAT} " in page,
        started_at=_sum(samples, "process_start_time_seconds") or None,
        missed=_sum(samples, "celery_exporter_events_missed_total"),
        gap_seconds=_sum(samples, "celery_exporter_event_gap_seconds_total"),
        rejected=_by_label(samples, "celery_exporter_events_rejected_total", "reason"),
        overflows=_by_label(samples, "celery_exporter_label_overflow_total", "label"),
        families=frozenset(EXPECTED).intersection(samples),
    )


def try_ask(
    web: Web, asked: Asked, *, is_given: bool
) -> tuple[WebContact, ExporterFacts | Unexamined]:
    """Return whether there is an exporter, and what it says."""
    try:
        return WebContact(web.url, None, is_given), ask(web, asked)
    except WebFailureError as error:
        nobody = Unexamined("the exporter does not answer")
        return WebContact(web.url, str(error), is_given), nobody


def _samples(page: str) -> dict[str, list[_Value]]:
    samples: dict[str, list[_Value]] = {}
    try:
        for family in _families(page):
            for sample in family.samples:
                samples.setdefault(sample.name, []).append(_Value(sample.labels, sample.value))
    except (ValueError, IndexError, KeyError) as error:
        raise WebFailureError("/metrics is no page of metrics") from error
    return samples


def _families(page: str) -> Iterable[Metric]:
    return text_string_to_metric_families(page)


def _sum(samples: Mapping[str, list[_Value]], name: str) -> float:
    return sum(sample.value for sample in samples.get(name, ()))


def _by_label(samples: Mapping[str, list[_Value]], name: str, label: str) -> dict[str, float]:
    return {sample.labels.get(label, ""): sample.value for sample in samples.get(name, ())}


def _ready(web: Web) -> str:
    _, body = web.text("/readyz")
    words = body.split()
    return words[0] if words else ""


def _sources(web: Web) -> dict[str, SourceHealth]:
    _, body = web.text("/health")
    try:
        health = msgspec.json.decode(body, type=_Health)
    except msgspec.MsgspecError:
        # Somebody else's exporter has something else there, or nothing.
        return {}
    return {
        name: SourceHealth(source.successful, source.reason, source.age_seconds)
        for name, source in health.sources.items()
    }
