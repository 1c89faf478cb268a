"""Redis cuts a subscriber off: the exporter subscribes again, says so, and forgets nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import redis

from faults.wire_format import RedisPublisher, encode, task_event
from parts.exporter import Exporter, Series
from parts.processes import wait_for
from parts.valkey import Valkey

pytestmark = pytest.mark.slow

LIMIT = "pubsub 1mb 512kb 5"
RESUBSCRIBE_SECONDS = 3.0
BURST_SECONDS = 60.0
COUNTED = ("_total", "_count", "_sum", "_bucket")
EVENTS = "celery_exporter_events_received_total"
RECONNECTS = "celery_exporter_reconnects_total"


@pytest.fixture
def exporter(valkey: Valkey) -> Iterator[Exporter]:
    with Exporter(valkey.url) as page:
        page.ready()
        yield page


@pytest.fixture
def publisher(valkey: Valkey) -> Iterator[RedisPublisher]:
    with RedisPublisher(valkey) as made:
        yield made


def test_a_burst_beyond_the_output_buffer_is_survived(
    valkey: Valkey, exporter: Exporter, publisher: RedisPublisher
) -> None:
    _send_and_wait(exporter, publisher, 10)
    exporter.page()
    before = exporter.samples()
    with valkey.client() as client:
        client.config_set("client-output-buffer-limit", LIMIT)
        exporter.child.pause()
        try:
            wait_for(lambda: _flood(publisher, client), BURST_SECONDS, "the disconnect")
        finally:
            exporter.child.resume()
    exporter.wait_for_value(RECONNECTS, 1, source="events")
    _send_and_wait(exporter, publisher, 10)
    assert _decreased(before, exporter.samples()) == []


def test_a_killed_subscription_is_taken_up_again_in_time(
    valkey: Valkey,
    exporter: Exporter,
    publisher: RedisPublisher,
    record_property: Callable[[str, object], None],
) -> None:
    _send_and_wait(exporter, publisher, 10)
    exporter.page()
    before = exporter.samples()
    with valkey.client() as client:
        began = time.monotonic()
        assert client.client_kill_filter(_type="pubsub") == 1
        wait_for(lambda: client.pubsub_numpat() == 1, RESUBSCRIBE_SECONDS, "the subscription")
    seconds = time.monotonic() - began
    record_property("resubscribe_seconds", round(seconds, 2))
    print(f"measured: resubscribe_seconds {seconds:.2f}")
    exporter.wait_for_value(RECONNECTS, 1, source="events")
    _send_and_wait(exporter, publisher, 10)
    assert _decreased(before, exporter.samples()) == []


def _flood(publisher: RedisPublisher, client: redis.Redis) -> bool:
    """Publish two megabytes; return True once the server has cut its subscriber off."""
    events = [task_event("received", name="shop.burst", queue="celery")] * 100
    publisher.publish([encode(events)] * 80)
    return bool(client.pubsub_numpat() == 0)


def _send_and_wait(exporter: Exporter, publisher: RedisPublisher, count: int) -> None:
    due = exporter.sum(EVENTS, type="task-sent") + count
    events = [task_event("sent", uuid=f"{due}-{n}", name="t", queue="q") for n in range(count)]
    publisher.publish([encode(events)])
    exporter.wait_for_value(EVENTS, due, type="task-sent")


def _decreased(before: dict[Series, float], after: dict[Series, float]) -> list[Series]:
    """Return the counters that went back or went away."""
    return [
        series
        for series, value in before.items()
        if series[0].endswith(COUNTED) and after.get(series, -1.0) < value
    ]
