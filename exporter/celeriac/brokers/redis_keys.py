"""What kombu's Redis transport calls its keys and channels (``kombu.transport.redis`` 5.7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery import Celery


def keys_of(app: Celery, channel: Any) -> Keys:
    """Return the names that kombu's *channel* uses for *app*."""
    return Keys(channel, app.conf.event_exchange, app.conf.control_exchange)


class Keys:
    """What kombu calls its keys and channels, given the transport options."""

    def __init__(self, channel: Any, event_exchange: str, control_exchange: str) -> None:
        self.prefix: str = channel.global_keyprefix
        self.unacked = self.prefix + channel.unacked_key
        self.unacked_index = self.prefix + channel.unacked_index_key
        self.events = f"{self.prefix}{channel.keyprefix_fanout}{event_exchange}"
        self.has_event_topics = bool(channel.fanout_patterns)
        self._binding: str = self.prefix + channel.keyprefix_queue
        self._separator: str = channel.sep
        self._priorities: list[int] = channel.priority_steps
        self._internal = {
            event_exchange,
            f"{control_exchange}.pidbox",
            f"reply.{control_exchange}.pidbox",
        }

    def lists(self, queue: str) -> Iterator[str]:
        """Yield the key of each of *queue*'s priority lists."""
        for priority in self._priorities:
            suffix = f"{self._separator}{priority}" if priority else ""
            yield f"{self.prefix}{queue}{suffix}"

    @property
    def bindings_pattern(self) -> str:
        return escaped(self._binding % "") + "*"

    def exchange(self, binding: bytes) -> str | None:
        """Return the exchange of a binding's key, None for Celery's own."""
        exchange = binding.decode("utf-8", "replace").removeprefix(self._binding % "")
        return None if exchange in self._internal else exchange

    def binding_member(self, member: bytes) -> tuple[str, str]:
        """Return (routing key, queue) of one member of a binding."""
        parts = member.decode("utf-8", "replace").split(self._separator)
        return parts[0], parts[-1]


def escaped(text: str) -> str:
    """Return *text* so that a glob pattern of Redis takes it literally."""
    return "".join(f"\\{character}" if character in "\\*?[]" else character for character in text)
