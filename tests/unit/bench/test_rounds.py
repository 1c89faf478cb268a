"""Rounds go through all scenarios, and a wrong count ends only its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bench.counts import WrongCountError
from bench.figures import Figure, Target
from bench.rounds import Rounds
from bench.stage import Stage

STAGE = Stage(is_full=False, folder=Path(), others=None, say=lambda _: None)


class Measures:
    TARGETS: tuple[Target, ...] = ()

    def __init__(self, name: str) -> None:
        self.NAME = name

    def measure(self, stage: Stage) -> Iterator[Figure]:
        yield Figure(self.NAME, "celeriac", "time", 1, "ms")


class Miscounts(Measures):
    def measure(self, stage: Stage) -> Iterator[Figure]:
        yield from super().measure(stage)
        raise WrongCountError("celeriac", Counter(), Counter({"task-sent": 1}))


def measured(rounds: Rounds) -> list[str]:
    return [figure.scenario for figure in rounds]


def test_the_scenarios_take_turns() -> None:
    rounds = Rounds([Measures("one"), Measures("two")], STAGE, 2)
    assert measured(rounds) == ["one", "two", "one", "two"]
    assert rounds.wrong_counts == []


def test_a_wrong_count_is_kept_while_the_rest_goes_on() -> None:
    rounds = Rounds([Miscounts("one"), Measures("two")], STAGE, 1)
    assert measured(rounds) == ["one", "two"]
    assert rounds.wrong_counts == ["one: celeriac miscounted: task-sent: sent 1, counted 0"]


def test_the_results_say_what_was_run() -> None:
    rounds = Rounds([Miscounts("one"), Measures("two")], STAGE, 3)
    list(rounds)
    assert rounds.description == {
        "scenarios": ["one", "two"],
        "is_full": False,
        "rounds": 3,
        "wrong_counts": rounds.wrong_counts,
    }
    assert len(rounds.wrong_counts) == 3
