"""The reader of pub/sub messages: however the bytes are cut, the same payloads come out."""

from __future__ import annotations

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from messages_on_the_wire import fed

from celeriac.brokers.redis_events import FEED_BYTES, PushReader

payloads = st.lists(st.binary(max_size=300) | st.binary(min_size=5000, max_size=9000), max_size=6)


def array(*words: bytes | int) -> bytes:
    """Return an array of bulk strings and integers as RESP2 writes it."""
    items = [
        b":%d\r\n" % word if isinstance(word, int) else b"$%d\r\n%b\r\n" % (len(word), word)
        for word in words
    ]
    return b"*%d\r\n%b" % (len(words), b"".join(items))


def pattern_message(payload: bytes) -> bytes:
    return array(b"pmessage", b"/0.celeryev/*", b"/0.celeryev/task.multi", payload)


@given(payloads, st.lists(st.integers(0, 60_000), max_size=8))
def test_payloads_come_out_whole_wherever_the_bytes_are_cut(
    sent: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(map(pattern_message, sent))
    assert fed(PushReader(), data, cuts) == sent


def test_a_channel_without_pattern_is_read_too() -> None:
    assert PushReader().feed(memoryview(array(b"message", b"/0.celeryev", b"x"))) == [b"x"]


def test_the_word_that_we_are_subscribed_is_no_message() -> None:
    reader = PushReader()
    assert not reader.is_subscribed
    assert reader.feed(memoryview(array(b"psubscribe", b"/0.celeryev/*", 1))) == []
    assert reader.is_subscribed


def test_an_answer_to_ping_is_no_message() -> None:
    assert PushReader().feed(memoryview(array(b"pong", b""))) == []


def test_a_refusal_is_raised_as_what_it_is() -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        PushReader().feed(memoryview(b"-NOPERM no channel for you\r\n"))


def test_what_came_before_garbage_is_not_lost() -> None:
    reader = PushReader()
    data = pattern_message(b"good") + b"?garbage\r\n"
    assert len(data) < FEED_BYTES
    assert reader.feed(memoryview(data)) == [b"good"]
    with pytest.raises(redis.InvalidResponse):
        reader.feed(memoryview(b"\r\n"))
