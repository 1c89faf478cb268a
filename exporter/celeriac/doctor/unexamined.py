"""A part that nobody could look at is evidence too."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

Outer = TypeVar("Outer")
Inner = TypeVar("Inner")


class Unexamined(NamedTuple):
    """A part that could not be looked at, and why."""

    reason: str


def if_any(
    part: Outer | Unexamined, has_any: Callable[[Outer], bool], why: str
) -> Outer | Unexamined:
    """Return a part unless there is nothing in it to judge: then nothing is well either."""
    return part if isinstance(part, Unexamined) or has_any(part) else Unexamined(why)


def inside(
    outer: Outer | Unexamined, get: Callable[[Outer], Inner | Unexamined]
) -> Inner | Unexamined:
    """Return a part of a part; whoever could not be examined has none that could."""
    return outer if isinstance(outer, Unexamined) else get(outer)
