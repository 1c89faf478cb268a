"""RedBeat's definitions of entries, as redbeat 2.4 writes them, and what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery.schedules import crontab, schedule
from hypothesis import given
from hypothesis import strategies as st

from celeriac.model.facts import ScheduledEntry
from celeriac.sources import redbeat, schedules

DEFINITION: dict[str, Any] = {
    "name": "nightly",
    "task": "app.report",
    "args": ["secret"],
    "kwargs": {"token": "secret"},
    "options": {"queue": "mail"},
    "schedule": {"__type__": "interval", "every": 30.0, "relative": False},
    "enabled": True,
}


def read(*definitions: object) -> redbeat.RedBeatEntries:
    return redbeat.read(json.dumps(definition).encode() for definition in definitions)


def encoded(every: object) -> dict[str, Any]:
    """Return a definition with its schedule as RedBeat itself writes it."""
    from redbeat.decoder import RedBeatJSONEncoder

    written = json.dumps({**DEFINITION, "schedule": every}, cls=RedBeatJSONEncoder)
    loaded: dict[str, Any] = json.loads(written)
    return loaded


@pytest.mark.parametrize(
    ("every", "seconds"),
    [
        (schedule(90), 90),
        (crontab("*/5"), 300),
        (crontab("0", "9", "mon-fri"), 259_200),
        (crontab(minute=30, hour=3), 86_400),
    ],
    ids=repr,
)
def test_a_definition_is_an_entry_with_its_schedule(every: object, seconds: float) -> None:
    ((entry, task, text),) = read(encoded(every)).scheduled
    assert (entry, task) == ("nightly", "app.report")
    assert schedules.read(text).interval_seconds("UTC", 1_784_116_800) == seconds


def test_the_fields_of_a_crontab_may_be_lists() -> None:
    every = {"__type__": "crontab", "minute": [0, 30], "hour": "*", "day_of_week": "*"}
    ((_, _, text),) = read({**DEFINITION, "schedule": every}).scheduled
    assert schedules.read(text).interval_seconds("UTC", 1_784_116_800) == 1800


def test_an_entry_that_is_switched_off_is_not_scheduled() -> None:
    entries = read({**DEFINITION, "enabled": False})
    assert entries == ([], {("nightly", "app.report")})


def test_a_schedule_of_another_kind_has_its_name_for_the_log() -> None:
    entries = read({**DEFINITION, "schedule": {"__type__": "rrule", "freq": 3}})
    assert entries.scheduled == [ScheduledEntry("nightly", "app.report", "<rrule>")]
    with pytest.raises(schedules.UnreadableScheduleError, match="rrule"):
        schedules.read("<rrule>")


def test_nothing_of_the_arguments_is_kept() -> None:
    assert "secret" not in repr(read(DEFINITION))


@pytest.mark.parametrize(
    "definition",
    [
        None,
        [],
        "text",
        {},
        {**DEFINITION, "name": 5},
        {**DEFINITION, "task": None},
        {**DEFINITION, "task": ""},
        {**DEFINITION, "task": "x" * 10_000},
        {**DEFINITION, "schedule": 30},
        {**DEFINITION, "schedule": {"__type__": "interval", "every": "30"}},
        {**DEFINITION, "schedule": {"__type__": "crontab", "minute": {"a": 1}}},
        {**DEFINITION, "enabled": "no"},
    ],
    ids=repr,
)
def test_what_is_no_definition_is_left_out_beside_the_others(definition: object) -> None:
    assert read(definition, DEFINITION).scheduled == read(DEFINITION).scheduled


@pytest.mark.parametrize("broken", [b"", b"{", b"\xff", b"[" * 100_000])
def test_bytes_that_are_no_json_are_left_out(broken: bytes) -> None:
    assert redbeat.read([broken]) == ([], set())


@given(st.dictionaries(st.sampled_from(sorted(DEFINITION)), st.none() | st.text() | st.integers()))
def test_any_definition_can_be_read_or_left_out(changes: dict[str, Any]) -> None:
    for _, _, text in read({**DEFINITION, **changes}).scheduled:
        assert isinstance(text, str)
