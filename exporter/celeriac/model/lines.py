"""Who waits in a queue whose messages cannot be looked at: some of those known to be sent.

Of what clients announce, one message in half a second, and the last before each look at the queue,
is watched until a worker says that it has taken it, or one that was sent later: of a queue that
is first in, first out, everything before that is gone. A line that is longer than its queue is
cut to its length, whatever made the queue shorter: a limit, a time to live, a purge. So an age is
a lower bound; priorities and requeued messages make it lower, never higher. It counts from when
``task-sent`` arrived here: no clock but ours plays a part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Generic, NamedTuple, Protocol, TypeVar

from celeriac.model.admission import OVERFLOW
from celeriac.model.facts import UNKNOWN_QUEUE, QueueDepth

RESOLUTION_SECONDS = 0.5
MAX_WATCHED = 512
# Brokers may show a message in its queue a moment after its task-sent has arrived.
SHOWN_WITHIN_SECONDS = 0.5
NEVER = float("inf")


class Message(Protocol):
    """What is remembered of a task id; see ``track.Track``."""

    @property
    def is_waiting(self) -> bool: ...
    @property
    def sent_mono(self) -> float | None: ...


M = TypeVar("M", bound=Message)
Peek = Callable[[str], M | None]
"""Returns what is remembered of a task id, if anything is."""


class _Watched(NamedTuple):
    task_id: str
    message: Message
    number: int
    mono: float

    @property
    def waits(self) -> bool:
        """A task id may be sent again, as a retry is: then this one has been taken."""
        return self.message.is_waiting and self.message.sent_mono == self.mono


class Unheard(NamedTuple):
    """What may be taken unseen, by workers that are not known to send task events."""

    queues: AbstractSet[str]
    may_be_any: bool
    """One of them has left and never said what it consumed."""
    is_complete: bool
    """All of them that are up have said what they consume."""


class Line(Generic[M]):
    """One queue. Whoever sees every event counts ``sent``, keeps the ``last_id``, and adds those
    from ``next_mono`` on.

    The messages that it watches are *pinned*, so that they are not forgotten like others.
    """

    __slots__ = ("_pinned", "_spacing_seconds", "_watched", "last_id", "next_mono", "sent")

    def __init__(self, pinned: dict[str, M] | None = None) -> None:
        self.sent = 0
        self.last_id = ""
        # Without pins it is of no queue, and watches nothing.
        self.next_mono = NEVER if pinned is None else -NEVER
        self._pinned: dict[str, M] = {} if pinned is None else pinned
        self._watched: list[_Watched] = []
        self._spacing_seconds = RESOLUTION_SECONDS

    def add(self, task_id: str, message: M, now_mono: float) -> None:
        """Watch a message that was sent; those in between are not needed."""
        self.next_mono = now_mono + self._spacing_seconds
        self._watch(task_id, message, now_mono)

    def add_last(self, peek: Peek[M]) -> None:
        """Watch the last message that was sent: of a burst, all others may be taken."""
        task_id, self.last_id = self.last_id, ""
        message = peek(task_id)
        if message is not None and message.is_waiting and message.sent_mono is not None:
            self._watch(task_id, message, message.sent_mono)

    def _watch(self, task_id: str, message: M, now_mono: float) -> None:
        if task_id in self._pinned:
            self._leave()
        if task_id not in self._pinned:
            self._pinned[task_id] = message
            self._watched.append(_Watched(task_id, message, self.sent, now_mono))
        if len(self._watched) > MAX_WATCHED:
            self._thin_out()

    def _thin_out(self) -> None:
        """Forget every second one, which makes the bound lower by their distance at most."""
        self._leave()
        if len(self._watched) > MAX_WATCHED // 2:
            self._unpin(self._watched[1::2])
            del self._watched[1::2]
            self._spacing_seconds *= 2

    def oldest_mono(self, ready: int, began_mono: float) -> float | None:
        """Return since when at least somebody waits, None if nothing proves that anybody does.

        *ready* messages were in the queue when it was looked at, which began at *began_mono*.
        """
        self._leave()
        is_later = sum(watched.mono > began_mono for watched in self._watched)
        first = self.sent - ready - is_later
        return next((watched.mono for watched in self._watched if watched.number > first), None)

    def _leave(self) -> None:
        """Leave out who was taken, and everybody before him."""
        places = range(len(self._watched) - 1, -1, -1)
        taken = next((place for place in places if not self._watched[place].waits), -1)
        self._drop(taken + 1)

    def _drop(self, count: int) -> None:
        self._unpin(self._watched[:count])
        del self._watched[:count]
        if len(self._watched) < MAX_WATCHED // 4:
            self._spacing_seconds = max(RESOLUTION_SECONDS, self._spacing_seconds / 2)

    def _unpin(self, several: list[_Watched]) -> None:
        for watched in several:
            self._pinned.pop(watched.task_id, None)

    def empty(self, at_mono: float) -> None:
        """Say that nothing waited at that moment."""
        shown_mono = at_mono - SHOWN_WITHIN_SECONDS
        self._drop(sum(watched.mono <= shown_mono for watched in self._watched))

    def forget(self) -> None:
        """Say that anything may have been taken unseen."""
        self.last_id = ""
        self._drop(len(self._watched))


class Lines(Generic[M]):
    """The lines of all queues."""

    def __init__(self) -> None:
        self.pinned: dict[str, M] = {}
        self._by_queue: dict[str, Line[M]] = {}
        self._missed = 0
        self._is_sure = True

    def of(self, queue: str) -> Line[M]:
        """Return the line of *queue*, a new one if there is none."""
        if queue in (UNKNOWN_QUEUE, OVERFLOW):
            return Line()
        return self._by_queue.setdefault(queue, Line(self.pinned))

    def keep_only(self, queues: AbstractSet[str]) -> None:
        for queue in self._by_queue.keys() - queues:
            self._by_queue.pop(queue).forget()

    def forget(self) -> None:
        """Say that events were lost."""
        for line in self._by_queue.values():
            line.forget()

    def doubt(self, unheard: Unheard, missed: int) -> None:
        """Forget what may have been taken unseen; *missed* events are known to be lost by now."""
        is_any = missed != self._missed or unheard.may_be_any
        for queue, line in self._by_queue.items():
            if is_any or queue in unheard.queues:
                line.forget()
        self._missed, self._is_sure = missed, unheard.is_complete

    def ages(
        self,
        depths: Mapping[str, QueueDepth],
        now_mono: float,
        fetch_seconds: float,
        peek: Peek[M],
    ) -> dict[str, float]:
        """Return the age in seconds of each queue for which one is proven."""
        began_mono = now_mono - fetch_seconds
        ages: dict[str, float] = {}
        for queue in depths.keys() & self._by_queue.keys():
            line, ready = self._by_queue[queue], depths[queue].ready
            line.add_last(peek)
            if ready == 0:
                line.empty(began_mono)
            elif (since_mono := line.oldest_mono(ready, began_mono)) is not None:
                ages[queue] = max(0.0, now_mono - since_mono)
        # Who has just come will say what it consumes: until then, nothing is told or forgotten.
        return ages if self._is_sure else {}
