"""The command line, run in this process, without starting what it starts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Generic, TypeVar

import click
import pytest

from celeriac import cli

CANARY = "canary5ecret"

Settings = TypeVar("Settings")


@dataclass
class Outcome(Generic[Settings]):
    """What a run did; ``settings`` are those that something was started with."""

    code: int | str | None
    out: str
    err: str
    settings: list[Settings]

    @property
    def chosen(self) -> Settings:
        (only,) = self.settings
        return only


class Runner(Generic[Settings]):
    """Runs the command line; in the place of what it starts, settings are added to ``started``."""

    def __init__(self, capsys: pytest.CaptureFixture[str], started: list[Settings]) -> None:
        self._capsys = capsys
        self._started = started

    def __call__(self, *arguments: str) -> Outcome[Settings]:
        self._started.clear()
        try:
            cli.main(arguments)
            code: int | str | None = 0
        except SystemExit as leave:
            code = leave.code
        said = self._capsys.readouterr()
        return Outcome(code, said.out, said.err, list(self._started))


def variable(parameter: click.Parameter) -> str:
    """Return the name of an option in the environment."""
    return "CELERIAC_" + re.sub(r"[-.]", "_", max(parameter.opts, key=len)[2:]).upper()


def assert_refused(outcome: Outcome[Settings], option: str) -> None:
    """Exit code 2, one line on stderr, with the option, without the value."""
    assert (outcome.code, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert re.match(rf"celeriac: (.*\W)?{re.escape(option)}\b", line), line
    assert CANARY not in line
    assert outcome.settings == []
