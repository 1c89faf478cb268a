"""The bounded memory of task ids."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from celeriac.model.track import Track
from celeriac.model.tracks import Tracks

Filled = tuple[Tracks, list[Track]]


def filled(capacity: int, count: int, ended_capacity: int = 4) -> Filled:
    """Return a memory that was asked for *count* ids, and the tracks it gave."""
    tracks = Tracks(capacity, ended_capacity)
    return tracks, [tracks.find(str(number)) for number in range(count)]


def remembered(filled: Filled) -> list[int]:
    """Return the numbers that still have the track they were given; looking adds new ones."""
    tracks, given_out = filled
    everything = {**tracks._old_ended, **tracks._ended, **tracks._old, **tracks.young}
    return [n for n, track in enumerate(given_out) if everything.get(str(n)) is track]


def test_an_id_keeps_its_track() -> None:
    tracks, (_, one, _) = filled(10, 3)
    assert tracks.find("1") is one


def test_an_ended_id_keeps_its_track() -> None:
    tracks, (_, one, _) = filled(10, 3)
    tracks.end("1", one)
    assert tracks.find("1") is one
    assert len(tracks) == 3


def test_an_id_that_ends_twice_is_remembered_once() -> None:
    tracks, (_, one, _) = filled(10, 3)
    for _ in range(2):
        tracks.end("1", one)
    assert len(tracks) == 3


def test_ended_ids_do_not_push_out_unfinished_ones() -> None:
    tracks, (unfinished,) = filled(4, 1)
    for number in range(100):
        tracks.end(str(number + 1), tracks.find(str(number + 1)))
    assert tracks.find("0") is unfinished


def test_only_the_latest_ended_ids_are_remembered() -> None:
    made = filled(100, 20, ended_capacity=4)
    for number, track in enumerate(made[1]):
        made[0].end(str(number), track)
    assert remembered(made) == [16, 17, 18, 19]


def test_the_oldest_half_is_forgotten_when_the_younger_is_full() -> None:
    assert remembered(filled(10, 11)) == [5, 6, 7, 8, 9, 10]


@given(st.integers(0, 20), st.integers(0, 100))
def test_there_are_never_more_than_the_capacity(capacity: int, count: int) -> None:
    assert len(filled(capacity, count)[0]) <= max(2, capacity)


@given(st.integers(2, 20), st.integers(1, 100))
def test_the_younger_half_of_the_capacity_is_always_there(capacity: int, count: int) -> None:
    kept = remembered(filled(capacity, count))
    assert len(kept) >= min(count, capacity // 2)
    assert kept == list(range(count))[-len(kept) :]
