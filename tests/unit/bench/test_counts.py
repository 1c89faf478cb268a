"""Counted beside sent."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.counts import WrongCountError, check, share_counted

SENT = Counter({"task-sent": 60, "task-started": 40, "worker-heartbeat": 5})


def test_the_same_counts_pass() -> None:
    check("celeriac", Counter(SENT) + Counter(), SENT)


def test_a_type_that_never_came_may_be_shown_at_zero() -> None:
    check("celeriac", Counter({**SENT, "task-retried": 0}), SENT)


def test_a_wrong_count_names_every_type_that_differs() -> None:
    counted = Counter({"task-sent": 59, "task-started": 40, "worker-heartbeat": 6})
    with pytest.raises(WrongCountError) as raised:
        check("celeriac", counted, SENT)
    assert str(raised.value) == (
        "celeriac miscounted: task-sent: sent 60, counted 59; worker-heartbeat: sent 5, counted 6"
    )


def test_the_share_is_that_of_task_events() -> None:
    assert share_counted(Counter({"task-sent": 30, "task-started": 20}), SENT) == 0.5
