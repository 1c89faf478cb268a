"""A bounded map that forgets its oldest half, without walking and without a clock."""

from __future__ import annotations

from typing import Generic, TypeVar

Value = TypeVar("Value")


class GenerationMap(Generic[Value]):
    """At most *capacity* entries by task id; the older half is dropped when the younger is full.

    Every operation is a constant number of dict operations: an ordinary dict with eviction in
    front walks over its own holes, and an ordered one needs twice the memory.
    """

    __slots__ = ("_half", "_old", "young")

    def __init__(self, capacity: int) -> None:
        self._half = max(1, capacity // 2)
        # May be read where a call of ``get`` for each event would cost too much.
        self.young: dict[str, Value] = {}
        self._old: dict[str, Value] = {}

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    def get(self, key: str) -> Value | None:
        found = self.young.get(key)
        return self._old.get(key) if found is None else found

    def put(self, key: str, value: Value) -> None:
        """Add *key*, which must not be in the map."""
        if len(self.young) >= self._half:
            self._old = self.young
            self.young = {}
        self.young[key] = value

    def pop(self, key: str) -> Value | None:
        """Remove *key* and return its value, None if it is not there."""
        found = self.young.pop(key, None)
        return self._old.pop(key, None) if found is None else found
