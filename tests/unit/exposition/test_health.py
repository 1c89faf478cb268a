"""The probes: alive, ready, and how each source is."""

from __future__ import annotations

import json

import pytest
from cluster import Cluster

from celeriac.exposition.health import Health
from celeriac.exposition.messages import Request, Response

REQUEST = Request("/")
SOURCES = ("events", "workers", "queues")


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def health(cluster: Cluster) -> Health:
    return Health(cluster.state, lambda: cluster.now)


def succeed(cluster: Cluster, *sources: str) -> None:
    for source in sources:
        cluster.state.succeed(source, cluster.now)


def told(response: Response) -> tuple[int, str]:
    assert isinstance(response.body, bytes)
    return response.status, response.body.decode().strip()


def test_a_process_that_answers_is_alive(cluster: Cluster, health: Health) -> None:
    for source in SOURCES:
        cluster.state.fail(source, "broker")
    health.is_stopping = True
    assert told(health.live(REQUEST)) == (200, "alive")


def test_before_the_first_samples_it_is_starting(health: Health) -> None:
    assert told(health.ready(REQUEST)) == (503, "starting")


@pytest.mark.parametrize("missing", SOURCES)
def test_every_source_has_to_have_succeeded_once(
    cluster: Cluster, health: Health, missing: str
) -> None:
    succeed(cluster, *(source for source in SOURCES if source != missing))
    assert told(health.ready(REQUEST)) == (503, "starting")


def test_after_the_first_samples_it_is_ready(cluster: Cluster, health: Health) -> None:
    succeed(cluster, *SOURCES)
    assert told(health.ready(REQUEST)) == (200, "ready")


@pytest.mark.parametrize("reason", ["broker", "auth", "error"])
@pytest.mark.parametrize("source", SOURCES)
def test_a_source_that_fails_is_the_reason(
    cluster: Cluster, health: Health, source: str, reason: str
) -> None:
    succeed(cluster, *SOURCES)
    cluster.state.fail(source, reason)
    assert told(health.ready(REQUEST)) == (503, reason)


def test_a_source_that_works_again_is_ready_again(cluster: Cluster, health: Health) -> None:
    succeed(cluster, *SOURCES)
    cluster.state.fail("queues", "broker")
    succeed(cluster, "queues")
    assert told(health.ready(REQUEST)) == (200, "ready")


def test_a_broker_that_refuses_is_the_reason_from_the_start(
    cluster: Cluster, health: Health
) -> None:
    for source in SOURCES:
        cluster.state.fail(source, "auth")
    assert told(health.ready(REQUEST)) == (503, "auth")


def test_a_schedule_that_is_not_known_makes_nobody_wait(cluster: Cluster, health: Health) -> None:
    succeed(cluster, *SOURCES)
    cluster.state.fail("beat", "broker")
    assert told(health.ready(REQUEST)) == (200, "ready")


def test_who_stops_is_not_ready(cluster: Cluster, health: Health) -> None:
    succeed(cluster, *SOURCES)
    health.is_stopping = True
    assert told(health.ready(REQUEST)) == (503, "stopping")


def test_the_health_of_each_source_has_its_age(cluster: Cluster, health: Health) -> None:
    succeed(cluster, *SOURCES)
    cluster.wait(1.23456)
    cluster.state.fail("queues", "auth")
    cluster.state.reconnected("events")
    response = health.health(REQUEST)
    assert (response.status, response.content_type) == (503, "application/json")
    assert isinstance(response.body, bytes)
    fine = {"successful": True, "reason": None, "age_seconds": 1.235, "reconnects": 0}
    assert json.loads(response.body) == {
        "status": "unhealthy",
        "reason": "auth",
        "sources": {
            "events": {**fine, "reconnects": 1},
            "workers": fine,
            "queues": {**fine, "successful": False, "reason": "auth"},
            "beat": {**fine, "successful": False, "reason": "starting", "age_seconds": None},
        },
    }


def test_a_source_that_never_succeeded_has_no_age(health: Health) -> None:
    response = health.health(REQUEST)
    assert isinstance(response.body, bytes)
    sources = json.loads(response.body)["sources"]
    assert {source["age_seconds"] for source in sources.values()} == {None}


def test_a_healthy_exporter_says_so(cluster: Cluster, health: Health) -> None:
    succeed(cluster, *SOURCES)
    response = health.health(REQUEST)
    assert isinstance(response.body, bytes)
    assert response.status == 200
    assert json.loads(response.body)["status"] == "healthy"
