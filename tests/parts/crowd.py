"""A crowd at the sidecar's WebSocket: clients that read, clients that never do, and who asks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from parts.sidecar import BASE, Sidecar
from tokens import bearer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PATH = f"{BASE}/monitoring/ws"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = {
    "Host": "sidecar",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}
PATIENCE_SECONDS = 60.0
ASKING_EVERY_SECONDS = 0.05


@dataclass
class Watched:
    """What a crowd saw, in seconds."""

    ages: list[float] = field(default_factory=list)
    """Of every message when it was read."""
    pauses: list[float] = field(default_factory=list)
    """From one message to the next."""
    answers: list[float] = field(default_factory=list)
    """Of REST meanwhile."""
    fewest_messages: int = 0
    closed_readers: int = 0
    kept_idlers: int = 0
    idlers_gone: float = 0.0


def handshake(method: str = "GET", version: str = "1.1", **changed: str | None) -> bytes:
    """Return a handshake; a header that is None is left out."""
    renamed = {name.replace("_", "-"): text for name, text in changed.items()}
    headers = HANDSHAKE | bearer("viewer") | renamed
    lines = [f"{name}: {text}" for name, text in headers.items() if text is not None]
    return "\r\n".join([f"{method} {PATH} HTTP/{version}", *lines, "", ""]).encode()


def watch(sidecar: Sidecar, readers: int, idlers: int, seconds: float) -> Watched:
    """Return what so many readers saw beside so many clients that never read."""
    with _many_files():
        return asyncio.run(_watch(sidecar, readers, idlers, seconds))


class _Reader:
    """A client that reads, and remembers how old what it read was."""

    def __init__(self, connection: ClientConnection) -> None:
        self.ages: list[float] = []
        self.pauses: list[float] = []
        self.was_closed = False
        self._connection = connection

    async def read(self) -> None:
        last_mono = time.monotonic()
        try:
            async for text in self._connection:
                found = json.loads(text)
                sent_at = datetime.fromisoformat(found["timestamp"]).timestamp()
                self.ages.append(time.time() - sent_at)
                self.pauses.append(time.monotonic() - last_mono)
                last_mono = time.monotonic()
        except ConnectionClosed:
            self.was_closed = True


async def _watch(sidecar: Sidecar, readers: int, idlers: int, seconds: float) -> Watched:
    async with _reading(sidecar, readers) as crowd:
        sockets = await asyncio.to_thread(_open_idlers, sidecar, idlers)
        gone, answers = await asyncio.gather(
            _is_rid_of_others(sidecar, readers), _ask(sidecar, seconds)
        )
        are_closed = await asyncio.to_thread(lambda: [_is_closed(idler) for idler in sockets])
        for idler in sockets:
            idler.close()
        return Watched(
            [age for reader in crowd for age in reader.ages],
            [pause for reader in crowd for pause in reader.pauses],
            answers,
            fewest_messages=min(len(reader.ages) for reader in crowd),
            closed_readers=sum(reader.was_closed for reader in crowd),
            kept_idlers=are_closed.count(False),
            idlers_gone=gone,
        )


@contextlib.asynccontextmanager
async def _reading(sidecar: Sidecar, n: int) -> AsyncIterator[list[_Reader]]:
    url = f"ws://127.0.0.1:{sidecar.port}{PATH}"
    async with contextlib.AsyncExitStack() as stack:
        opening = [
            connect(url, additional_headers=bearer(), open_timeout=PATIENCE_SECONDS)
            for _ in range(n)
        ]
        connections = await asyncio.gather(*map(stack.enter_async_context, opening))
        readers = [_Reader(connection) for connection in connections]
        tasks = [asyncio.create_task(reader.read()) for reader in readers]
        try:
            yield readers
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _ask(sidecar: Sidecar, seconds: float) -> list[float]:
    """Ask for the live numbers again and again; return how long each answer took."""
    took, ends_mono = [], time.monotonic() + seconds
    async with httpx.AsyncClient(headers=bearer("viewer"), timeout=PATIENCE_SECONDS) as client:
        while time.monotonic() < ends_mono:
            began = time.monotonic()
            answer = await client.get(f"{sidecar.url}/monitoring/metrics/realtime")
            took.append(time.monotonic() - began)
            answer.raise_for_status()
            await asyncio.sleep(ASKING_EVERY_SECONDS)
    return took


def _open_idlers(sidecar: Sidecar, n: int) -> list[socket.socket]:
    """Return sockets whose handshake was sent, and that nobody ever reads."""
    found = []
    for _ in range(n):
        idler = socket.create_connection(("127.0.0.1", sidecar.port), timeout=PATIENCE_SECONDS)
        idler.sendall(handshake())
        found.append(idler)
    return found


async def _is_rid_of_others(sidecar: Sidecar, n: int) -> float:
    """Return after how many seconds only *n* clients are left."""
    began = time.monotonic()
    async with httpx.AsyncClient(headers=bearer("viewer"), timeout=PATIENCE_SECONDS) as client:
        while time.monotonic() - began < PATIENCE_SECONDS:
            answer = await client.get(f"{sidecar.url}/monitoring/status")
            if answer.json()["clients"] == n:
                break
            await asyncio.sleep(0.1)
    return time.monotonic() - began


def _is_closed(idler: socket.socket) -> bool:
    """Read what was never read, up to the end that has to be there."""
    idler.settimeout(1)
    try:
        while idler.recv(1 << 20):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def _many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
