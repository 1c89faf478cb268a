"""What a worker was told, remembered in little: the same as a set of all of it would say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from celeriac.sidecar.told import Told

NUMBERS = st.integers(1, 30)
STEPS = st.lists(st.one_of(st.sets(NUMBERS), NUMBERS), max_size=30)


@given(STEPS)
def test_it_says_what_a_set_would_say(steps: list[set[int] | int]) -> None:
    told, plain = Told(0.0), set[int]()
    for step in steps:
        if isinstance(step, set):
            told.note(step)
            plain |= step
        else:
            told.forget(step)
            plain.discard(step)
        assert {n for n in range(1, 40) if not told.lacks(n)} == plain


def test_it_takes_no_more_for_more() -> None:
    told = Told(0.0)
    for number in range(1, 10_000):
        told.note([number])
    assert told._missing == set()
