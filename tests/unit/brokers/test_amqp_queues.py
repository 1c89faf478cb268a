"""What RabbitMQ's management API tells of a queue."""

from __future__ import annotations

from typing import Any

import pytest

from celeriac.brokers.amqp import _ApiQueue, _head_sent_at


def queue(**fields: Any) -> _ApiQueue:
    return _ApiQueue("celery", **{"messages_ready": 1, "head_message_timestamp": 1000, **fields})


def test_the_stamp_of_the_first_message_is_told() -> None:
    assert _head_sent_at(queue()) == 1000.0


def test_a_stamp_may_be_of_a_message_that_a_worker_holds() -> None:
    assert _head_sent_at(queue(messages_unacknowledged=1)) is None


def test_an_empty_queue_has_no_first_message() -> None:
    assert _head_sent_at(queue(messages_ready=0)) is None


@pytest.mark.parametrize("stamp", [None, "", 0, -1, "soon", 1.5, [1]])
def test_what_is_no_stamp_is_none(stamp: object) -> None:
    assert _head_sent_at(queue(head_message_timestamp=stamp)) is None
