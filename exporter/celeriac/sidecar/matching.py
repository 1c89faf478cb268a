"""Which tasks do the workers hold that match a filter?"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated, Literal, NamedTuple

import msgspec

from celeriac.control import Command, Question, RemoteControl, Replies
from celeriac.sidecar.worker_answers import read

State = Literal["active", "reserved", "scheduled"]
STATES: tuple[State, ...] = ("active", "reserved", "scheduled")
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class Filter(msgspec.Struct, forbid_unknown_fields=True):
    """Tasks of this name, from this queue, in this state; what is not given matches all."""

    task: Name | None = None
    queue: Name | None = None
    state: State | None = None


class _Delivery(msgspec.Struct, gc=False):
    exchange: str | None = None
    routing_key: str | None = None


class _Request(msgspec.Struct, gc=False):
    id: str
    name: str
    delivery_info: _Delivery | None = None


class _Scheduled(msgspec.Struct, gc=False):
    request: _Request


class _Exchange(msgspec.Struct, gc=False):
    name: str | None = None


class _Queue(msgspec.Struct, gc=False):
    name: str
    routing_key: str | None = None
    exchange: _Exchange | None = None


class Match(NamedTuple):
    """Ids of matching tasks, and who did not tell which tasks it has."""

    task_ids: list[str]
    silent: list[str]


Route = tuple[str, str]
"""An exchange and a routing key."""


def find(
    control: RemoteControl, workers: Collection[str], wanted: Filter, timeout_seconds: float
) -> Match:
    """Return all matching tasks that *workers* tell of. Errors: BrokerError."""
    states = [wanted.state] if wanted.state else STATES
    questions = [Question(Command(name), workers) for name in (*states, "active_queues")]
    answers = control.ask(questions, timeout_seconds)
    queues = dict(_bindings(answers))
    found = {
        request.id: None
        for request in _requests(answers)
        if wanted.task in (None, request.name) and wanted.queue in (None, _queue(request, queues))
    }
    telling = {worker for worker, method in answers.answers if method in states}
    return Match(list(found), [worker for worker in workers if worker not in telling])


def _requests(replies: Replies) -> Iterator[_Request]:
    for (_, method), raw in replies.answers.items():
        if method == "scheduled":
            yield from (entry.request for entry in read(raw, list[_Scheduled]) or ())
        elif method in STATES:
            yield from read(raw, list[_Request]) or ()


def _bindings(replies: Replies) -> Iterator[tuple[Route, str]]:
    for (_, method), raw in replies.answers.items():
        found = read(raw, list[_Queue]) if method == "active_queues" else None
        for queue in found or ():
            exchange = (queue.exchange and queue.exchange.name) or ""
            yield (exchange, queue.routing_key or ""), queue.name


def _queue(request: _Request, queues: dict[Route, str]) -> str:
    delivery = request.delivery_info or _Delivery()
    routing_key = delivery.routing_key or ""
    # Without a binding of that name, the message went to the queue by its own.
    return queues.get((delivery.exchange or "", routing_key), routing_key)
