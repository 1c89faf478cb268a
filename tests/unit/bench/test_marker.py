"""A marker is found on the page among everything else."""

from __future__ import annotations

import pytest

from bench.marker import shown

LINE = b'celery_task_sent_total{task="bench.marker",queue="markers"} %s\n'
OTHER = b'celery_task_sent_total{task="shop.order",queue="markers"} 7\n'


@pytest.mark.parametrize(
    ("page", "value"),
    [(OTHER + LINE % b"3" + OTHER, 3), (LINE % b"0", 0), (OTHER, 0), (b"", 0)],
)
def test_its_value_is_read(page: bytes, value: float) -> None:
    assert shown(page) == value
