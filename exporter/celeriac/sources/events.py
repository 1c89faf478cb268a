"""The events source: subscribes, decodes, counts, and subscribes again."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from celeriac.brokers.contract import EventStream, Message
from celeriac.clock import Clock
from celeriac.errors import BrokerUnavailableError
from celeriac.model.state import ClusterState
from celeriac.service import Background
from celeriac.sources.observation import Observation
from celeriac.sources.wire import decode_all

SOURCE = "events"
PASS_TIME_EVERY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between attempts: doubled from *first* up to *cap*, shortened by up to *jitter*."""

    first_seconds: float = 0.5
    cap_seconds: float = 10.0
    jitter: float = 0.3

    def pause(self, failures: int, dice: float) -> float:
        """Return the seconds to wait after *failures* in a row; *dice* is within [0, 1)."""
        doubled = self.first_seconds * 2.0 ** min(failures - 1, 30)
        return min(self.cap_seconds, doubled) * (1 - self.jitter * dice)


class EventsSource(Background):
    """Reads the event stream for as long as it runs."""

    def __init__(
        self,
        subscribe: Callable[[], EventStream],
        state: ClusterState,
        clock: Clock,
        on_new_worker: Callable[[], None],
        backoff: Backoff,
    ) -> None:
        super().__init__(SOURCE)
        self._subscribe = subscribe
        self._state = state
        self._clock = clock
        self._on_new_worker = on_new_worker
        self._backoff = backoff
        self._observation = Observation(SOURCE, state, clock)
        self._failures = 0
        self._has_been_subscribed = False
        self._passed_time_mono = float("-inf")

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                self._follow()
            except Exception as error:
                self._note_failure(error)
                self._pause()

    def _follow(self) -> None:
        """Subscribe and read until told to stop; raises what ended the subscription."""
        began = self._clock()
        stream = self._subscribe()
        try:
            self._note_subscribed(began.mono, stream)
            while not self.stopping.is_set():
                self.take(stream.receive())
                self._pass_time()
        finally:
            self._state.not_listening(self._clock())
            stream.close()

    def take(self, messages: Sequence[Message]) -> None:
        """Count *messages*; whatever is wrong with them is counted too and never raised."""
        batch = decode_all(messages)
        now = self._clock()
        if batch.rejected:
            self._state.reject_events(batch.rejected)
        for run in batch.runs:
            if isinstance(run, list):
                self._state.apply_task_events(run, now)
            elif self._state.apply_worker_event(run, now):
                self._on_new_worker()

    def _note_subscribed(self, began_mono: float, stream: EventStream) -> None:
        now = self._clock()
        self._failures = 0
        self._state.listening(now, has_kept_events=stream.has_kept_events)
        self._state.set_broker(is_up=True)
        self._state.succeed(SOURCE, now, now.mono - began_mono)
        if self._has_been_subscribed:
            self._state.reconnected(SOURCE)
        self._has_been_subscribed = True
        self._observation.tell_recovery()
        # Whatever is known about the workers may have changed while nobody listened.
        self._on_new_worker()

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        self._observation.fail(error)
        if isinstance(error, BrokerUnavailableError):
            self._state.set_broker(is_up=False)

    def _pause(self) -> None:
        pause = self._backoff.pause(self._failures, random.random())  # noqa: S311
        self.stopping.wait(self._observation.pause_seconds or pause)

    def _pass_time(self) -> None:
        now = self._clock()
        if now.mono - self._passed_time_mono >= PASS_TIME_EVERY_SECONDS:
            self._passed_time_mono = now.mono
            self._state.pass_time(now)
            self._state.succeed(SOURCE, now)
