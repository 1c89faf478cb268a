"""The queues source: what a broker that refuses, or is away, does to the picture."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from cluster import Cluster

from celeriac.errors import BrokerError, BrokerRefusedError, BrokerUnavailableError
from celeriac.model.facts import BrokerInfo, QueueDepth, QueueSample
from celeriac.sources.queues import QueuesSource

AWAY = BrokerUnavailableError("away")
REFUSED = BrokerRefusedError("no permission")


class Broker:
    """Answers, unless there is an error to a greeting or to a question."""

    def __init__(self) -> None:
        self.greeting: BrokerError | None = None
        self.asking: BrokerError | None = None

    def fetch_info(self) -> BrokerInfo:
        if self.greeting:
            raise self.greeting
        return BrokerInfo("redis", "8.0")

    def discover(self) -> set[str] | None:
        return {"mail"}

    def fetch(self, queues: Collection[str], _seconds: float | None = None) -> QueueSample:
        if self.asking:
            raise self.asking
        return QueueSample(dict.fromkeys(queues, QueueDepth(3)))

    def close(self) -> None:
        """There is no connection."""


class Watched:
    """The source beside such a broker; a sample is taken after each change."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self._broker = Broker()
        self._source = QueuesSource(
            self._broker, self.cluster.state, lambda: self.cluster.now, frozenset()
        )

    def sample(
        self, *, greeting: BrokerError | None = None, asking: BrokerError | None = None
    ) -> float:
        """Return what celery_broker_up is after a sample."""
        self._broker.greeting, self._broker.asking = greeting, asking
        self._source.sample_once()
        return self.cluster.show("celery_broker_up")[()]


def test_a_broker_that_answers_is_up_with_its_lengths() -> None:
    watched = Watched()
    assert watched.sample() == 1
    assert watched.cluster.show("celery_queue_length") == {("mail",): 3}


@pytest.mark.parametrize("error", [AWAY, REFUSED], ids=["away", "refused"])
def test_a_broker_that_does_not_greet_is_down(error: BrokerError) -> None:
    watched = Watched()
    assert watched.sample(greeting=error, asking=error) == 0


def test_a_broker_that_goes_away_is_down_until_it_is_back() -> None:
    watched = Watched()
    watched.sample()
    assert watched.sample(greeting=AWAY, asking=AWAY) == 0
    assert watched.sample() == 1


def test_a_broker_that_refuses_one_question_is_up() -> None:
    watched = Watched()
    watched.sample()
    assert watched.sample(asking=REFUSED) == 1
    assert watched.sample(asking=REFUSED) == 1


def test_a_broker_that_lets_nobody_in_any_more_is_down_when_it_is_greeted_again() -> None:
    watched = Watched()
    watched.sample()
    watched.sample(greeting=REFUSED, asking=REFUSED)
    assert watched.sample(greeting=REFUSED, asking=REFUSED) == 0
