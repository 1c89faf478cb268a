"""Up to a thousand Celery workers played by one process: ``python -m bench.fleet URL …``.

Each has its own subscription to the control channel of Redis, beats every two seconds and answers
``inspect`` in the shapes and sizes of celery 5.7. Answers are encoded before they are asked for,
and pushed one by one as workers do, so that little of a sample's time is spent here.
"""

from __future__ import annotations

import base64
import json
import select
import socket
import sys
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass
from typing import Any
from urllib.parse import urlsplit

import redis

from bench.encoding import redis_publish
from bench.load import Message, node
from bench.stage import module
from parts.processes import Part

HEARTBEAT_SECONDS = 2.0
TICK_SECONDS = 0.05
START_SECONDS = 60.0
PROCESSES = 4
PID = 4711
CONTROL_CHANNEL = "/0.celery.pidbox"
REPLY_EXCHANGE = "reply.celery.pidbox"
# As kombu's Redis transport writes the members of a binding: routing key, pattern, queue.
BINDING_SEPARATOR = "\x06\x16"
# What differs from client to client, and from one asking to the next; ids are of this length.
_KEY, _OID, _TICKET = b"<key>", b"O" * 36, b"T" * 36
_DISCARDED = bytearray(1 << 20)


@dataclass(frozen=True)
class Crew:
    """Who the workers are; tasks, queues and workers have the names that ``load.Load`` uses."""

    workers: int
    tasks: int = 30
    queues: int = 10
    held: int = 0
    """How many tasks each worker runs, how many it has reserved and how many scheduled."""

    def names(self) -> list[str]:
        return [node(number) for number in range(self.workers)]

    def tasks_of_all(self) -> list[str]:
        return [f"shop.tasks.area_{n % 7}.process_order_{n}" for n in range(self.tasks)]


class Fleet(Part):
    """The process as a part; entered when all workers listen."""

    def __init__(self, broker_url: str, crew: Crew) -> None:
        super().__init__()
        numbers = [str(number) for number in astuple(crew)]
        self.child = self.adopt(module("fleet", self.folder, broker_url, *numbers))

    def start(self) -> None:
        self.child.start()
        self.child.wait_until(lambda: "listening" in self.child.log_text(), START_SECONDS, "fleet")


def answers(crew: Crew, number: int) -> dict[str, object]:
    """Return what worker *number* answers, by command."""
    tasks = crew.tasks_of_all()
    queues = sorted({f"queue-{(number + step) % crew.queues}" for step in (0, 1)})
    held = [
        _request(number, place, tasks[place % len(tasks)], queues[0])
        for place in range(3 * crew.held)
    ]
    running, reserved, scheduled = (held[start::3] for start in range(3))
    return {
        "ping": {"ok": "pong"},
        "stats": stats(tasks),
        "active": [request | _RUNNING for request in running],
        "reserved": reserved,
        "scheduled": [_SCHEDULED | {"request": request} for request in scheduled],
        "active_queues": [_queue(queue) for queue in queues],
        "registered": tasks,
        "conf": _conf(queues),
        "revoked": [],
    }


_RUNNING = {"time_start": 1_700_000_000.4078813, "acknowledged": True, "worker_pid": PID + 1}
_SCHEDULED = {"eta": "2030-11-22T00:58:29.398838+00:00", "priority": 6}


def _request(number: int, place: int, name: str, queue: str) -> dict[str, object]:
    return {
        "id": str(uuid.UUID(int=(number + 1) * 1_000_003 + place)), "name": name,
        "args": [place, "customer@example.com"], "kwargs": {"currency": "EUR"}, "type": name,
        "hostname": node(number), "time_start": None, "acknowledged": False,
        "delivery_info": {
            "exchange": "", "routing_key": queue, "priority": 0, "redelivered": False
        },
        "worker_pid": None,
    }  # fmt: skip


def stats(tasks: Collection[str]) -> dict[str, object]:
    """Return the answer to ``stats`` of a worker that has just started."""
    return {
        "total": dict.fromkeys(tasks, 0), "pid": PID, "clock": "16", "uptime": 0,
        "pool": {
            "implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": PROCESSES,
            "processes": [PID + 1 + process for process in range(PROCESSES)],
            "max-tasks-per-child": "N/A", "put-guarded-by-semaphore": False, "timeouts": [0, 0],
            "writes": {
                "total": 4, "avg": "0.50", "all": "0.75, 0.25", "raw": "3, 1", "strategy": "fair",
                "inqueues": {"total": 4, "active": 0},
            },
        },
        "broker": {
            "hostname": "127.0.0.1", "userid": None, "virtual_host": "0", "port": 6379,
            "insist": False, "ssl": False, "transport": "redis", "connect_timeout": 4,
            "transport_options": {}, "login_method": None, "uri_prefix": None, "heartbeat": 120.0,
            "failover_strategy": "round-robin", "alternates": [], "credential_provider": None,
        },
        "prefetch_count": 4 * PROCESSES,
        "rusage": {
            "utime": 0.5299539999999999, "stime": 0.098343, "maxrss": 56324, "ixrss": 0,
            "idrss": 0, "isrss": 0, "minflt": 30485, "majflt": 6, "nswap": 0, "inblock": 14816,
            "oublock": 40, "msgsnd": 0, "msgrcv": 0, "nsignals": 0, "nvcsw": 342, "nivcsw": 130,
        },
    }  # fmt: skip


def _queue(name: str) -> dict[str, object]:
    exchange = {
        "name": name, "type": "direct", "arguments": None, "durable": True, "passive": False,
        "auto_delete": False, "delivery_mode": None, "no_declare": False,
    }  # fmt: skip
    return {
        "name": name, "exchange": exchange, "routing_key": name, "queue_arguments": None,
        "binding_arguments": None, "consumer_arguments": None, "durable": True,
        "exclusive": False, "auto_delete": False, "no_ack": False, "alias": None, "bindings": [],
        "no_declare": None, "expires": None, "message_ttl": None, "max_length": None,
        "max_length_bytes": None, "max_priority": None,
    }  # fmt: skip


def _conf(queues: Collection[str]) -> dict[str, object]:
    return {
        "broker_url": "redis://:********@127.0.0.1:6379/0", "deprecated_settings": None,
        "task_send_sent_event": True, "task_ignore_result": True,
        "task_queues": [_queue(queue) for queue in queues], "task_default_queue": "queue-0",
        "broker_connection_retry_on_startup": True, "include": ["shop.tasks"],
    }  # fmt: skip


_ENVELOPE = json.dumps(
    {
        "body": "%b", "content-encoding": "utf-8", "content-type": "application/json",
        "headers": {"ticket": _TICKET.decode(), "clock": 3},
        "properties": {
            "delivery_mode": 1, "priority": 0, "body_encoding": "base64",
            "delivery_info": {"exchange": REPLY_EXCHANGE, "routing_key": _OID.decode()},
            "delivery_tag": "634eb3c4-0f50-4839-a0a3-fac65e49943b",
        },
    }
).encode()  # fmt: skip


def pushed(body: bytes) -> bytes:
    """Return the LPUSH of a reply, with places for the reply queue, its id and the ticket."""
    envelope = _ENVELOPE % base64.b64encode(body)
    return b"*3\r\n$5\r\nLPUSH\r\n%b$%d\r\n%b\r\n" % (_KEY, len(envelope), envelope)


def heartbeat(hostname: str, active: int = 0, kind: str = "heartbeat") -> bytes:
    """Return the PUBLISH of a worker's heartbeat; *kind* may be ``online`` or ``offline``."""
    event = {
        "type": f"worker-{kind}", "hostname": hostname, "timestamp": time.time(), "utcoffset": 0,
        "pid": PID, "clock": 1, "freq": HEARTBEAT_SECONDS, "active": active, "processed": 0,
        "loadavg": [0.51, 0.42, 0.33], "sw_ident": "py-celery", "sw_ver": "5.7.0",
        "sw_sys": "Linux",
    }  # fmt: skip
    return redis_publish(Message(f"worker.{kind}", json.dumps(event).encode(), hostname, 1))


def command_in(message: bytes) -> dict[str, Any]:
    """Return what a client asks for on the control channel."""
    command: dict[str, Any] = json.loads(base64.b64decode(json.loads(message)["body"]))
    return command


class _Workers:
    """All workers of a crew, on one thread."""

    def __init__(self, url: str, crew: Crew) -> None:
        address = urlsplit(url)
        self._address = (address.hostname, address.port)
        self._crew = crew
        self._began = time.monotonic()
        self._client = redis.Redis.from_url(url, protocol=2)
        self._control = self._client.connection_pool.get_connection()
        self._control.send_command("SUBSCRIBE", CONTROL_CHANNEL)
        self._control.read_response()
        self._epoll = select.epoll()
        self._colleagues = dict(self._subscribed() for _ in range(1, crew.workers))
        self._out = socket.create_connection(self._address)
        self._out.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._out.sendall(b"CLIENT REPLY OFF\r\n")
        # The client whose answers are ready.
        self._oid, self._key = _OID, _KEY
        self._bodies = {
            name: {m: json.dumps({name: said}).encode() for m, said in answers(crew, n).items()}
            for n, name in enumerate(crew.names())
        }
        self._pushes = {
            name: {method: pushed(body) for method, body in by_method.items()}
            for name, by_method in self._bodies.items()
        }

    def run(self) -> None:
        """Beat and answer until the process is ended."""
        beats, due = self._beats(), time.monotonic()
        while True:
            wait = max(0.001, due - time.monotonic())
            with suppress(redis.TimeoutError):
                message = self._control.read_response(timeout=wait, disconnect_on_error=False)
                self._answer(command_in(message[2]))
            if time.monotonic() >= due:
                self._out.sendall(next(beats))
                self._hear_for_colleagues()
                due += TICK_SECONDS

    def _subscribed(self) -> tuple[int, socket.socket]:
        sock = socket.create_connection(self._address)
        sock.sendall(f"SUBSCRIBE {CONTROL_CHANNEL}\r\n".encode())
        sock.recv(4096)
        self._epoll.register(sock, select.EPOLLIN)
        return sock.fileno(), sock

    def _hear_for_colleagues(self) -> None:
        """Take what the broker has sent to every other worker; the kernel throws it away."""
        for descriptor, _ in self._epoll.poll(0, len(self._colleagues) or 1):
            self._colleagues[descriptor].recv_into(_DISCARDED, 0, socket.MSG_TRUNC)

    def _answer(self, command: Mapping[str, Any]) -> None:
        if "ticket" not in command or not self._is_ready_for(command["reply_to"]["routing_key"]):
            return
        method, names = command["method"], command["destination"] or self._pushes
        pushes = b"".join(self._pushes.get(name, {}).get(method, b"") for name in names)
        self._out.sendall(pushes.replace(_TICKET, command["ticket"].encode()))

    def _is_ready_for(self, client: str) -> bool:
        """Address all answers to a client's reply queue; return whether it has one."""
        oid, queue = client.encode(), self._reply_queue(client)
        key = b"$%d\r\n%b\r\n" % (len(queue), queue)
        if queue and oid != self._oid:
            for by_method in self._pushes.values():
                for method, push in by_method.items():
                    by_method[method] = push.replace(self._key, key).replace(self._oid, oid)
            self._oid, self._key = oid, key
        return bool(queue)

    def _reply_queue(self, client: str) -> bytes:
        for member in self._client.smembers(f"_kombu.binding.{REPLY_EXCHANGE}"):
            routing_key, *_, queue = member.split(BINDING_SEPARATOR.encode())
            if routing_key == client.encode():
                return bytes(queue)
        return b""

    def _beats(self) -> Iterator[bytes]:
        """Yield what goes out in each tick: every worker beats once in its two seconds."""
        ticks, names = round(HEARTBEAT_SECONDS / TICK_SECONDS), list(self._pushes)
        while True:
            for tick in range(ticks):
                yield b"".join(map(self._beat, names[tick::ticks]))

    def _beat(self, name: str) -> bytes:
        # Else the exporter would take it for one that is started again and again.
        uptime = b'"uptime": %d' % (time.monotonic() - self._began)
        push = pushed(self._bodies[name]["stats"].replace(b'"uptime": 0', uptime))
        self._pushes[name]["stats"] = push.replace(_KEY, self._key).replace(_OID, self._oid)
        return heartbeat(name, self._crew.held)


def main() -> None:
    url, *numbers = sys.argv[1:]
    workers = _Workers(url, Crew(*map(int, numbers)))
    print("listening", flush=True)
    workers.run()


if __name__ == "__main__":
    main()
