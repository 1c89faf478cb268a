"""Events are counted on the pages of the others."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from bench.others import CeleryExporter, Flower, task_events

CELERY_EXPORTER_PAGE = """\
# HELP celery_task_sent_total Sent when a task message is published.
# TYPE celery_task_sent_total counter
celery_task_sent_total{hostname="client",name="a.b",queue_name="q"} 2.0
celery_task_sent_total{hostname="client",name="c.d",queue_name="q"} 3.0
# TYPE celery_task_sent_created gauge
celery_task_sent_created{hostname="client",name="a.b",queue_name="q"} 1.7e+09
celery_task_failed_total{exception="",hostname="host",name="a.b",queue_name="q"} 0.0
celery_task_failed_total{exception="KeyError",hostname="host",name="a.b",queue_name="q"} 1.0
celery_task_runtime_count{hostname="host",name="a.b",queue_name="q"} 9.0
celery_worker_up{hostname="host"} 1.0
"""
FLOWER_PAGE = """\
# TYPE flower_events_total counter
flower_events_total{task="a.b",type="task-sent",worker="client@host"} 5.0
flower_events_total{task="a.b",type="task-failed",worker="one@host"} 1.0
# TYPE flower_events_created gauge
flower_events_created{task="a.b",type="task-sent",worker="client@host"} 1.7e+09
flower_worker_online{worker="one@host"} 1.0
"""


@pytest.mark.parametrize(
    ("line", "page"),
    [(CeleryExporter.count, CELERY_EXPORTER_PAGE), (Flower.count, FLOWER_PAGE)],
    ids=["celery-exporter", "flower"],
)
def test_a_page_is_read_as_task_events_by_type(line: re.Pattern[str], page: str) -> None:
    assert task_events(line, page) == Counter({"task-sent": 5, "task-failed": 1})
