"""The tags of deliveries: only a message that is complete may be acknowledged."""

from __future__ import annotations

import struct
from itertools import accumulate

import amqp
import pytest
from amqp.serialization import dumps
from hypothesis import given
from hypothesis import strategies as st

from celeriac.brokers.amqp_frames import Delivery, FrameReader

PIECE = 100

consumer_tags = st.sampled_from(["1", "None1", "amq.ctag-" + "x" * 22, "c" * 255])
tags = st.lists(st.integers(1, 2**20), min_size=1, max_size=12).map(
    lambda steps: list(accumulate(steps))
)
bodies = st.sampled_from([0, 1, PIECE, 3 * PIECE + 1]).map(bytes)


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, 1, len(payload)) + payload + b"\xce"


def deliver(tag: int, consumer: str = "1", *, is_again: bool = False) -> bytes:
    arguments = (consumer, tag, is_again, "celeryev", "task.multi")
    return frame(1, struct.pack(">HH", 60, 60) + dumps("sLbss", arguments))


def content(body: bytes) -> bytes:
    pieces = [body[start : start + PIECE] for start in range(0, len(body), PIECE)]
    head = frame(2, struct.pack(">HHQH", 60, 0, len(body), 0))
    return head + b"".join(frame(3, piece) for piece in pieces)


def test_nothing_is_to_be_acknowledged_before_the_first_message() -> None:
    reader = FrameReader()
    reader.feed(memoryview(deliver(7)))
    assert reader.tag == 0


@given(tags, consumer_tags, st.data())
def test_the_tag_is_that_of_the_last_complete_message(
    tags: list[int], consumer: str, data: st.DataObject
) -> None:
    messages = [deliver(tag, consumer) + content(data.draw(bodies)) for tag in tags]
    stream = b"".join(messages)
    ends = list(accumulate(map(len, messages)))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=20)))
    reader, position = FrameReader(), 0
    for cut in [*cuts, len(stream)]:
        reader.feed(memoryview(stream)[position:cut])
        position = cut
        complete = [tag for tag, end in zip(tags, ends, strict=True) if end <= cut]
        assert reader.tag == (complete[-1] if complete else 0)


@given(st.lists(st.booleans(), max_size=12), st.sets(st.integers(0, 3000), max_size=20))
def test_each_message_has_its_delivery_if_all_are_noted(flags: list[bool], cuts: set[int]) -> None:
    stream = b"".join(
        deliver(number, is_again=flag) + content(bytes(90)) for number, flag in enumerate(flags)
    )
    reader, position = FrameReader(notes_all=True), 0
    found: list[Delivery] = []
    for cut in [*sorted(cuts), len(stream)]:
        messages = reader.feed(memoryview(stream)[position:cut])
        position = max(position, cut)
        assert len(messages) == len(reader.deliveries)
        found += reader.deliveries
    assert found == [Delivery(number, flag) for number, flag in enumerate(flags)]


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(content(b"x"), id="nothing announced"),
        pytest.param(deliver(1) + deliver(2), id="announced twice"),
    ],
)
def test_content_that_does_not_belong_to_one_delivery_is_an_error(frames: bytes) -> None:
    with pytest.raises(amqp.UnexpectedFrame):
        FrameReader().feed(memoryview(frames))
