"""Many commands to many workers, one after another: the next when a worker has answered the last.

A worker carries commands out in the loop that also sends its heartbeats and fetches its tasks. One
that has to wait for its own answer in between keeps up with both.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import msgspec

from celeriac.control import Command, Question


class Patience(NamedTuple):
    """How long to wait: for one answer of a worker, and for all of them."""

    answer_seconds: float
    total_seconds: float


class Turns:
    """A conversation. ``answers`` has those of each worker, in the order of the commands.

    Under a name in ``namesakes`` more than one worker has answered.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        workers: Collection[str],
        patience: Patience,
        clock_mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self.answers: dict[str, list[msgspec.Raw]] = {worker: [] for worker in workers}
        self.namesakes: set[str] = set()
        self._commands = commands
        self._patience = patience
        self._clock_mono = clock_mono
        self._ends_mono = clock_mono() + patience.total_seconds
        self._idle = set(self.answers) if commands else set()
        self._asked_mono: dict[str, float] = {}

    def wait_seconds(self) -> float:
        now = self._clock_mono()
        if self._idle:
            return max(0.0, self._ends_mono - now)
        last = max(self._asked_mono.values(), default=-self._patience.answer_seconds)
        return max(0.0, min(self._ends_mono, last + self._patience.answer_seconds) - now)

    def next_questions(self) -> list[Question]:
        now, by_turn = self._clock_mono(), defaultdict(list)
        for worker in sorted(self._idle):
            by_turn[len(self.answers[worker])].append(worker)
            self._asked_mono[worker] = now
        self._idle.clear()
        return [Question(self._commands[turn], workers) for turn, workers in by_turn.items()]

    def hear(self, question: Question, worker: str, answer: msgspec.Raw) -> None:
        if worker not in self.answers:
            return
        turn = len(self.answers[worker])
        if worker not in self._asked_mono or self._commands[turn] is not question.command:
            self.namesakes.add(worker)
            return
        self.answers[worker].append(answer)
        del self._asked_mono[worker]
        if turn + 1 < len(self._commands):
            self._idle.add(worker)
