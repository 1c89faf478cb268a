"""Overview: healthy or not, who is to blame, since when, and what to do."""

from __future__ import annotations

from grafana.generate import reasons
from grafana.generate.dashboard import STARTED as STARTS_QUERY
from grafana.generate.dashboard import Dashboard, Row
from grafana.generate.limits import levels, limit
from grafana.generate.links import (
    TO_EXPORTER,
    TO_QUEUE,
    TO_QUEUES,
    TO_TASK,
    TO_TASKS,
    TO_WORKER,
    TO_WORKERS,
    Runbook,
)
from grafana.generate.looks import (
    BAD,
    DEEP,
    LEVELS,
    MUTED,
    NOBODY,
    NOTICE,
    PLAIN,
    VERDICT,
    WORKER_STATE,
    Below,
    Levels,
)
from grafana.generate.panels import Query, graph, outcomes, stat, timeline
from grafana.generate.queries import (
    ALERT_SCOPE,
    FIRING,
    age,
    each,
    either,
    gain,
    growth_of_range,
    most,
    peak_of_range,
    rate,
    top,
    top_of_range,
    total,
)
from grafana.generate.tables import Column, table

LENGTH, CONSUMERS = each("celery_queue_length"), each("celery_queue_consumers")
OLDEST = each("celery_queue_oldest_message_age_seconds")
WAIT = each("queue:celery_queue_wait_seconds:longest")
ENDINGS = "succeeded|failed|retried|rejected|revoked"
FINISHED = "celery_worker_tasks_finished_total"
FAILED_NOW = total(gain("celery_task_failed_total", over="15m"), "task")
ENDED_NOW = f"{FAILED_NOW} + {total(gain('celery_task_succeeded_total', over='15m'), 'task')}"
WORST_TASKS = top(10, f"{FAILED_NOW} > 0")
EXCEPTIONS = total(gain("celery_task_exceptions_total", over="15m"), "task", "exception")
MAIN_EXCEPTION = f"topk by (task) (1, {EXCEPTIONS} > 0)"
WORKER_FAILED = total(gain(FINISHED, 'outcome="failed"', over="15m"), "worker")
FAILING = limit("error_ratio", "warning")
WORKER_FAILS = f"{WORKER_FAILED} / {total(gain(FINISHED, over='15m'), 'worker')} > {FAILING:g}"
NO_WAITING = "no queue has messages waiting"
ALL_UP = f"every worker is up, works, and fails less than {FAILING:.0%}"
NONE_FAILED = "no task failed in the last 15 minutes"

NOW = Row("Now", 4, (
    stat(
        "Verdict",
        "DOWN: no broker, no worker or no exporter. DEGRADED: something else is wrong; the worst "
        "of it is named here, all of it under Why. It needs no rules, but counts alerts too.",
        reasons.verdict(), words=VERDICT, legend="{{why}}", width=5, is_loud=True,
        nothing="NO DATA",
    ),
    stat(
        "Workers",
        "Workers up: those that give signs of life. 0: nothing runs. Who is gone, and since "
        "when, is in the table of workers below.",
        total(each("celery_active_workers")), levels=Below(1, PLAIN), width=3,
        link=TO_WORKERS,
    ),
    stat(
        "Waiting",
        "Messages ready in all queues of the broker. Growing: publishers are faster than "
        "workers; look at the worst queue.",
        total(LENGTH), levels=levels("backlog_messages"), width=3,
        link=TO_QUEUES,
    ),
    stat(
        "Oldest",
        "How long the oldest message of any queue has waited, at least. Long with few messages "
        "waiting: nobody works on that queue.",
        most(OLDEST), "s", levels=levels("queue_wait_seconds"), width=3,
        link=TO_QUEUES,
    ),
    stat(
        "Finished",
        "Tasks that ended a second, however they ended. 0 while messages wait: the workers "
        "are stuck.",
        total(rate(FINISHED)), "ops", width=3,
        link=TO_TASKS,
    ),
    stat(
        "Failed",
        "Share of the tasks that ended in the last five minutes by failing. Which task and "
        "which exception: the table of tasks below.",
        f"({reasons.FAILED}) / ({reasons.ENDED} > 0)", "percentunit", levels=levels("error_ratio"),
        width=3,
        link=TO_TASKS,
    ),
    stat(
        "Pool",
        "Share of the slots of all pools that run a task. Near 100 % with messages waiting: "
        "more workers are needed, or faster tasks.",
        f"{total(each('celery_worker_active_tasks'))} / "
        f"{total(each('celery_worker_pool_processes'))}",
        "percentunit", levels=Levels(notice=0.9),
        link=TO_WORKERS,
    ),
    stat(
        "Age",
        "Age of the data: of the source of these numbers that is furthest behind. Old: trust "
        "nothing here, and look at the exporter.",
        most(age(each("celery_exporter_source_last_success_timestamp_seconds"))),
        "s", levels=levels("source_age_seconds"),
        link=TO_EXPORTER,
    ),
))  # fmt: skip

CULPRIT = Row("Culprit", 7, (
    table(
        "Worst queues",
        "Queues with messages waiting, the longest wait first. NOBODY: start a worker for that "
        "queue, or correct the route. Click a queue to see its history.",
        [
            Column("Queue", "queue", link=TO_QUEUE),
            Column("Waiting", Query(f"{total(LENGTH, 'queue')} > 0"), "short", width=75),
            Column("Oldest", Query(f"{most(OLDEST, 'queue')} > 0"), "s",
                   levels("queue_wait_seconds"), width=90),
            Column("Consumers", Query(
                f"{total(CONSUMERS, 'queue')} and on (queue) {total(LENGTH, 'queue')} > 0"),
                words=NOBODY, width=95),
        ],
        sort="Oldest", nothing=NO_WAITING,
    ),
    table(
        "Worst tasks, last 15 minutes",
        "Tasks that failed most, and the exception most often seen. Click a task to see when it "
        "began, and whether a release or a queue is behind it.",
        [
            Column("Task", "task", link=TO_TASK),
            Column("Failed", Query(WORST_TASKS), "short", decimals=0, width=70),
            Column("Share", Query(f"({FAILED_NOW}) / ({ENDED_NOW}) and on (task) {WORST_TASKS}"),
                   "percentunit", levels("error_ratio"), decimals=0, width=65),
            Column("Exception", "exception"),
        ],
        hidden=[Query(f"{MAIN_EXCEPTION} and on (task) {WORST_TASKS}")],
        sort="Failed", nothing=NONE_FAILED,
    ),
    table(
        "Worst workers",
        "Workers that are down, alive without working, or fail many tasks. DOWN: gone, with a "
        "goodbye or without. Click a worker to see what it did last.",
        [
            Column("Worker", "worker", link=TO_WORKER),
            Column("State", Query(either(
                f"{most(each('celery_worker_up'), 'worker')} * 0 + 3 and on (worker) "
                f"{most(each('celery_worker_up'), 'worker')} == 0",
                f"{most(each('celery_worker_stalled'), 'worker')} * 2 == 2",
                f"({WORKER_FAILS}) * 0 + 1",
            )), words=WORKER_STATE, width=100),
            Column("Last sign", Query(
                f"{age(most(each('celery_worker_last_heartbeat_timestamp_seconds'), 'worker'))} "
                f"and on (worker) {most(each('celery_worker_up'), 'worker')} == 0"),
                "s", width=90),
            Column("Failed, 15 m", Query(WORKER_FAILS), "percentunit", decimals=0, width=100),
        ],
        sort="State", nothing=ALL_UP,
    ),
))  # fmt: skip

SINCE_WHEN = Row("Since when", 7, (
    table(
        "Why",
        "All that makes the verdict, and how many there are of it. The tables above name them.",
        [
            Column("Count", Query(reasons.counts()), levels=Levels(base=BAD), width=60),
            Column("What is wrong now", "why"),
        ],
        width=6, nothing="nothing is wrong",
    ),
    timeline(
        "What was wrong, over time",
        "A bar for each reason of the verdict and each alert, from when to when. The left end of "
        "the first bar is the beginning; workers that started right before it are a deploy or a "
        "restart.",
        [Query(reasons.levels(), "{{why}}"), Query(reasons.alert_levels(), "{{alertname}}"),
         Query(f"{STARTS_QUERY} * 0 + {reasons.STARTED}", "workers started")],
        LEVELS, width=10, nothing="nothing was wrong (or the rules are not loaded)",
    ),
    table(
        "Alerts firing now",
        "What fires, and for how long; the longest is nearest to the cause. Click the name for "
        "the runbook.",
        [
            Column("Alert", "alertname", link=Runbook()),
            Column("Queue", "queue"), Column("Task", "task"), Column("Worker", "worker"),
            Column("Level", Query(reasons.ALERT_LEVEL), words=LEVELS, width=70),
            Column("For", Query(
                "max without (severity) (time() - "
                f"(ALERTS_FOR_STATE{{{ALERT_SCOPE}}} and ignoring (alertstate) {FIRING}))"),
                "s", width=85),
        ],
        sort="For", width=8, nothing="no alert fires, or no rules",
    ),
))  # fmt: skip

FLOW = Row("Flow", 8, (
    outcomes(
        "Tasks that ended, by outcome",
        "What the workers finished a second. A step down in all outcomes: workers are missing "
        "or stuck. More failures: see the worst tasks.",
        total(each("job:celery_task_events:rate5m", f'event=~"{ENDINGS}"'), "event"),
        label="event", needs_rules=True,
    ),
    graph(
        "Messages waiting",
        "The ten queues that were longest in this range. A line that only rises has nobody to "
        "work on it, or too few. Click a line for its queue.",
        top_of_range(total(LENGTH, "queue"), "queue",
                     peak_of_range("celery_queue_length", "queue")),
        legend="{{queue}}", link=TO_QUEUE,
    ),
    graph(
        "Longest wait",
        "The ten queues with the longest wait in this range: the oldest message, or where that "
        "is unknown, one in twenty of the tasks that were started.",
        top_of_range(most(WAIT, "queue"), "queue",
                     peak_of_range("queue:celery_queue_wait_seconds:longest", "queue")),
        "s", legend="{{queue}}", link=TO_QUEUE, needs_rules=True,
    ),
    graph(
        "Failures by task",
        "The ten tasks that failed most in this range. Click a line for its task.",
        top_of_range(
            total(each("task:celery_task_events:rate5m", 'event="failed"'), "task"), "task",
            growth_of_range("celery_task_failed_total", "task") + " > 0",
        ),
        "ops", legend="{{task}}", link=TO_TASK, needs_rules=True,
    ),
    graph(
        "Run time, 19 of 20",
        "The ten tasks that use most time of the workers: nineteen of twenty runs took at most "
        "this long. Click a line for its task.",
        top_of_range(
            most(each("task:celery_task_runtime_seconds:p95_5m"), "task"), "task",
            growth_of_range("celery_task_runtime_seconds_sum", "task"),
        ),
        "s", legend="{{task}}", link=TO_TASK, needs_rules=True,
    ),
    graph(
        "Workers and slots",
        "Workers up, slots of their pools, and slots that run a task. Busy at the level of "
        "slots: the pool is full.",
        [
            Query(total(each("celery_active_workers")), "workers up", DEEP),
            Query(total(each("worker:celery_worker_pool_processes:max")), "slots", MUTED),
            Query(total(each("worker:celery_worker_active_tasks:max")), "busy slots", NOTICE),
        ],
        needs_rules=True,
    ),
))  # fmt: skip

OVERVIEW = Dashboard(
    "celeriac-overview", "Celery / Overview",
    "Is the cluster healthy? Which queue, task or worker is to blame, since when, and what to do.",
    (NOW, CULPRIT, SINCE_WHEN, FLOW),
)  # fmt: skip
