"""A bare reader and decoder: what reading events costs when nothing is done with them.

``python -m bench.bare URL`` reads through the library's own connection and decodes with msgspec
into structs without any check. It counts types, so that one can see that nothing is missing, and
writes the counts when it is told to end.
"""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import amqp
import msgspec
import redis


class _Event(msgspec.Struct, gc=False):
    type: str
    hostname: str
    timestamp: float
    uuid: str = ""
    name: str | None = None
    queue: str | None = None
    runtime: float | None = None
    exception: str | None = None


class _Envelope(msgspec.Struct, gc=False):
    body: bytes


_envelope = msgspec.json.Decoder(_Envelope).decode
_events = msgspec.json.Decoder(list[_Event] | _Event).decode


def main() -> None:
    counts: Counter[str] = Counter()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    url = sys.argv[1]
    read = _read_redis if urlsplit(url).scheme == "redis" else _read_rabbitmq
    try:
        read(url, lambda body: _count(counts, _events(body)))
    finally:
        print(json.dumps(counts), flush=True)


def _count(counts: Counter[str], events: Any) -> None:
    for event in events if isinstance(events, list) else (events,):
        counts[event.type] += 1


def _read_redis(url: str, handle: Callable[[bytes], None]) -> None:
    connection = redis.Redis.from_url(url, protocol=2).connection_pool.get_connection()
    connection.send_command("PSUBSCRIBE", "/0.celeryev/*")
    connection.read_response()
    print("subscribed", flush=True)
    while True:
        handle(_envelope(connection.read_response()[3]).body)


def _read_rabbitmq(url: str, handle: Callable[[bytes], None]) -> None:
    address = urlsplit(url)
    with amqp.Connection(f"{address.hostname}:{address.port}") as connection:
        channel = connection.channel()
        channel.auto_decode = False
        channel.exchange_declare("celeryev", "topic", durable=True, auto_delete=False)
        queue = channel.queue_declare("", exclusive=True).queue
        channel.queue_bind(queue, "celeryev", "#")
        channel.basic_consume(queue, no_ack=True, callback=lambda message: handle(message.body))
        print("subscribed", flush=True)
        while True:
            connection.drain_events()


if __name__ == "__main__":
    main()
