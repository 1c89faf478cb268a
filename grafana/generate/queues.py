"""Queues: what waits where, for how long, who works on it, and when it will be done."""

from __future__ import annotations

from grafana.generate.dashboard import QUEUE, Dashboard, Row
from grafana.generate.limits import levels
from grafana.generate.links import TO_QUEUE, TO_TASK
from grafana.generate.looks import BAD, CALM, DEEP, NOBODY, Below, Levels
from grafana.generate.panels import Query, graph, stat
from grafana.generate.queries import (
    each,
    gain_of_range,
    most,
    peak_of_range,
    quantile,
    rate,
    top_of_range,
    total,
)
from grafana.generate.tables import Column, table

ONE = 'queue=~"$queue"'
LENGTH = each("celery_queue_length", ONE)
OLDEST = each("celery_queue_oldest_message_age_seconds", ONE)
EVENTS = "queue:celery_task_events:rate5m"
LONGEST = peak_of_range("celery_queue_length", "queue", ONE)


def by_queue(expression: str) -> str:
    return top_of_range(total(expression, "queue"), "queue", LONGEST)


NOW = Row("Now", 4, (
    stat("Waiting", "Messages ready in the chosen queues.",
         total(LENGTH), levels=levels("backlog_messages"), width=4),
    stat("Oldest message",
         "How long the oldest message has waited, at least. It grows a second each second while "
         "nobody takes messages.",
         most(OLDEST), "s", levels=levels("queue_wait_seconds"), width=4),
    stat("Unacked",
         "Messages delivered to workers and not acknowledged. Much more than there are slots: a "
         "prefetch multiplier that is too high, or tasks with ETA.",
         total(each("celery_queue_unacked", ONE)), width=4),
    stat("Consumers",
         "Workers that take messages from the chosen queues. 0: start a worker with -Q and "
         "that name.",
         total(each("celery_queue_consumers", ONE)), levels=Below(1), width=4),
    stat("Delivered twice",
         "Messages held, or due, later than Redis' visibility timeout: a second worker gets "
         "them too. Raise visibility_timeout above the longest ETA and run time.",
         total(each("celery_queue_redelivery_risk", ONE)), levels=Levels(bad=1), width=4,
         nothing="Redis only"),
    stat("Delayed",
         "Messages in RabbitMQ's native delayed delivery; they reach a queue when they are due.",
         total(each("celery_queue_delayed")), width=4, nothing="RabbitMQ only"),
))  # fmt: skip

ALL = Row("Every queue", 9, (
    table(
        "Queues",
        "All that is known of each queue now, the longest first. Messages and no consumers: "
        "nobody works there. A drain that is empty while messages wait: it does not shrink.",
        [
            Column("Queue", "queue", link=TO_QUEUE),
            Column("Waiting", Query(total(LENGTH, "queue")), "short",
                   levels("backlog_messages"), width=100),
            Column("Oldest", Query(most(OLDEST, "queue")), "s", levels("queue_wait_seconds"),
                   width=110),
            Column("Unacked", Query(total(each("celery_queue_unacked", ONE), "queue")), "short",
                   width=100),
            Column("Oldest held", Query(
                most(each("celery_queue_oldest_unacked_age_seconds", ONE), "queue")), "s",
                width=120),
            Column("Consumers", Query(total(each("celery_queue_consumers", ONE), "queue")),
                   words=NOBODY, width=110),
            Column("Slots", Query(total(each("celery_queue_processes", ONE), "queue")), "short",
                   width=80),
            Column("Sent/s", Query(total(rate("celery_task_sent_total", ONE), "queue")), "ops",
                   width=100),
            Column("Started/s", Query(total(rate("celery_task_started_total", ONE), "queue")),
                   "ops", width=110),
            Column("Empty in", Query(
                most(each("queue:celery_queue_drain_seconds:at_present_rate", ONE), "queue")), "s",
                levels("queue_drain_seconds"), width=110),
        ],
        width=24, sort="Waiting", nothing="no queue is known yet",
    ),
))  # fmt: skip

OVER_TIME = Row("Over time, the ten longest queues", 8, (
    graph("Messages waiting",
          "Rising without end: nobody works on the queue, or too few. Sawtooth: publishers come "
          "in batches.",
          by_queue(LENGTH), legend="{{queue}}", link=TO_QUEUE),
    graph("Age of the oldest message",
          "A straight line that rises a second each second: nothing is taken from the queue.",
          top_of_range(most(OLDEST, "queue"), "queue", LONGEST), "s", legend="{{queue}}",
          link=TO_QUEUE),
    graph("Consumers",
          "Workers that take from the queue. A step down is a lost or stopped worker.",
          by_queue(each("celery_queue_consumers", ONE)), legend="{{queue}}", link=TO_QUEUE),
    graph("In and out",
          "Messages sent to the chosen queues and tasks started from them a second. Sent above "
          "started: the backlog grows. Sent needs task_send_sent_event.",
          [
              Query(total(each(EVENTS, ONE, 'event="sent"')), "sent", CALM),
              Query(total(each(EVENTS, ONE, 'event="started"')), "started", DEEP),
              Query(total(each(EVENTS, ONE, 'event="failed"')), "failed", BAD),
          ], "ops", needs_rules=True),
    graph("Waited before start, 19 of 20",
          "Of the tasks that were started, nineteen of twenty waited at most this long.",
          top_of_range(most(each("queue:celery_task_queue_wait_seconds:p95_5m", ONE), "queue"),
                       "queue", LONGEST),
          "s", legend="{{queue}}", link=TO_QUEUE, needs_rules=True),
    graph("Empty in",
          "When the queue is empty, if workers go on at the present rate. Above an hour: more "
          "workers, or fewer messages.",
          top_of_range(
              most(each("queue:celery_queue_drain_seconds:at_present_rate", ONE), "queue"),
              "queue", LONGEST),
          "s", legend="{{queue}}", link=TO_QUEUE, needs_rules=True),
    graph("Unacked",
          "Held by workers: running, prefetched or waiting for their ETA.",
          by_queue(each("celery_queue_unacked", ONE)), legend="{{queue}}", link=TO_QUEUE),
    graph("What is in the queue: tasks sent",
          "The ten tasks most sent to the chosen queues. A newcomer here explains a backlog.",
          top_of_range(
              total(rate("celery_task_sent_total", ONE), "task"), "task",
              gain_of_range("celery_task_sent_total", "task", ONE)),
          "ops", legend="{{task}}", link=TO_TASK),
    graph("Prefetched before start, 19 of 20",
          "How long a worker held a task before it began. Long: lower "
          "worker_prefetch_multiplier; other workers could have had it.",
          quantile(0.95, "queue:celery_task_prefetch_wait_seconds_bucket:rate5m", ONE), "s",
          legend="19 of 20", needs_rules=True),
))  # fmt: skip

QUEUES = Dashboard(
    "celeriac-queues", "Celery / Queues",
    "What waits where, for how long, who works on it, and when it will be done.",
    (NOW, ALL, OVER_TIME), (QUEUE,),
)  # fmt: skip
