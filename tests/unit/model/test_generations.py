"""The bounded map of task ids."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from celeriac.model.generations import GenerationMap


def filled(capacity: int, count: int) -> GenerationMap[int]:
    made: GenerationMap[int] = GenerationMap(capacity)
    for number in range(count):
        made.put(str(number), number)
    return made


def test_what_was_put_is_found() -> None:
    assert filled(10, 3).get("1") == 1


def test_what_was_not_put_is_not_found() -> None:
    assert filled(10, 3).get("9") is None


def test_what_was_taken_out_is_not_found() -> None:
    made = filled(10, 7)
    for key in ("0", "6", "never"):
        made.pop(key)
        assert made.get(key) is None
    assert len(made) == 5


def test_the_oldest_half_is_forgotten_when_the_younger_is_full() -> None:
    made = filled(10, 11)
    assert [made.get(str(n)) for n in (0, 4, 5, 10)] == [None, None, 5, 10]


@given(st.integers(0, 20), st.integers(0, 100))
def test_there_are_never_more_than_the_capacity(capacity: int, count: int) -> None:
    assert len(filled(capacity, count)) <= max(2, capacity)


@given(st.integers(2, 20), st.integers(1, 100))
def test_the_younger_half_of_the_capacity_is_always_there(capacity: int, count: int) -> None:
    made = filled(capacity, count)
    kept = [number for number in range(count) if made.get(str(number)) is not None]
    assert len(kept) >= min(count, capacity // 2)
    assert kept == list(range(count))[-len(kept) :]
