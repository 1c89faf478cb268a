"""Exporter and operations: can these numbers be trusted, what does beat do, who acted."""

from __future__ import annotations

from grafana.generate.dashboard import SIDECAR, Dashboard, Row
from grafana.generate.limits import levels
from grafana.generate.looks import ANSWERS, BAD, CALM, DEEP, NOTICE, SUCCEEDED, VIOLET, Levels
from grafana.generate.panels import Query, graph, stat
from grafana.generate.queries import (
    age,
    each,
    gain,
    most,
    of_exporters,
    rate,
    select,
    top,
    total,
)
from grafana.generate.tables import Column, table

SOURCE_AT = each("celery_exporter_source_last_success_timestamp_seconds")
MISSED = "celery_exporter_events_missed_total"
DONE = "celeriac_sidecar_operations_total"
SEEN_AT = each("celery_beat_entry_last_seen_timestamp_seconds")
INTERVAL = each("celery_beat_entry_interval_seconds")

TRUST = Row("Can these numbers be trusted?", 4, (
    stat("Broker", "1 while the broker answers. 0: its address, its password, the network.",
         most(each("celery_broker_up")), "none", words=ANSWERS, width=3),
    stat("Oldest source", "Since when the source that is furthest behind has not succeeded.",
         most(age(SOURCE_AT)), "s", levels=levels("source_age_seconds"), width=3),
    stat("Missed, 1 h",
         "Executions that workers began and no event told of. Above 0, counts by task are too "
         "low by as much; counts by worker stay right.",
         total(gain(MISSED, over="1h")), levels=Levels(bad=1), width=3),
    stat("Deaf, 1 h",
         "For how long events were published that could not arrive: a lost connection to the "
         "broker.",
         total(gain("celery_exporter_event_gap_seconds_total", over="1h")), "s",
         levels=Levels(notice=1, bad=60), width=3),
    stat("Event lag", "Age of the last task event as it arrived. Seconds and growing: the "
         "exporter is behind, or a clock is wrong.",
         most(each("celery_exporter_event_lag_seconds")), "s", levels=Levels(notice=5, bad=60),
         width=3),
    stat("No answer", "Workers that gave no answer to the last question.",
         total(each("celery_exporter_workers_unanswered")), levels=Levels(notice=1), width=3),
    stat("Series", "Series on the exporter's page. Its budget is 20,000 unless configured.",
         most(each("celery_exporter_series")), levels=Levels(notice=15000, bad=19000), width=3),
    stat("Overflow, 1 h",
         "Label values that were too many and went to __overflow__. Task names made of data "
         "are the usual cause.",
         total(gain("celery_exporter_label_overflow_total", over="1h")), levels=Levels(bad=1),
         width=3),
))  # fmt: skip

SOURCES = Row("Sources and events", 8, (
    table(
        "Sources",
        "What the exporter observes. FAILS: its log says what was tried, and `celeriac doctor` "
        "what to do.",
        [
            Column("Source", "source"),
            Column("Last sample", Query(most(each("celery_exporter_sample_success"), "source")),
                   words=SUCCEEDED, width=105),
            Column("Age", Query(most(age(SOURCE_AT), "source")), "s",
                   levels("source_age_seconds"), width=80),
            Column("Took", Query(
                most(each("celery_exporter_sample_duration_seconds"), "source")), "s", width=80),
            Column("Reconnects, 1 h", Query(
                total(gain("celery_exporter_reconnects_total", over="1h"), "source")), "short",
                decimals=0, width=130),
        ],
    ),
    graph("Events received", "By type. task-* at 0 while workers run: events are off; see "
          "`celery worker -E`.",
          top(10, total(rate("celery_exporter_events_received_total"), "type")), "ops",
          legend="{{type}}"),
    graph("Events not counted",
          "Rejected: could not be read. Unmatched: of a task id never seen, normal after a "
          "start. Missed: never arrived.",
          [
              Query(total(rate("celery_exporter_events_rejected_total")), "rejected", NOTICE),
              Query(total(rate("celery_exporter_events_unmatched_total")), "unmatched", CALM),
              Query(total(rate(MISSED)), "missed", BAD),
              Query(total(rate("celery_exporter_replies_rejected_total")),
                    "replies rejected", VIOLET),
          ], "ops"),
    graph("How long samples take", "Near the interval: fewer workers a sample, or a longer one.",
          most(each("celery_exporter_sample_duration_seconds"), "source"), "s",
          legend="{{source}}"),
    graph("Series and task ids",
          "Both are bounded. Series that only rise: names made of data.",
          [
              Query(most(each("celery_exporter_series")), "series", DEEP),
              Query(most(each("celery_exporter_tracked_tasks")), "task ids", NOTICE),
          ]),
    graph("The exporter's own process", "Cores that each exporter uses.",
          of_exporters("rate(process_cpu_seconds_total{}[$__rate_interval])"), "short",
          legend="{{instance}}"),
    graph("The exporter's own memory", "Resident memory of each exporter.",
          of_exporters("process_resident_memory_bytes{}"), "bytes", legend="{{instance}}",
          width=12),
    table(
        "Versions", "Of each exporter, and of its broker.",
        [
            Column("Exporter", "instance"), Column("Version", "version"),
            Column("Celery", "celery_version"), Column("Broker", "transport"),
            Column("Scraped", Query(select("celery_exporter_build_info")), words=ANSWERS),
        ],
        width=12,
    ),
))  # fmt: skip

BEAT = Row("Beat", 8, (
    table(
        "Scheduled entries",
        "An entry is overdue when more than two of its intervals have passed: beat has stopped, "
        "or the entry was removed.",
        [
            Column("Entry", "entry"), Column("Task", "task"),
            Column("Interval", Query(INTERVAL), "s", width=110),
            Column("Last seen", Query(age(SEEN_AT)), "s", width=110),
            Column("Intervals ago", Query(f"({age(SEEN_AT)}) / ({INTERVAL} > 0)"), "none",
                   levels("beat_intervals"), decimals=1, width=120),
        ],
        width=24, sort="Intervals ago", nothing="no worker's configuration has a schedule",
    ),
))  # fmt: skip

OPERATIONS = Row("Operations: the sidecar", 8, (
    graph("Requests", "By answer. 401 and 403: wrong tokens; 5xx: the sidecar's log.",
          top(10, total(rate("celeriac_sidecar_requests_total"), "code")), "ops",
          legend="{{code}}"),
    graph("Operations", "What was done to the cluster: who and why is in the audit trail, "
          "GET /audit.",
          top(10, total(gain(DONE, over="$__rate_interval"), "kind", "outcome")), "short",
          legend="{{kind}} {{outcome}}"),
    graph("Logins refused", "By reason. Many from one moment on: an expired key, or an attack.",
          top(10, total(rate("celeriac_sidecar_logins_refused_total"), "reason")), "ops",
          legend="{{reason}}"),
))  # fmt: skip

SIDECAR_NOW = Row("The sidecar now", 4, (
    stat("Audit records", "Sequence number of the last record: it never goes back.",
         most(each("celeriac_sidecar_audit_head")), "none", width=6),
    stat("Audit failures, 1 h", "Records that could not be written. Above 0 nothing may be done: "
         "check the database.",
         total(gain("celeriac_sidecar_audit_failures_total", over="1h")), levels=Levels(bad=1),
         width=6),
    stat("WebSocket clients", "Clients of the live stream now.",
         total(each("celeriac_sidecar_websocket_clients")), width=6),
    stat("Live numbers' age",
         "How old the sidecar's live numbers are. It looks only while somebody asks or listens.",
         most(each("celeriac_sidecar_poll_age_seconds")), "s", width=6),
))  # fmt: skip

EXPORTER = Dashboard(
    "celeriac-exporter", "Celery / Exporter and operations",
    "Can these numbers be trusted, what does beat do, and who acted on the cluster?",
    (TRUST, SOURCES, BEAT, OPERATIONS, SIDECAR_NOW), (SIDECAR,),
)  # fmt: skip
