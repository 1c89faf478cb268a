"""Colours by meaning, thresholds, and words for values.

The colours are Paul Tol's vibrant ones, which people with any colour blindness tell apart. A colour
never stands alone: a word or a number says the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GOOD = "#009988"
NOTICE = "#EE7733"
BAD = "#CC3311"
CALM = "#33BBEE"
DEEP = "#0077BB"
VIOLET = "#AA4499"
PLAIN = "text"
MUTED = "#8E8E8E"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Levels:
    """From which value on a number is worth a notice, and from which on it is bad."""

    notice: float | None = None
    bad: float | None = None
    base: str = GOOD

    def json(self) -> Json:
        steps: list[Json] = [{"color": self.base, "value": None}]
        found = ((NOTICE, self.notice), (BAD, self.bad))
        steps += [{"color": c, "value": value} for c, value in found if value is not None]
        return {"mode": "absolute", "steps": steps}


@dataclass(frozen=True, slots=True)
class Below:
    """A number that is bad below a value."""

    bad: float
    base: str = GOOD

    def json(self) -> Json:
        steps = [{"color": BAD, "value": None}, {"color": self.base, "value": self.bad}]
        return {"mode": "absolute", "steps": steps}


NEUTRAL = Levels(base=PLAIN)
CALM_ONLY = Levels(base=CALM)


@dataclass(frozen=True, slots=True)
class Word:
    """What a value is called, and its colour."""

    text: str
    color: str


Words = Mapping[float, Word]

VERDICT: Words = {0: Word("HEALTHY", GOOD), 1: Word("DEGRADED", NOTICE), 2: Word("DOWN", BAD)}
WORKER_STATE: Words = {
    0: Word("up", GOOD),
    1: Word("failing tasks", NOTICE),
    2: Word("STALLED", BAD),
    3: Word("DOWN", BAD),
}
IS_UP: Words = {0: Word("DOWN", BAD), 1: Word("up", GOOD)}
ANSWERS: Words = {0: Word("NO ANSWER", BAD), 1: Word("answers", GOOD)}
SUCCEEDED: Words = {0: Word("FAILS", BAD), 1: Word("succeeds", GOOD)}
YES_NO: Words = {0: Word("no", NOTICE), 1: Word("yes", GOOD)}
NOBODY: Words = {0: Word("NOBODY", BAD)}
LEVELS: Words = {
    1: Word("degraded", NOTICE),
    2: Word("down", BAD),
    3: Word("warning", NOTICE),
    4: Word("critical", BAD),
    5: Word("started", CALM),
}
"""1 and 2 are the verdict's, 3 and 4 those of alerts, 5 is no trouble but often its cause."""

OUTCOMES = {
    "succeeded": GOOD,
    "failed": BAD,
    "retried": NOTICE,
    "rejected": VIOLET,
    "revoked": MUTED,
    "sent": CALM,
    "received": DEEP,
    "started": DEEP,
}
"""The colour of each outcome of a task, the same on every dashboard."""


def mappings(words: Words, nothing: str) -> list[Json]:
    """Return Grafana's value mappings; that there is no value is no colour's business."""
    options = {
        f"{value:g}": {"text": word.text, "color": word.color, "index": index}
        for index, (value, word) in enumerate(words.items())
    }
    null = {"text": nothing, "color": MUTED, "index": len(words)}
    found: list[Json] = [{"type": "value", "options": options}] if options else []
    return [*found, {"type": "special", "options": {"match": "null+nan", "result": null}}]
