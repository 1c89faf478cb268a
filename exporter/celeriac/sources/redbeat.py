"""RedBeat's definitions of entries: untrusted JSON in, facts out; pure, without I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import msgspec

from celeriac.model.facts import ScheduledEntry
from celeriac.sources.shapes import Name, Text, UnreadableAnswerError, entry_name, reader

_Field: TypeAlias = int | Text | list[int]


class RedBeatEntries(NamedTuple):
    """What is scheduled, and what somebody has switched off, by entry and task."""

    scheduled: list[ScheduledEntry]
    disabled: set[tuple[str, str]]


class _Schedule(msgspec.Struct, gc=False):
    type: Text = msgspec.field(default="none", name="__type__")
    every: float | None = None
    minute: _Field = "*"
    hour: _Field = "*"
    day_of_week: _Field = "*"
    day_of_month: _Field = "*"
    month_of_year: _Field = "*"


class _Definition(msgspec.Struct, gc=False):
    name: str
    task: Name
    schedule: _Schedule
    enabled: bool = True


_read_definition = reader(_Definition)


def read(definitions: Iterable[bytes]) -> RedBeatEntries:
    """Read the definitions; those that are none are left out."""
    entries = RedBeatEntries([], set())
    for definition in definitions:
        try:
            _add(entries, _read_definition(msgspec.Raw(definition)))
        except UnreadableAnswerError:
            continue
    return entries


def _add(entries: RedBeatEntries, read: _Definition) -> None:
    entry = entry_name(read.name)
    if read.enabled:
        entries.scheduled.append(ScheduledEntry(entry, read.task, _text(read.schedule)))
    else:
        entries.disabled.add((entry, read.task))


def _text(schedule: _Schedule) -> str:
    """Return the schedule as Celery would show it."""
    if schedule.type == "interval":
        return str(schedule.every)
    if schedule.type == "crontab":
        order = (schedule.minute, schedule.hour, schedule.day_of_month, schedule.month_of_year)
        fields = " ".join(map(str, (*order, schedule.day_of_week)))
        return f"<crontab: {fields} (m/h/dM/MY/d)>"
    return f"<{schedule.type}>"
