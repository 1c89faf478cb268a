"""The truth of a workload is what Celery's own receiver sees on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from parts.processes import wait_for
from parts.rabbitmq import RabbitMQ
from parts.valkey import Valkey
from workload.driver import run_workload
from workload.fleet import Fleet
from workload.plan import plan_orders
from workload.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workload.truth import Truth

pytestmark = pytest.mark.slow

TOTAL = 400
ARRIVAL_SECONDS = 15.0
BROKERS = {"valkey": (Valkey, False), "rabbitmq": (RabbitMQ, False), "quorum": (RabbitMQ, True)}

Recorded = tuple["Truth", Recorder]


@pytest.fixture(scope="module", params=BROKERS)
def recorded(request: pytest.FixtureRequest) -> Iterator[Recorded]:
    make_broker, is_quorum = BROKERS[request.param]
    with make_broker() as broker, Fleet(broker.url, quorum=is_quorum) as fleet:
        with Recorder(fleet.app) as recorder:
            truth = run_workload(fleet, TOTAL, seed=7)
            total = truth.events.total()
            wait_for(lambda: recorder.task_events(truth).total() >= total, ARRIVAL_SECONDS, "ends")
            # What a worker sent before two heartbeats cannot arrive after them.
            seen = recorder.heartbeats()
            wait_for(
                lambda: all(recorder.heartbeats()[node] >= seen[node] + 2 for node in fleet.nodes),
                ARRIVAL_SECONDS,
                "two heartbeats of every worker",
            )
        yield truth, recorder


def test_every_event_on_the_wire_was_foretold(recorded: Recorded) -> None:
    truth, recorder = recorded
    assert recorder.task_events(truth) == truth.events


def test_each_worker_sent_what_was_foretold(recorded: Recorded) -> None:
    truth, recorder = recorded
    assert recorder.worker_events() == truth.worker_events


def test_the_same_seed_gives_the_same_workload() -> None:
    assert plan_orders(100, seed=3) == plan_orders(100, seed=3)
