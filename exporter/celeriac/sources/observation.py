"""How every source reports on itself: success, duration, last success, and why it failed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from celeriac.clock import Clock
from celeriac.errors import BrokerRefusedError, BrokerUnavailableError
from celeriac.model.state import ClusterState

# A refusal needs a person; asking often only fills the broker's log.
AFTER_REFUSAL_SECONDS = 15.0

logger = logging.getLogger(__name__)

REASONS: dict[type[Exception], str] = {BrokerUnavailableError: "broker", BrokerRefusedError: "auth"}


class Observation:
    """The one wrapper around the samples of a source."""

    def __init__(self, source: str, state: ClusterState, clock: Clock) -> None:
        self._source = source
        self._state = state
        self._clock = clock
        self._told: str | None = None

    @contextmanager
    def sample(self) -> Iterator[None]:
        """Report the block as one sample; an error in it is reported and goes no further."""
        began = self._clock()
        try:
            yield
        except Exception as error:
            self._state.fail(self._source, reason_of(error), self._clock().mono - began.mono)
            self._tell(error)
        else:
            now = self._clock()
            self._state.succeed(self._source, now, now.mono - began.mono)
            self.tell_recovery()

    @property
    def pause_seconds(self) -> float | None:
        """Return how long to leave a broker alone that has refused, None if it has not."""
        return AFTER_REFUSAL_SECONDS if self._told == "auth" else None

    def fail(self, error: Exception) -> None:
        """Report *error* outside a sample."""
        self._state.fail(self._source, reason_of(error))
        self._tell(error)

    def tell_recovery(self) -> None:
        if self._told is not None:
            logger.info("source %s works again", self._source)
            self._told = None

    def _tell(self, error: Exception) -> None:
        """Log a failure once, not once per attempt."""
        reason = reason_of(error)
        if reason == self._told:
            logger.debug("source %s still fails: %s", self._source, error)
            return
        self._told = reason
        is_expected = type(error) in REASONS
        logger.warning(
            "source %s fails: %s", self._source, error, exc_info=None if is_expected else error
        )


def reason_of(error: Exception) -> str:
    """Return one word for what is wrong, as ``/readyz`` shows it."""
    return REASONS.get(type(error), "error")
