"""DELETE /queues/{queue}/messages: throw away what waits in a queue."""

from __future__ import annotations

from functools import partial
from typing import Any

import amqp
import msgspec
import redis
from celery import Celery
from flask import Response
from kombu import Connection

from celeriac.celery_app import broker_errors, connect
from celeriac.sidecar.audit import DONE, Deed
from celeriac.sidecar.contract import Call
from celeriac.sidecar.operations import Done, Operations
from celeriac.sidecar.problems import ProblemError

MAX_REASON_CHARACTERS = 1_000
# Of AMQP.
MAX_NAME_BYTES = 255


class PurgeAnswer(msgspec.Struct):
    """How many messages are gone."""

    purged: int
    queue: str
    operation_id: str


class _Message(msgspec.Struct, gc=False):
    """What kombu puts around every body."""

    body: msgspec.Raw
    properties: dict[str, msgspec.Raw]


class Queues:
    """The handler."""

    def __init__(self, app: Celery, operations: Operations) -> None:
        self._app = app
        self._operations = operations

    def purge(self, call: Call) -> msgspec.Struct | Response:
        queue, reason = call.parameters["queue"], call.request.args.get("reason", "")
        if len(reason) > MAX_REASON_CHARACTERS:
            raise ProblemError(400, f"reason: at most {MAX_REASON_CHARACTERS} characters")
        if len(queue.encode()) > MAX_NAME_BYTES:
            raise ProblemError(404, "there is no such queue")
        deed = Deed("queues.purge", queue, reason)
        return self._operations.carry_out(call, deed, None, partial(self._purge, queue))

    def _purge(self, queue: str, operation_id: str) -> Done:
        connection = connect(self._app)
        try:
            with broker_errors(connection):
                purged = _purged(connection, queue)
        finally:
            connection.release()
        answer = PurgeAnswer(purged, queue, operation_id)
        return Done(answer, DONE, f"{purged} messages purged")


def _purged(connection: Connection, queue: str) -> int:
    """Return how many messages were removed. Errors: ProblemError 404, 409, and the drivers'."""
    channel = connection.default_channel
    if connection.transport.driver_type == "redis":
        _check_is_queue(channel, queue)
    try:
        return int(channel.queue_purge(queue))
    except amqp.exceptions.NotFound:
        raise ProblemError(404, "there is no such queue") from None
    except amqp.exceptions.ResourceLocked:
        raise ProblemError(409, "this queue belongs to another connection alone") from None


def _check_is_queue(channel: Any, queue: str) -> None:
    """Check that no key is deleted that is none of a queue. Errors: ProblemError 409."""
    client = redis.Redis(connection_pool=channel.pool)
    for priority in channel.priority_steps:
        key = f"{channel.global_keyprefix}{channel._q_for_pri(queue, priority)}"  # noqa: SLF001
        try:
            oldest = client.lindex(key, -1)
            if oldest is not None:
                msgspec.json.decode(oldest, type=_Message)
        except (redis.ResponseError, msgspec.MsgspecError, UnicodeDecodeError):
            raise ProblemError(409, "what has this name is not a queue of messages") from None
