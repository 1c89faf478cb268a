"""What workers' answers are made of, and how one is read or refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, TypeVar

import msgspec

Answer = TypeVar("Answer")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Text = Annotated[str, msgspec.Meta(max_length=500)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Seconds = Annotated[float, msgspec.Meta(ge=0, lt=1e12)]

KINDS_REMEMBERED = 8
# An entry of a schedule without a name of its own has its task's whole signature as its name.
MAX_ENTRY_CHARACTERS = 200


class UnreadableAnswerError(ValueError):
    """An answer does not have the shape that celery 5 gives it."""


def entry_name(name: str) -> str:
    """Return the name of a schedule's entry, shortened if it is long."""
    return name if len(name) <= MAX_ENTRY_CHARACTERS else name[: MAX_ENTRY_CHARACTERS - 1] + "…"


def reader(shape: Any) -> Callable[[msgspec.Raw], Any]:
    """Return a function that reads JSON as *shape*. Errors: UnreadableAnswerError."""
    decode = msgspec.json.Decoder(shape).decode

    def read(raw: msgspec.Raw) -> Any:
        try:
            return decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise UnreadableAnswerError(str(error)) from error

    return read


def same_of_many(read: Callable[[msgspec.Raw], Answer]) -> Callable[[msgspec.Raw], Answer]:
    """Remember the last few answers: most workers are alike, and say the same of what they are.

    They are compared as they are; to hash kilobytes takes longer than to compare a few.
    """
    known: list[tuple[bytes, Answer]] = []

    @wraps(read)
    def remembered(raw: msgspec.Raw) -> Answer:
        text = bytes(raw)
        for kept, answer in known:
            if kept == text:
                return answer
        answer = read(raw)
        known.insert(0, (text, answer))
        del known[KINDS_REMEMBERED:]
        return answer

    return remembered
