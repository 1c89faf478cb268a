"""The exporter's event queue: its name, and what comes from it again after a lost connection."""

from __future__ import annotations

from collections import Counter

import pytest

from celeriac.brokers.amqp import _ApiQueue, _is_internal
from celeriac.brokers.contract import BareMessage, Message
from celeriac.brokers.event_queue import EventQueue, Recent, Redelivery

AGAIN, NEW = True, False


def messages(*numbers: int) -> list[Message]:
    return [BareMessage(b"%d" % number, "application/json", "utf-8", None) for number in numbers]


def expecting(*numbers: int) -> Redelivery:
    return Redelivery(Counter(messages(*numbers)))


def test_the_queue_is_named_after_the_instance() -> None:
    queue = EventQueue("blue", is_durable=True, max_length=1)
    assert queue.name == "celeriac.events.blue"


def test_two_queues_do_not_share_what_was_counted() -> None:
    one, other = (EventQueue("x", is_durable=True, max_length=1) for _ in range(2))
    one.recent.add(messages(1), 1)
    assert other.recent.counted() == Counter()


@pytest.mark.parametrize("name", ["celeriac.events.default", "celeryev.celeriac.1-2", "celeryev.9"])
def test_queues_of_events_are_not_shown(name: str) -> None:
    assert _is_internal(_ApiQueue(name))


def test_a_queue_of_tasks_is_shown() -> None:
    assert not _is_internal(_ApiQueue("celeriac"))


# -- what is delivered again --------------------------------------------------------------------


def test_nothing_is_expected_on_the_first_connection() -> None:
    assert not Redelivery(Recent().counted()).is_expected


def test_what_was_counted_is_left_out() -> None:
    redelivery = expecting(1, 2, 3)
    assert redelivery.new(messages(2, 3, 4, 5), [AGAIN] * 4) == messages(4, 5)


def test_what_was_counted_is_left_out_over_several_reads() -> None:
    redelivery = expecting(1, 2, 3)
    assert redelivery.new(messages(2), [AGAIN]) == []
    assert redelivery.new([], []) == []
    assert redelivery.new(messages(3, 4), [AGAIN, AGAIN]) == messages(4)


def test_what_was_delivered_but_not_counted_is_new() -> None:
    assert expecting(1).new(messages(7, 8), [AGAIN, AGAIN]) == messages(7, 8)


def test_a_message_is_left_out_as_often_as_it_was_counted() -> None:
    assert expecting(1, 1).new(messages(1, 1, 1), [AGAIN] * 3) == messages(1)


def test_what_was_never_delivered_before_is_new_though_it_looks_the_same() -> None:
    assert expecting(1).new(messages(1), [NEW]) == messages(1)


def test_nothing_is_looked_at_after_the_first_new_message() -> None:
    redelivery = expecting(1, 2)
    assert redelivery.new(messages(1, 9, 2), [AGAIN, NEW, AGAIN]) == messages(9, 2)
    assert not redelivery.is_expected


def test_nothing_is_expected_after_all_has_come_again() -> None:
    redelivery = expecting(1, 2)
    assert redelivery.is_expected
    redelivery.new(messages(1, 2), [AGAIN, AGAIN])
    assert not redelivery.is_expected


# -- how much is remembered ---------------------------------------------------------------------


def recent(max_messages: int, max_bytes: int = 1000) -> Recent:
    return Recent(max_messages, max_bytes)


def test_as_many_messages_are_remembered_as_may_come_again() -> None:
    remembered = recent(max_messages=4)
    for first in range(0, 20, 2):
        remembered.add(messages(first, first + 1), 2)
    assert remembered.counted() == Counter(messages(16, 17, 18, 19))


def test_a_batch_is_remembered_whole() -> None:
    remembered = recent(max_messages=3)
    for first in range(0, 20, 2):
        remembered.add(messages(first, first + 1), 2)
    assert remembered.counted() == Counter(messages(16, 17, 18, 19))


def test_large_messages_are_forgotten_sooner() -> None:
    remembered = recent(max_messages=100, max_bytes=10)
    for number in range(10):
        remembered.add(messages(number), 5)
    assert remembered.counted() == Counter(messages(8, 9))


def test_the_last_batch_is_remembered_however_large() -> None:
    remembered = recent(max_messages=100, max_bytes=10)
    remembered.add(messages(1), 50)
    remembered.add(messages(2), 50)
    assert remembered.counted() == Counter(messages(2))
