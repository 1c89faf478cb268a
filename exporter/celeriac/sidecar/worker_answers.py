"""What workers answer to commands, which may be anything: it is read strictly, or is nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeVar

import msgspec

Shape = TypeVar("Shape")


class Answer(msgspec.Struct, gc=False):
    """What a worker says to a control command: one of the two."""

    ok: Any = None
    error: Any = None


def read(answer: msgspec.Raw, shape: type[Shape]) -> Shape | None:
    """Return what a worker says in this shape, None if it is no such thing."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return msgspec.json.decode(answer, type=shape)
    return None


def is_ok(answer: msgspec.Raw) -> bool:
    """Return whether a worker says that it did what it was told."""
    said = read(answer, Answer)
    return said is not None and said.error is None
