"""``--compat celery-exporter``: that exporter's families by name, type and labels."""

from __future__ import annotations

import pytest
from filled import filled, page_of, text_of

from celeriac.exposition.compat import FAMILIES
from celeriac.model.histogram import HistogramView

TASK = "name hostname queue_name"
CONTRACT = f"""
counter    celery_task_sent_total        {TASK}
counter    celery_task_received_total    {TASK}
counter    celery_task_started_total     {TASK}
counter    celery_task_succeeded_total   {TASK}
counter    celery_task_failed_total      {TASK} exception
counter    celery_task_rejected_total    {TASK}
counter    celery_task_revoked_total     {TASK}
counter    celery_task_retried_total     {TASK}
histogram  celery_task_runtime           {TASK}
histogram  celery_task_queue_wait_time   {TASK}
gauge      celery_worker_up              hostname
gauge      celery_worker_tasks_active    hostname
gauge      celery_queue_length           queue_name
gauge      celery_active_consumer_count  queue_name
gauge      celery_active_worker_count    queue_name
gauge      celery_active_process_count   queue_name
"""
ROWS = {
    name: (kind, labels) for kind, name, *labels in map(str.split, CONTRACT.strip().splitlines())
}
TABLE = {family.name: family for family in FAMILIES}


def samples(name: str) -> dict[tuple[str, ...], object]:
    return dict(TABLE[name].read(filled().snapshot()))


@pytest.mark.parametrize("name", ROWS)
def test_a_family_is_as_that_exporter_has_it(name: str) -> None:
    kind, labels = ROWS[name]
    assert (TABLE[name].kind, set(TABLE[name].labels)) == (kind, set(labels))


def test_there_is_nothing_else() -> None:
    assert set(TABLE) == set(ROWS)


def test_a_page_has_these_families_only() -> None:
    text = text_of(page_of(filled(), FAMILIES))
    shown = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE celery_")}
    assert shown == set(ROWS)


@pytest.mark.parametrize("name", [name for name in ROWS if name.startswith("celery_task_")])
def test_a_tasks_hostname_is_generic(name: str) -> None:
    found = samples(name)
    assert found
    assert {labels[1] for labels in found} == {"generic"}


def test_counts_are_those_of_the_own_table() -> None:
    assert samples("celery_task_succeeded_total")["app.add", "generic", "celery"] == 1
    assert samples("celery_task_retried_total")["app.mail.send", "generic", "mail"] == 1


def test_a_failure_counts_by_its_exception() -> None:
    assert samples("celery_task_failed_total") == {
        ("app.mail.send", "generic", "mail", "SMTPError"): 1
    }


def test_revocations_are_added_up_over_their_reasons() -> None:
    assert sum(samples("celery_task_revoked_total").values()) == 1  # type: ignore[arg-type]


def test_a_runtime_is_a_histogram_in_seconds() -> None:
    view = samples("celery_task_runtime")["app.add", "generic", "celery"]
    assert isinstance(view, HistogramView)
    assert view.sum == 0.25


def test_a_queue_has_its_consumers_workers_and_processes() -> None:
    queue = ("celery",)
    assert samples("celery_queue_length")[queue] == 5
    assert samples("celery_active_consumer_count")[queue] == 1
    assert samples("celery_active_worker_count")[queue] == 2
    assert samples("celery_active_process_count")[queue] == 4


def test_a_worker_goes_by_its_full_name() -> None:
    assert samples("celery_worker_up")["celery@one",] == 1
    assert samples("celery_worker_tasks_active") == {("celery@one",): 1}
