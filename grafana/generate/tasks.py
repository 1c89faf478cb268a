"""Tasks: what fails, with which exception; what is slow, run or wait; what uses the workers."""

from __future__ import annotations

from grafana.generate.dashboard import QUEUE, TASK, Dashboard, Row
from grafana.generate.limits import levels, limit
from grafana.generate.links import TO_TASK, TO_WORKER
from grafana.generate.looks import DEEP, NOTICE, VIOLET, Below, Levels
from grafana.generate.panels import Query, graph, outcomes, stat
from grafana.generate.queries import (
    age,
    each,
    gain,
    most,
    quantile,
    rate,
    select,
    sum_of_range,
    top,
    top_of_range,
    total,
)
from grafana.generate.tables import Column, table

ONE = ('task=~"$task"', 'queue=~"$queue"')
TASK_ONLY = ONE[0]
EVENTS = "task_queue:celery_task_events:rate5m"
ENDINGS = "succeeded|failed|retried|rejected|revoked"
RUNTIMES, WAITS = (
    "task:celery_task_runtime_seconds_bucket:rate5m",
    "task:celery_task_queue_wait_seconds_bucket:rate5m",
)
TIME = "task:celery_task_runtime_seconds_sum:rate5m"
OBJECTIVE = limit("task_success_ratio", "objective")
BUDGET = 1 - OBJECTIVE
FAILED_1H, ENDED_1H = (
    total(gain(name, *ONE, over="1h"), "task")
    for name in ("celery_task_failed_total", "celery_task_succeeded_total")
)
SHARE_1H = f"{FAILED_1H} / ({FAILED_1H} + {ENDED_1H} > 0)"
MOST_TIME = sum_of_range(TIME, "task", TASK_ONLY)
MOST_EXCEPTIONS = total(
    "max without (instance, pod, container, endpoint) (increase("
    f"{select('celery_task_exceptions_total', *ONE)}[$__range] @ end()))", "task", "exception",
) + " > 0"  # fmt: skip


def event(name: str) -> str:
    return total(each(EVENTS, *ONE, f'event="{name}"'), "task")


def share(window: str) -> str:
    return most(each(f"task:celery_task_failed:ratio{window}", TASK_ONLY), "task")


NOW = Row("Now", 4, (
    stat("Finished", "Chosen tasks that succeeded or failed a second.",
         total(each(EVENTS, *ONE, 'event=~"succeeded|failed"')), "ops", width=4),
    stat("Failed, last hour", "Share of the ends of the chosen tasks that were failures.",
         f"{total(FAILED_1H)} / ({total(FAILED_1H)} + {total(ENDED_1H)} > 0)", "percentunit",
         levels=levels("error_ratio"), width=4),
    stat("Error budget left, 6 h",
         f"Of the failures that an objective of {OBJECTIVE:.0%} allows in six hours, the share "
         "that is left, of the task that has the least. Below 0: the objective is missed.",
         f"1 - max({share('6h')}) / {BUDGET:g}", "percentunit",
         levels=Below(0), width=4),
    stat("Run time, 19 of 20", "Nineteen of twenty runs took at most this long.",
         quantile(0.95, RUNTIMES, TASK_ONLY), "s", width=4),
    stat("Waited, 19 of 20",
         "Nineteen of twenty waited at most this long for a worker. More than the run time: the "
         "task is not slow, its queue is.",
         quantile(0.95, WAITS, TASK_ONLY), "s", levels=levels("queue_wait_seconds"), width=4),
    stat("Slots used", "Slots of the pools that these tasks keep busy, on average.",
         total(each(TIME, TASK_ONLY)), width=4),
))  # fmt: skip

ALL = Row("Every task", 9, (
    table(
        "Tasks, last hour",
        "What ended in the last hour, the most failures first. Click a task to see it alone.",
        [
            Column("Task", "task", link=TO_TASK),
            Column("Succeeded", Query(ENDED_1H), "short", decimals=0, width=110),
            Column("Failed", Query(FAILED_1H), "short", decimals=0, width=90),
            Column("Share", Query(SHARE_1H), "percentunit", levels("error_ratio"), width=80),
            Column("Retried", Query(
                total(gain("celery_task_retried_total", *ONE, over="1h"), "task")), "short",
                decimals=0, width=90),
            Column("Revoked", Query(
                total(gain("celery_task_revoked_total", *ONE, over="1h"), "task")), "short",
                decimals=0, width=95),
            Column("Mean run", Query(
                f"{total(gain('celery_task_runtime_seconds_sum', *ONE, over='1h'), 'task')} / "
                f"({total(gain('celery_task_runtime_seconds_count', *ONE, over='1h'), 'task')}"
                " > 0)"), "s", width=100),
            Column("Mean wait", Query(
                f"{total(gain('celery_task_queue_wait_seconds_sum', *ONE, over='1h'), 'task')} / "
                f"({total(gain('celery_task_queue_wait_seconds_count', *ONE, over='1h'), 'task')}"
                " > 0)"), "s", levels("queue_wait_seconds"), width=105),
            Column("Last success", Query(
                age(most(each("celery_task_last_succeeded_timestamp_seconds", TASK_ONLY), "task"))),
                "s", width=120),
            Column("Last failure", Query(
                age(most(each("celery_task_last_failed_timestamp_seconds", TASK_ONLY), "task"))),
                "s", width=115),
        ],
        width=24, sort="Failed", nothing="no task has ended yet",
    ),
))  # fmt: skip

FAILING = Row("Failing: since when, with what", 8, (
    outcomes("Outcomes",
             "How the chosen tasks ended, a second. Where failures begin, look for the mark of a "
             "deploy.",
             total(each(EVENTS, *ONE, f'event=~"{ENDINGS}"'), "event"), label="event",
             needs_rules=True),
    graph("Exceptions",
          "The ten most frequent in this range, by task. One that is new since a deploy is the "
          "culprit.",
          top_of_range(
              total(rate("celery_task_exceptions_total", *ONE), "task", "exception"),
              "task, exception", MOST_EXCEPTIONS),
          "ops", legend="{{exception}} in {{task}}", link=TO_TASK),
    graph("Retries and revokes",
          "Retries hide failures and multiply load. Revoked: by hand, terminated, or expired "
          "before a worker had time.",
          [
              Query(total(each(EVENTS, *ONE, 'event="retried"')), "retried", NOTICE),
              Query(total(rate("celery_task_revoked_total", *ONE), "reason"), "{{reason}}"),
              Query(total(each(EVENTS, *ONE, 'event="rejected"')), "rejected", VIOLET),
          ], "ops"),
    graph("Error budget burnt, 1 h",
          f"How many times faster than an objective of {OBJECTIVE:.0%} allows. At 14, a month's "
          "budget is gone in two days.",
          top(10, f"{share('1h')} / {BUDGET:g}"), "none", legend="{{task}}", link=TO_TASK,
          levels=Levels(notice=6, bad=14.4), width=12, needs_rules=True),
    graph("Share that failed, 5 m",
          "Of the ends in five minutes, failures. The ten highest.",
          top(10, f"{share('5m')} > 0"), "percentunit", legend="{{task}}", link=TO_TASK,
          levels=levels("error_ratio"), width=12, needs_rules=True),
))  # fmt: skip

SLOW = Row("Slow: run or wait", 8, (
    graph("Run against wait, 19 of 20",
          "Wait above run: more workers, or a queue of its own. Run that rises: the task itself, "
          "its database or a remote service.",
          [
              Query(quantile(0.95, RUNTIMES, TASK_ONLY), "run", DEEP),
              Query(quantile(0.95, WAITS, TASK_ONLY), "wait for a worker", NOTICE),
          ], "s", width=12, needs_rules=True),
    graph("Run time, half of all",
          "Half of the runs took at most this long; the ten tasks that use most time.",
          top_of_range(quantile(0.5, RUNTIMES, TASK_ONLY, by=("task",)), "task", MOST_TIME),
          "s", legend="{{task}}", link=TO_TASK, width=12, needs_rules=True),
    graph("Where the workers' time goes",
          "Slots that each task keeps busy; the ten that use most. The sum is what the pools "
          "must at least have.",
          top_of_range(total(each(TIME, TASK_ONLY), "task"), "task", MOST_TIME),
          "short", legend="{{task}}", link=TO_TASK, width=12, is_stacked=True, needs_rules=True),
    table(
        "Running longest",
        "The oldest execution of each task on each worker. Longer than it can take: it hangs; "
        "revoke it with terminate, or set a time limit.",
        [
            Column("Task", "task", link=TO_TASK),
            Column("Worker", "worker", link=TO_WORKER),
            Column("Running for", Query(top(50, age(
                each("celery_task_oldest_active_start_timestamp_seconds", TASK_ONLY)))), "s",
                levels("task_running_seconds"), width=120),
        ],
        width=12, sort="Running for", nothing="no task is running",
    ),
))  # fmt: skip

TASKS = Dashboard(
    "celeriac-tasks", "Celery / Tasks",
    "What fails and with which exception; what is slow, run or wait; what uses the workers.",
    (NOW, ALL, FAILING, SLOW), (TASK, QUEUE),
)  # fmt: skip
