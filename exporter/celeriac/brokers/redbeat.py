"""The schedule that RedBeat keeps in Redis, in the broker's own database. It is only read.

A sorted set holds the keys of the entries, by when each is due; an entry is a hash whose field
``definition`` is JSON (redbeat 2.4). RedBeat does not use kombu's ``global_keyprefix``.
"""

from __future__ import annotations

import logging

import redis
from celery import Celery
from kombu import Connection

from celeriac.session import Session

logger = logging.getLogger(__name__)

MAX_KEYS = 10_000
MAX_ENTRIES = 1000
MAX_DEFINITION_BYTES = 64 * 1024
ENTRIES_PER_FETCH = 100


class RedBeatSchedule:
    """The entries' definitions, over a connection of its own that is made when needed."""

    def __init__(self, app: Celery, key_prefix: str) -> None:
        self._session = Session(app, _client)
        self._key = f"{key_prefix}:schedule"
        self._is_refusal_told = False

    def fetch(self) -> list[bytes]:
        """Return the definitions as they are; none where RedBeat is not used, or may not be read.

        Errors: BrokerUnavailableError, BrokerRefusedError.
        """
        with self._session.use() as client:
            try:
                return _definitions(client, _entries(client, self._key))
            except redis.exceptions.NoPermissionError as error:
                # Whoever does not use RedBeat need not allow its keys.
                self._tell_refusal(error)
                return []

    def close(self) -> None:
        self._session.close()

    def _tell_refusal(self, error: Exception) -> None:
        if not self._is_refusal_told:
            self._is_refusal_told = True
            logger.info("RedBeat's schedule at %s may not be read: %s", self._key, error)


def _client(connection: Connection) -> redis.Redis:
    return redis.Redis(connection_pool=connection.default_channel.pool)


def _entries(client: redis.Redis, key: str) -> list[bytes]:
    """Return the entries' keys, in an order that does not change with what is due next."""
    try:
        return sorted(client.zrange(key, 0, MAX_KEYS - 1))[:MAX_ENTRIES]
    except redis.exceptions.ResponseError as error:
        if str(error).startswith("WRONGTYPE"):
            # Somebody else's key of that name.
            return []
        raise


def _definitions(client: redis.Redis, keys: list[bytes]) -> list[bytes]:
    found: list[bytes] = []
    for start in range(0, len(keys), ENTRIES_PER_FETCH):
        chunk = keys[start : start + ENTRIES_PER_FETCH]
        sizes = _of_each(client, "HSTRLEN", chunk)
        short = [
            key
            for key, size in zip(chunk, sizes, strict=True)
            if isinstance(size, int) and 0 < size <= MAX_DEFINITION_BYTES
        ]
        found += [text for text in _of_each(client, "HGET", short) if isinstance(text, bytes)]
    return found


def _of_each(client: redis.Redis, command: str, keys: list[bytes]) -> list[object]:
    """Return what *command* answers for each entry's definition; an error is one of the answers."""
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.execute_command(command, key, "definition")
    answers: list[object] = pipe.execute(raise_on_error=False)
    return answers
