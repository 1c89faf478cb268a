"""The queue in which events wait for an exporter that is away, and what it last took from there."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from celeriac.brokers.contract import Message

EVENT_QUEUE_PREFIX = "celeriac.events."
# How many messages a broker may deliver ahead of their acknowledgement. More make nothing faster.
PREFETCH_COUNT = 2_000
# More than this is not kept for the comparison, however few messages it is.
MAX_RECENT_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class EventQueue:
    """An exporter's own event queue as its options want it; it outlives every subscription.

    Brokers that cannot keep events ignore it.
    """

    instance: str
    is_durable: bool
    max_length: int
    recent: Recent = field(default_factory=lambda: Recent())

    @property
    def name(self) -> str:
        return EVENT_QUEUE_PREFIX + self.instance


class Recent:
    """The messages that were counted last: those whose acknowledgement may not have arrived.

    A broker has at most PREFETCH_COUNT messages without one, so no older message can come again.
    """

    def __init__(
        self, max_messages: int = PREFETCH_COUNT, max_bytes: int = MAX_RECENT_BYTES
    ) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._batches: deque[tuple[Sequence[Message], int]] = deque()
        self._messages = 0
        self._bytes = 0

    def add(self, batch: Sequence[Message], size_bytes: int) -> None:
        """Take a batch, and forget the oldest that is not needed any more."""
        self._batches.append((batch, size_bytes))
        self._messages += len(batch)
        self._bytes += size_bytes
        while len(self._batches) > 1 and self._can_spare_the_oldest():
            oldest, size_bytes = self._batches.popleft()
            self._messages -= len(oldest)
            self._bytes -= size_bytes

    def _can_spare_the_oldest(self) -> bool:
        without = self._messages - len(self._batches[0][0])
        return without >= self._max_messages or self._bytes > self._max_bytes

    def counted(self) -> Counter[Message]:
        """Return how often each of the messages has come."""
        return Counter(chain.from_iterable(batch for batch, _ in self._batches))


class Redelivery:
    """Leaves out what has been counted already, of what a broker delivers once more.

    After a lost connection a broker delivers again whatever it has no acknowledgement of, marked
    as such and before anything else.
    """

    def __init__(self, counted: Counter[Message]) -> None:
        self._counted = counted

    @property
    def is_expected(self) -> bool:
        """False as soon as nothing can come that has been counted."""
        return bool(self._counted)

    def new(self, messages: Sequence[Message], is_redelivered: Sequence[bool]) -> list[Message]:
        """Return those of *messages* that have not been counted."""
        return [
            message
            for message, is_again in zip(messages, is_redelivered, strict=True)
            if not self._has_counted(message, is_again=is_again)
        ]

    def _has_counted(self, message: Message, *, is_again: bool) -> bool:
        if not is_again:
            self._counted.clear()
        if message not in self._counted:
            return False
        self._counted[message] -= 1
        if not self._counted[message]:
            del self._counted[message]
        return True
