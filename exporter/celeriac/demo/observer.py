"""The two pages by which the demo knows that it is ready: the exporter's and Prometheus'."""

from __future__ import annotations

from dataclasses import dataclass

import requests
from prometheus_client.parser import text_string_to_metric_families

TIMEOUT_SECONDS = 2.0
WORKER_UP = "celery_worker_up"
CONSUMERS = "celery_queue_consumers"
SAMPLE_SUCCESS = "celery_exporter_sample_success"
FAMILIES = (WORKER_UP, CONSUMERS, SAMPLE_SUCCESS)


@dataclass(frozen=True, slots=True)
class Readings:
    """What one page of the exporter says."""

    workers_up: frozenset[str] = frozenset()
    consumed_queues: frozenset[str] = frozenset()
    successful_sources: frozenset[str] = frozenset()
    failing_sources: frozenset[str] = frozenset()

    @property
    def is_fresh(self) -> bool:
        return bool(self.successful_sources) and not self.failing_sources


def read_page(text: str) -> Readings:
    """Return the readings of a page in Prometheus' text format."""
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]

    def labels(name: str, label: str, value: float) -> frozenset[str]:
        return frozenset(s.labels[label] for s in samples if s.name == name and s.value == value)

    return Readings(
        workers_up=labels(WORKER_UP, "worker", 1),
        consumed_queues=labels(CONSUMERS, "queue", 1),
        successful_sources=labels(SAMPLE_SUCCESS, "source", 1),
        failing_sources=labels(SAMPLE_SUCCESS, "source", 0),
    )


class Observer:
    """Asks over HTTP; one that does not answer yet has said nothing, which is no error."""

    def __init__(self) -> None:
        self._session = requests.Session()
        # A proxy for the world outside knows no way to the loopback interface.
        self._session.trust_env = False

    def answers(self, url: str) -> bool:
        """Return whether a GET of the URL gives 200."""
        return self._get(url) is not None

    def fetch_readings(self, exporter_url: str) -> Readings:
        """Return what the exporter's page says; nothing at all if it is not there."""
        page = self._get(f"{exporter_url}/metrics", *(("name[]", name) for name in FAMILIES))
        return Readings() if page is None else read_page(page.text)

    def has_data(self, prometheus_url: str, query: str) -> bool:
        """Return whether Prometheus has an answer to the query."""
        answer = self._get(f"{prometheus_url}/api/v1/query", ("query", query))
        return answer is not None and bool(answer.json()["data"]["result"])

    def _get(self, url: str, *parameters: tuple[str, str]) -> requests.Response | None:
        try:
            answer = self._session.get(url, params=list(parameters), timeout=TIMEOUT_SECONDS)
        except requests.RequestException:
            return None
        return answer if answer.ok else None
