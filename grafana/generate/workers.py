"""Workers: who is up, busy, idle, stalled or gone, and what each of them does."""

from __future__ import annotations

from grafana.generate.dashboard import WORKER, Dashboard, Row
from grafana.generate.limits import levels
from grafana.generate.links import TO_TASK, TO_WORKER
from grafana.generate.looks import DEEP, IS_UP, MUTED, NOTICE, VIOLET, YES_NO, Below, Levels
from grafana.generate.panels import Query, graph, outcomes, stat, timeline
from grafana.generate.queries import (
    age,
    each,
    gain,
    gain_of_range,
    most,
    peak_of_range,
    rate,
    select,
    top,
    top_of_range,
    total,
)
from grafana.generate.tables import Column, table

ONE = 'worker=~"$worker"'
ACTIVE, SLOTS = (
    each("celery_worker_active_tasks", ONE), each("celery_worker_pool_processes", ONE),
)  # fmt: skip
UP = each("celery_worker_up", ONE)
BUSIEST = gain_of_range("celery_worker_processed_total", "worker", ONE)
FINISHED = "celery_worker_tasks_finished_total"
WAS_DOWN = most(f"1 - min_over_time({select('celery_worker_up', ONE)}[$__range] @ end())", "worker")


def of_worker(name: str) -> str:
    return most(each(name, ONE), "worker")


NOW = Row("Now", 4, (
    stat("Up", "Chosen workers that give signs of life.", total(UP), levels=Below(1), width=4),
    stat("Down", "Workers that have gone and are remembered for an hour.",
         f"count({UP}) - {total(UP)}", levels=Levels(bad=1), width=4),
    stat("Stalled", "Alive and free, work in their queues, and nothing begun: restart them.",
         total(each("celery_worker_stalled", ONE)), levels=Levels(bad=1), width=4),
    stat("Pool in use", "Slots that run a task.", f"{total(ACTIVE)} / {total(SLOTS)}",
         "percentunit", levels=Levels(notice=0.9), width=4),
    stat("Lost, last hour",
         "Workers that vanished without a goodbye: killed, out of memory, or cut off.",
         total(gain("celery_worker_lost_total", over="1h")), levels=Levels(bad=1), width=4),
    stat("Restarted, last hour", "Workers that came back under the same name.",
         total(gain("celery_worker_restarts_total", over="1h")), width=4),
))  # fmt: skip

ALL = Row("Every worker", 10, (
    table(
        "Workers",
        "All that is known of each worker now; those that are down first. Click one to see it "
        "alone.",
        [
            Column("Worker", "worker", link=TO_WORKER),
            Column("State", Query(most(UP, "worker")), words=IS_UP, width=80),
            Column("Active", Query(of_worker("celery_worker_active_tasks")), "short", width=75),
            Column("Slots", Query(of_worker("celery_worker_pool_processes")), "short", width=70),
            Column("Prefetched", Query(of_worker("celery_worker_reserved_tasks")), "short",
                   width=105),
            Column("Scheduled", Query(of_worker("celery_worker_scheduled_tasks")), "short",
                   width=100),
            Column("Begun/s", Query(
                most(rate("celery_worker_processed_total", ONE), "worker")), "ops", width=100),
            Column("Failed, 1 h", Query(
                total(gain(FINISHED, ONE, 'outcome="failed"', over="1h"), "worker")), "short",
                decimals=0, width=100),
            Column("Last sign", Query(
                age(of_worker("celery_worker_last_heartbeat_timestamp_seconds"))), "s",
                Levels(notice=30, bad=120), width=100),
            Column("Up for", Query(age(of_worker("celery_worker_start_timestamp_seconds"))), "s",
                   width=100),
            Column("Memory", Query(of_worker("celery_worker_max_resident_memory_bytes")), "bytes",
                   width=95),
            Column("Clock ahead", Query(of_worker("celery_worker_clock_skew_seconds")), "s",
                   width=110),
            Column("Events", Query(of_worker("celery_worker_events_enabled")), words=YES_NO,
                   width=75),
        ],
        width=24, sort="-State", nothing="no worker is known yet",
    ),
))  # fmt: skip

WHO = Row("Who was down, and who works", 8, (
    timeline("Down and back",
             "Workers that were down at any time in this range, at most ten. Many at the same "
             "moment: a host, a deploy or the network.",
             [Query(f"{most(UP, 'worker')} and on (worker) topk(10, {WAS_DOWN} > 0)",
                    "{{worker}}")],
             IS_UP, width=12, nothing="no worker was down"),
    graph("Begun, a second",
          "Task executions by worker, by its own count; the ten busiest. One line at 0 among "
          "others that are not: that worker is stuck.",
          top_of_range(most(rate("celery_worker_processed_total", ONE), "worker"), "worker",
                       BUSIEST),
          "ops", legend="{{worker}}", link=TO_WORKER, width=12),
    graph("Slots",
          "Busy at the level of slots: the pool is full. Prefetched far above: other workers "
          "may be idle for it.",
          [
              Query(total(SLOTS), "slots", MUTED),
              Query(total(ACTIVE), "busy", NOTICE),
              Query(total(each("celery_worker_reserved_tasks", ONE)), "prefetched", DEEP),
              Query(total(each("celery_worker_scheduled_tasks", ONE)), "scheduled", VIOLET),
          ]),
    outcomes("How tasks ended on them", "Failures on one worker alone: its host, its release, "
             "its network.", total(rate(FINISHED, ONE), "outcome")),
    graph("Failures by worker",
          "The ten workers on which most tasks failed. One alone: the worker, not the task.",
          top_of_range(total(rate(FINISHED, ONE, 'outcome="failed"'), "worker"), "worker",
                       gain_of_range(FINISHED, "worker", ONE, 'outcome="failed"') + " > 0"),
          "ops", legend="{{worker}}", link=TO_WORKER),
))  # fmt: skip

MACHINE = Row("What they use", 8, (
    graph("CPU of the main process",
          "Cores. Near 1: the worker's own loop is the limit, not the tasks; more workers with "
          "fewer slots help.",
          top_of_range(total(rate("celery_worker_cpu_seconds_total", ONE), "worker"), "worker",
                       BUSIEST),
          "short", legend="{{worker}}", link=TO_WORKER),
    graph("Largest memory",
          "The most that the main process ever had. Steps that never end: a leak; set "
          "worker_max_tasks_per_child or worker_max_memory_per_child.",
          top_of_range(of_worker("celery_worker_max_resident_memory_bytes"), "worker",
                       peak_of_range("celery_worker_max_resident_memory_bytes", "worker", ONE)),
          "bytes", legend="{{worker}}", link=TO_WORKER),
    graph("Load of their hosts",
          "Average over one minute. Above the number of cores: the host is the limit.",
          top_of_range(of_worker("celery_worker_load1"), "worker",
                       peak_of_range("celery_worker_load1", "worker", ONE)),
          "short", legend="{{worker}}", link=TO_WORKER),
    graph("Revoked ids remembered",
          "Each worker keeps up to 50,000 for three hours, in memory. At the limit, older "
          "revokes are forgotten.",
          top_of_range(of_worker("celery_worker_revoked_ids"), "worker",
                       peak_of_range("celery_worker_revoked_ids", "worker", ONE)),
          "short", legend="{{worker}}", link=TO_WORKER, width=12),
    table(
        "Running longest",
        "The oldest execution on each worker: what keeps a slot that seems stuck.",
        [
            Column("Worker", "worker", link=TO_WORKER),
            Column("Task", "task", link=TO_TASK),
            Column("Running for", Query(top(50, age(
                each("celery_task_oldest_active_start_timestamp_seconds", ONE)))), "s",
                levels("task_running_seconds"), width=120),
        ],
        width=12, sort="Running for", nothing="no task is running",
    ),
    table(
        "Releases",
        "Celery's version, pool and host of each worker that is up.",
        [
            Column("Worker", "worker", link=TO_WORKER), Column("Celery", "version"),
            Column("Pool", "pool"), Column("Host", "hostname"),
            Column("Prefetch", Query(of_worker("celery_worker_prefetch_count"))),
        ],
        hidden=[Query(each("celery_worker_info", ONE))],
        width=24, sort="-Worker", nothing="no worker is up",
    ),
))  # fmt: skip

WORKERS = Dashboard(
    "celeriac-workers", "Celery / Workers",
    "Who is up, busy, idle, stalled or gone, and what each of them does.",
    (NOW, ALL, WHO, MACHINE), (WORKER,),
)  # fmt: skip
