"""Which workers live? Who answers, and who did a moment ago and has not said goodbye."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
from celery import Celery

from celeriac.control import EVERYBODY, Command, Question, RemoteControl
from celeriac.sidecar.worker_answers import read

STATS = Command("stats")
LOOK_SECONDS = 1.0
# After all who are known have answered: for whoever has come since.
GRACE_SECONDS = 0.1
# Nobody waits for a worker that is silent for longer; it is told when it speaks again.
REMEMBERED_SECONDS = 120.0
# Workers tell whole seconds since their start, and looks overlap.
START_TOLERANCE_SECONDS = 4.0
# An answer that was on its way when the worker said goodbye is read this much later at most.
GOODBYE_TOLERANCE_SECONDS = 0.5


class _Stats(msgspec.Struct, gc=False):
    pid: int = 0
    uptime: int = 0


class _Sign(NamedTuple):
    """A sign of life: which process, when it was started and heard, by our monotonic clock."""

    pid: int
    started_mono: float
    heard_mono: float


class _Life(NamedTuple):
    """One run of a worker, from its start to its end."""

    number: int
    last: _Sign

    def goes_on(self, sign: _Sign) -> bool:
        # In containers, every run has the same pid.
        is_no_later = sign.started_mono < self.last.started_mono + START_TOLERANCE_SECONDS
        return self.last.pid == sign.pid and is_no_later


class Fleet:
    """Finds workers by asking; takes any number of threads."""

    def __init__(
        self,
        app: Celery,
        clock_mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._clock_mono = clock_mono
        self._lock = threading.Lock()
        self._lives: dict[str, _Life] = {}
        self._goodbyes_mono: dict[str, float] = {}
        self._numbers = itertools.count()
        self._answering: frozenset[str] = frozenset()

    @contextmanager
    def control(self) -> Iterator[RemoteControl]:
        """Yield a connection for one operation: brokers close those that idle."""
        control = RemoteControl(self._app)
        try:
            yield control
        finally:
            control.close()

    def names(self, control: RemoteControl) -> list[str]:
        """Return who lives, after a look. Errors: BrokerError."""
        self.look(control)
        return sorted(self.lives())

    def look(self, control: RemoteControl, *, is_thorough: bool = False) -> dict[str, int]:
        """Ask who is there; return the lives of those who answer. Errors: BrokerError.

        A thorough look takes LOOK_SECONDS; another ends when all have answered that did last time.
        """
        expected = frozenset[str]() if is_thorough else self._answering
        call = _RollCall(expected, self._clock_mono)
        control.converse(call)
        return self._hear(call.answers)

    def lives(self) -> dict[str, int]:
        """Return the number of the present life of each worker; another one after each start."""
        oldest = self._clock_mono() - REMEMBERED_SECONDS
        with self._lock:
            self._lives = {
                n: life for n, life in self._lives.items() if life.last.heard_mono > oldest
            }
            self._goodbyes_mono = {n: at for n, at in self._goodbyes_mono.items() if at > oldest}
            return {name: life.number for name, life in self._lives.items()}

    def forget(self, worker: str) -> None:
        """Take note of a worker's goodbye."""
        with self._lock:
            self._lives.pop(worker, None)
            self._goodbyes_mono[worker] = self._clock_mono()

    def _hear(self, heard: Mapping[str, _Sign]) -> dict[str, int]:
        with self._lock:
            signs = {n: sign for n, sign in heard.items() if not self._is_of_before(n, sign)}
            self._answering = frozenset(signs)
            for name, sign in signs.items():
                life = self._lives.get(name)
                is_same = life is not None and life.goes_on(sign)
                number = life.number if life and is_same else next(self._numbers)
                self._lives[name] = _Life(number, sign)
            return {name: self._lives[name].number for name in signs}

    def _is_of_before(self, name: str, sign: _Sign) -> bool:
        """Return whether a worker has said goodbye since: a look takes a second."""
        goodbye_mono = self._goodbyes_mono.get(name, -math.inf)
        return sign.heard_mono <= goodbye_mono + GOODBYE_TOLERANCE_SECONDS


class _RollCall:
    """A conversation: one question to everybody."""

    def __init__(self, expected: Set[str], clock_mono: Callable[[], float]) -> None:
        self.answers: dict[str, _Sign] = {}
        self._expected = expected
        self._clock_mono = clock_mono
        self._began_mono = clock_mono()
        self._questions = [Question(STATS, EVERYBODY)]

    def wait_seconds(self) -> float:
        is_complete = self._expected and self._expected <= self.answers.keys()
        length = GRACE_SECONDS if is_complete else LOOK_SECONDS
        return max(0.0, self._began_mono + length - self._clock_mono())

    def next_questions(self) -> list[Question]:
        questions, self._questions = self._questions, []
        return questions

    def hear(self, _question: Question, worker: str, answer: msgspec.Raw) -> None:
        # Whatever it says, it lives.
        stats = read(answer, _Stats) or _Stats()
        now = self._clock_mono()
        self.answers[worker] = _Sign(stats.pid, now - stats.uptime, now)
