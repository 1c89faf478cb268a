"""``--compat celery-exporter``: that exporter's families, labels and values, on a real workload."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from parts.exporter import Exporter, Series
from parts.processes import wait_for
from parts.prometheus import promtool_check_metrics
from parts.valkey import Valkey
from workload.driver import run_workload
from workload.fleet import Fleet
from workload.truth import Truth

pytestmark = pytest.mark.slow

TOTAL = 300
TASK = frozenset({"name", "hostname", "queue_name"})
QUEUE = frozenset({"queue_name"})
WORKER = frozenset({"hostname"})
LABELS = {
    "celery_task_sent_total": TASK,
    "celery_task_received_total": TASK,
    "celery_task_started_total": TASK,
    "celery_task_succeeded_total": TASK,
    "celery_task_failed_total": TASK | {"exception"},
    "celery_task_rejected_total": TASK,
    "celery_task_revoked_total": TASK,
    "celery_task_retried_total": TASK,
    "celery_task_runtime_count": TASK,
    "celery_task_runtime_sum": TASK,
    "celery_task_runtime_bucket": TASK | {"le"},
    "celery_task_queue_wait_time_count": TASK,
    "celery_task_queue_wait_time_sum": TASK,
    "celery_task_queue_wait_time_bucket": TASK | {"le"},
    "celery_worker_up": WORKER,
    "celery_worker_tasks_active": WORKER,
    "celery_queue_length": QUEUE,
    "celery_active_consumer_count": QUEUE,
    "celery_active_worker_count": QUEUE,
    "celery_active_process_count": QUEUE,
}
COUNTERS = tuple(name for name in LABELS if name.endswith("_total"))


@dataclass
class Compat:
    truth: Truth
    exporter: Exporter
    fleet: Fleet
    samples: dict[Series, float]

    def counted(self, name: str) -> dict[tuple[str, ...], float]:
        """Return what is not 0 of a family, by task, queue and exception."""
        found = {}
        for (family, pairs), value in self.samples.items():
            labels = dict(pairs)
            if family == name and value:
                key = (labels["name"], labels["queue_name"], labels.get("exception", ""))
                found[key] = value
        return found


@pytest.fixture(scope="module")
def compat() -> Iterator[Compat]:
    with (
        Valkey() as broker,
        Fleet(broker.url) as fleet,
        Exporter(broker.url, extra=("--compat=celery-exporter",)) as exporter,
    ):
        exporter.ready()
        truth = run_workload(fleet, TOTAL)
        ended = sum(
            times for (_, event), times in truth.worker_events.items() if event == "started"
        )
        exporter.page()
        wait_for(lambda: exporter.sum("celery_task_started_total") == ended, 20, "all starts")
        exporter.page()
        yield Compat(truth, exporter, fleet, exporter.samples())


def test_every_family_is_there_with_its_labels(compat: Compat) -> None:
    labels = {
        name: frozenset(label for label, _ in pairs)
        for name, pairs in compat.samples
        if name.startswith("celery_")
    }
    assert labels == LABELS


@pytest.mark.parametrize("name", COUNTERS)
def test_a_counter_equals_the_truth(compat: Compat, name: str) -> None:
    expected: Counter[tuple[str, ...]] = Counter()
    for (family, pairs), value in compat.truth.counters.items():
        labels = dict(pairs)
        if _compat_name(family) == name:
            expected[labels["task"], labels["queue"], labels.get("exception", "")] += value
    assert compat.counted(name) == expected


def _compat_name(family: str) -> str | None:
    """Failures come from the family by exception: its label is on the counter itself here."""
    if family == "celery_task_exceptions_total":
        return "celery_task_failed_total"
    return None if family == "celery_task_failed_total" else family


def test_task_series_have_the_generic_hostname(compat: Compat) -> None:
    names = {
        dict(pairs)["hostname"] for name, pairs in compat.samples if name.startswith("celery_task_")
    }
    assert names == {"generic"}


def test_every_worker_is_up(compat: Compat) -> None:
    up = {
        dict(pairs)["hostname"]: value
        for (name, pairs), value in compat.samples.items()
        if name == "celery_worker_up"
    }
    assert up == dict.fromkeys(compat.fleet.nodes, 1)


def test_promtool_finds_nothing_but_the_names_themselves(compat: Compat) -> None:
    """The contract's own names break two of its rules: histograms without a unit, ``_count``."""
    findings = promtool_check_metrics(compat.exporter.page()).splitlines()
    assert [line for line in findings if "_count" not in line] == []
