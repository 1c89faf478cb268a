"""Commands by turns: a worker gets the next one when it has answered the last."""

from __future__ import annotations

import msgspec

from celeriac.control import Command, Question
from celeriac.turns import Patience, Turns

YES = msgspec.Raw(b'{"ok":1}')
COMMANDS = [Command("revoke", {"task_id": [str(n)]}) for n in range(3)]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def turns(*workers: str, clock: Clock | None = None) -> Turns:
    return Turns(COMMANDS, workers, Patience(5, 20), clock or Clock())


def asked(questions: list[Question]) -> list[tuple[int, list[str]]]:
    return [(COMMANDS.index(one.command), list(one.workers)) for one in questions]


def test_the_first_command_goes_to_all_at_once() -> None:
    talk = turns("a", "b")
    assert asked(talk.next_questions()) == [(0, ["a", "b"])]
    assert talk.next_questions() == []


def test_nobody_gets_the_next_before_it_answered_the_last() -> None:
    talk = turns("a", "b")
    (first,) = talk.next_questions()
    talk.hear(first, "a", YES)
    assert asked(talk.next_questions()) == [(1, ["a"])]
    assert talk.next_questions() == []


def test_it_is_over_when_all_have_answered_all() -> None:
    talk = turns("a")
    for _ in COMMANDS:
        assert talk.wait_seconds() > 0
        (question,) = talk.next_questions()
        talk.hear(question, "a", YES)
    assert talk.wait_seconds() == 0
    assert len(talk.answers["a"]) == 3


def test_nobody_waits_longer_for_a_silent_worker_than_for_one_answer() -> None:
    clock = Clock()
    talk = turns("silent", clock=clock)
    talk.next_questions()
    assert talk.wait_seconds() == 5
    clock.now += 5
    assert talk.wait_seconds() == 0
    assert talk.answers == {"silent": []}


def test_a_silent_worker_does_not_hold_up_the_others() -> None:
    clock = Clock()
    talk = turns("silent", "b", clock=clock)
    (question,) = talk.next_questions()
    for turn in (1, 2):
        clock.now += 4
        talk.hear(question, "b", YES)
        assert talk.wait_seconds() > 0
        (question,) = talk.next_questions()
        assert asked([question]) == [(turn, ["b"])]


def test_a_worker_that_was_slow_goes_on_while_others_are_waited_for() -> None:
    clock = Clock()
    talk = turns("slow", "b", clock=clock)
    (first,) = talk.next_questions()
    clock.now += 4
    talk.hear(first, "b", YES)
    talk.next_questions()
    clock.now += 3
    talk.hear(first, "slow", YES)
    assert asked(talk.next_questions()) == [(1, ["slow"])]


def test_the_whole_has_an_end() -> None:
    clock = Clock()
    talk = turns("a", clock=clock)
    clock.now += 20
    assert talk.wait_seconds() == 0


def test_two_of_one_name_are_noticed() -> None:
    talk = turns("a")
    (first,) = talk.next_questions()
    talk.hear(first, "a", YES)
    talk.hear(first, "a", YES)
    assert talk.namesakes == {"a"}
    (second,) = talk.next_questions()
    talk.hear(first, "a", YES)
    assert len(talk.answers["a"]) == 1
    talk.hear(second, "a", YES)
    assert len(talk.answers["a"]) == 2


def test_an_answer_of_a_stranger_is_nothing() -> None:
    talk = turns("a")
    (first,) = talk.next_questions()
    talk.hear(first, "stranger", YES)
    assert talk.answers == {"a": []}


def test_without_workers_it_is_over_at_once() -> None:
    assert turns().wait_seconds() == 0


def test_without_commands_it_is_over_at_once() -> None:
    assert Turns([], ["a"], Patience(5, 20), Clock()).wait_seconds() == 0
