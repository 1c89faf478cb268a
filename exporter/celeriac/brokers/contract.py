"""The contract of a broker: how deep is each queue, and what do the workers say?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from celeriac.model.facts import BrokerInfo, QueueSample


class BareMessage(NamedTuple):
    """A message whose broker carries the properties outside the body."""

    body: bytes
    content_type: str | None
    content_encoding: str | None
    compression: str | None


Message: TypeAlias = bytes | BareMessage
"""``bytes`` is a whole envelope of kombu's virtual transports."""


class Queues(Protocol):
    """The queues of one broker, over a connection of its own that is made when needed.

    Every fetch may raise BrokerUnavailableError or BrokerRefusedError, and takes a new
    connection the next time.
    """

    def fetch_info(self) -> BrokerInfo:
        """Return which broker this is."""

    def discover(self) -> set[str] | None:
        """Return every queue of the broker, consumed or not; None if it cannot list them."""

    def fetch(
        self, queues: Collection[str], visibility_timeout_seconds: float | None = None
    ) -> QueueSample:
        """Return the depth of *queues*; a missing queue is left out, not zero.

        A message that a worker holds for longer than the timeout goes to another one too, where
        the broker works like this; None is the exporter's own option, or the transport's default.
        """

    def close(self) -> None:
        """Give the connection back. May be called twice."""


class StoredSchedule(Protocol):
    """A schedule that is kept in the broker's own database. Errors are those of Queues."""

    def fetch(self) -> list[bytes]:
        """Return the definition of each entry, undecoded; none if there is no such schedule."""

    def close(self) -> None:
        """Give the connection back. May be called twice."""


class EventStream(Protocol):
    """A subscription to the workers' events, over a connection of its own.

    Errors are those of Queues; after one, the stream is of no more use and is to be closed.
    """

    @property
    def has_kept_events(self) -> bool:
        """True if whatever was published while nobody listened is still to come.

        False if it may be lost: the broker keeps no events, or their queue had to be made, or it
        was full and has dropped some.
        """

    def receive(self) -> Sequence[Message]:
        """Return the messages that have come, in their order, after a moment's wait for them.

        Asking again says that everything returned before has been counted: a broker that can
        forgets it only then.
        """

    def close(self) -> None:
        """Unsubscribe; everything that was returned has been counted. May be called twice."""
