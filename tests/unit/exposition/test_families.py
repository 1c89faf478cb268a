"""The metric table against the contract, written out here once more, by hand."""

from __future__ import annotations

import re

import pytest
from filled import filled, page_of, text_of

from celeriac.exposition.families import FAMILIES, Family

CONTRACT = """
counter    celery_task_sent_total                                  task queue
counter    celery_task_received_total                              task queue
counter    celery_task_started_total                               task queue
counter    celery_task_succeeded_total                             task queue
counter    celery_task_failed_total                                task queue
counter    celery_task_retried_total                               task queue
counter    celery_task_rejected_total                              task queue
counter    celery_task_revoked_total                               task queue reason
counter    celery_task_exceptions_total                            task queue exception
histogram  celery_task_runtime_seconds                             task queue
histogram  celery_task_queue_wait_seconds                          task queue
histogram  celery_task_prefetch_wait_seconds                       task queue
gauge      celery_task_last_succeeded_timestamp_seconds            task
gauge      celery_task_last_failed_timestamp_seconds               task
gauge      celery_task_oldest_active_start_timestamp_seconds       task worker
gauge      celery_active_workers
gauge      celery_expected_workers
gauge      celery_worker_up                                        worker
gauge      celery_worker_info                                      worker version pool hostname
gauge      celery_worker_last_heartbeat_timestamp_seconds          worker
gauge      celery_worker_start_timestamp_seconds                   worker
gauge      celery_worker_active_tasks                              worker
gauge      celery_worker_reserved_tasks                            worker
gauge      celery_worker_scheduled_tasks                           worker
gauge      celery_worker_revoked_ids                               worker
gauge      celery_worker_pool_processes                            worker
gauge      celery_worker_prefetch_count                            worker
counter    celery_worker_processed_total                           worker
counter    celery_worker_task_processed_total                      worker task
counter    celery_worker_tasks_finished_total                      worker outcome
counter    celery_worker_cpu_seconds_total                         worker mode
gauge      celery_worker_max_resident_memory_bytes                 worker
gauge      celery_worker_load1                                     worker
counter    celery_worker_lost_total
counter    celery_worker_restarts_total
gauge      celery_worker_events_enabled                            worker
gauge      celery_worker_clock_skew_seconds                        worker
gauge      celery_worker_stalled                                   worker
gauge      celery_queue_length                                     queue
gauge      celery_queue_unacked                                    queue
gauge      celery_queue_consumers                                  queue
gauge      celery_queue_processes                                  queue
gauge      celery_queue_oldest_message_age_seconds                 queue
gauge      celery_queue_oldest_unacked_age_seconds                 queue
gauge      celery_queue_redelivery_risk                            queue
gauge      celery_queue_delayed
gauge      celery_broker_up
gauge      celery_broker_info                                      transport version
gauge      celery_beat_entry_interval_seconds                      entry task
gauge      celery_beat_entry_last_seen_timestamp_seconds           entry task
gauge      celery_exporter_build_info                              version celery_version
gauge      celery_exporter_sample_success                          source
gauge      celery_exporter_sample_duration_seconds                 source
gauge      celery_exporter_source_last_success_timestamp_seconds   source
counter    celery_exporter_events_received_total                   type
counter    celery_exporter_events_rejected_total                   reason
counter    celery_exporter_events_unmatched_total
counter    celery_exporter_events_missed_total
counter    celery_exporter_event_gap_seconds_total
gauge      celery_exporter_last_event_gap_timestamp_seconds
gauge      celery_exporter_event_lag_seconds
counter    celery_exporter_reconnects_total                        source
gauge      celery_exporter_tracked_tasks
counter    celery_exporter_label_overflow_total                    label
gauge      celery_exporter_series
"""
ROWS = [line.split() for line in CONTRACT.strip().splitlines()]
TABLE = {family.name: family for family in FAMILIES}
EVERY_FAMILY = pytest.mark.parametrize("family", TABLE.values(), ids=TABLE)


@pytest.mark.parametrize("row", ROWS, ids=[row[1] for row in ROWS])
def test_a_family_of_the_contract_is_in_the_table(row: list[str]) -> None:
    kind, name, *labels = row
    assert (TABLE[name].kind, set(TABLE[name].labels)) == (kind, set(labels))


def test_no_family_is_in_the_table_twice() -> None:
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))


@EVERY_FAMILY
def test_only_a_counter_ends_in_total(family: Family) -> None:
    assert family.name.endswith("_total") is (family.kind == "counter")


@EVERY_FAMILY
def test_a_help_is_one_sentence_without_full_stop(family: Family) -> None:
    assert re.fullmatch(r"[A-Z0-9][^\n]*[^.\s]", family.help)


@EVERY_FAMILY
def test_a_duration_is_in_seconds(family: Family) -> None:
    if re.search(r"wait|runtime|duration|lag|timestamp", family.name):
        assert re.search(r"_seconds(_total)?$", family.name)


@EVERY_FAMILY
def test_no_label_is_a_task_id(family: Family) -> None:
    known = {label for _, _, *labels in ROWS for label in labels}
    assert set(family.labels) <= known


@pytest.mark.parametrize("family", FAMILIES, ids=[family.name for family in FAMILIES])
def test_every_family_has_something_to_show(family: Family) -> None:
    text = text_of(page_of(filled()), family.name)
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert samples
    for label in family.labels:
        assert all(f'{label}="' in sample for sample in samples)
