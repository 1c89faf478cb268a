"""A process that publishes a recorded load at a rate: ``python -m bench.publisher``.

It writes bytes that were encoded before, so it takes next to nothing from the two cores.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import amqp

from bench.encoding import Chunk

_HEAD = struct.Struct(">II")


def record(chunks: Iterable[Chunk], path: Path) -> None:
    """Write *chunks* to a file, each after its length and number of events."""
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(_HEAD.pack(len(chunk.data), chunk.events) + chunk.data)


def recorded(path: Path) -> Iterator[Chunk]:
    """Yield the chunks of a file."""
    with path.open("rb", buffering=1 << 20) as file:
        while head := file.read(_HEAD.size):
            length, events = _HEAD.unpack(head)
            yield Chunk(file.read(length), events)


def publish(url: str, chunks: Iterable[Chunk], events_per_second: float) -> dict[str, float]:
    """Publish *chunks* no faster than *events_per_second*; return when the broker has them all."""
    is_redis = urlsplit(url).scheme == "redis"
    with (_redis if is_redis else _rabbitmq)(url) as sock:
        began, events = time.perf_counter(), 0
        for data, count in chunks:
            sock.sendall(data)
            events += count
            ahead = events / events_per_second - (time.perf_counter() - began)
            if ahead > 0.001:
                time.sleep(ahead)
    return {"events": events, "seconds": time.perf_counter() - began}


@contextmanager
def _redis(url: str) -> Iterator[socket.socket]:
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port)) as sock:
        # Else somebody would have to read an answer to each PUBLISH.
        sock.sendall(b"CLIENT REPLY OFF\r\n")
        yield sock
        sock.sendall(b"CLIENT REPLY ON\r\nPING\r\n")
        answers = sock.makefile("rb")
        while answers.readline() != b"+PONG\r\n":
            pass


@contextmanager
def _rabbitmq(url: str) -> Iterator[socket.socket]:
    address = urlsplit(url)
    with amqp.Connection(f"{address.hostname}:{address.port}") as connection:
        channel = connection.channel(1)
        yield connection.transport.sock
        # Answered after everything that was published on this channel before.
        channel.queue_declare("", exclusive=True, auto_delete=True)


def main() -> None:
    url, path, rate, times = sys.argv[1:]
    load = (chunk for _ in range(int(times)) for chunk in recorded(Path(path)))
    print(json.dumps(publish(url, load, float(rate))))


if __name__ == "__main__":
    main()
