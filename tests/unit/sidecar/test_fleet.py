"""Which workers live: who answers, who did a moment ago, and which run of a name it is."""

from __future__ import annotations

import msgspec
import pytest
from acting_scene import FakeControl, FakeFleet, FakeWorker

from celeriac.control import Conversation, Question
from celeriac.sidecar.fleet import (
    GOODBYE_TOLERANCE_SECONDS,
    GRACE_SECONDS,
    LOOK_SECONDS,
    REMEMBERED_SECONDS,
    STATS,
    _RollCall,
)

ANSWER = msgspec.Raw(b'{"pid":1,"uptime":2}')


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def control() -> FakeControl:
    return FakeControl({"one@h": FakeWorker(), "two@h": FakeWorker()})


@pytest.fixture
def fleet(control: FakeControl, clock: Clock) -> FakeFleet:
    fleet = FakeFleet(control)
    fleet._clock_mono = clock
    return fleet


def test_who_answers_lives(fleet: FakeFleet, control: FakeControl) -> None:
    assert fleet.names(control) == ["one@h", "two@h"]


def test_whoever_has_just_come_is_seen(fleet: FakeFleet, control: FakeControl) -> None:
    fleet.names(control)
    control.workers["three@h"] = FakeWorker()
    assert fleet.names(control) == ["one@h", "three@h", "two@h"]


def test_a_look_ends_soon_after_all_have_answered_that_did_before(clock: Clock) -> None:
    call = _RollCall({"one@h"}, clock)
    (question,) = call.next_questions()
    assert call.wait_seconds() == LOOK_SECONDS
    call.hear(question, "one@h", ANSWER)
    assert call.wait_seconds() == pytest.approx(GRACE_SECONDS)
    call.hear(question, "new@h", ANSWER)
    clock.now += GRACE_SECONDS
    assert call.wait_seconds() == 0
    assert set(call.answers) == {"one@h", "new@h"}


def test_a_look_at_nobody_known_takes_its_time(clock: Clock) -> None:
    call = _RollCall(set(), clock)
    (question,) = call.next_questions()
    call.hear(question, "one@h", ANSWER)
    assert call.wait_seconds() == LOOK_SECONDS


def test_a_worker_that_falls_silent_is_remembered_for_a_while(
    fleet: FakeFleet, control: FakeControl, clock: Clock
) -> None:
    fleet.look(control)
    control.workers["two@h"].is_silent = True
    clock.now += REMEMBERED_SECONDS - 1
    assert fleet.names(control) == ["one@h", "two@h"]
    clock.now += 2
    assert fleet.names(control) == ["one@h"]


def test_a_worker_that_said_goodbye_is_forgotten(fleet: FakeFleet, control: FakeControl) -> None:
    fleet.look(control)
    fleet.forget("two@h")
    fleet.forget("nobody@h")
    assert list(fleet.lives()) == ["one@h"]


def test_a_goodbye_during_a_look_is_heard(
    fleet: FakeFleet, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    converse = control.converse

    def converse_and_hear_a_goodbye(conversation: Conversation) -> None:
        converse(conversation)
        fleet.forget("two@h")

    monkeypatch.setattr(control, "converse", converse_and_hear_a_goodbye)
    assert list(fleet.look(control)) == ["one@h"]
    assert list(fleet.lives()) == ["one@h"]


def test_a_worker_that_is_back_after_its_goodbye_lives(
    fleet: FakeFleet, control: FakeControl, clock: Clock
) -> None:
    fleet.forget("two@h")
    clock.now += GOODBYE_TOLERANCE_SECONDS + 0.1
    assert fleet.names(control) == ["one@h", "two@h"]


def test_a_life_goes_on(fleet: FakeFleet, control: FakeControl, clock: Clock) -> None:
    before = fleet.look(control)
    clock.now += 10
    control.workers["one@h"].uptime += 10
    control.workers["two@h"].uptime += 9
    assert fleet.look(control) == before


def test_a_look_that_ends_late_begins_no_life(fleet: FakeFleet, clock: Clock) -> None:
    sooner = _RollCall(set(), clock)
    sooner.hear(Question(STATS, ()), "one@h", msgspec.Raw(b'{"pid":1,"uptime":50}'))
    clock.now += 1
    later = _RollCall(set(), clock)
    later.hear(Question(STATS, ()), "one@h", msgspec.Raw(b'{"pid":1,"uptime":51}'))
    assert fleet._hear(later.answers) == fleet._hear(sooner.answers)


@pytest.mark.parametrize("new", [FakeWorker(pid=2), FakeWorker(uptime=0)])
def test_a_start_begins_another_life(
    fleet: FakeFleet, control: FakeControl, new: FakeWorker
) -> None:
    before = fleet.look(control)
    control.workers["one@h"] = new
    after = fleet.look(control)
    assert after["one@h"] != before["one@h"]
    assert after["two@h"] == before["two@h"]


def test_stats_that_cannot_be_read_are_a_sign_of_life(
    fleet: FakeFleet, control: FakeControl
) -> None:
    control.workers["one@h"].pid = "x"  # type: ignore[assignment]
    assert set(fleet.look(control)) == {"one@h", "two@h"}
