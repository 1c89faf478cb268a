"""What click lacks: options in sections, and errors in one line that show no value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from celeriac import settings
from celeriac.errors import ConfigurationError
from celeriac.logs import FORMATS, LEVELS

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
}


class SectionedOption(click.Option):
    """An option with the title of the section it stands under in ``--help``."""

    def __init__(self, *args: Any, section: str = "Other", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose ``--help`` shows its options by section, in the order of declaration."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(parameter, "section", "Other"), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=34)


def section(title: str) -> Callable[..., Callable[[Any], Any]]:
    """Return ``click.option`` for the options under *title*."""

    def option(*names: str, **kwargs: Any) -> Callable[[Any], Any]:
        return click.option(
            *names, cls=SectionedOption, section=title, envvar=variable(names[0]), **kwargs
        )

    return option


def variable(option: str) -> str:
    """Return the variable of *option*: --web.config.file is CELERIAC_WEB_CONFIG_FILE."""
    return f"CELERIAC_{option.removeprefix('--').replace('-', '_').replace('.', '_').upper()}"


class Value(click.ParamType[Any]):
    """A value read by a function; *expected* is what to say when it cannot be."""

    def __init__(self, name: str, expected: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._expected = expected
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ConfigurationError as error:
            self.fail(error.problem, param, ctx)
        except ValueError:
            self.fail(f"expected {self._expected}", param, ctx)


def whole(low: int, high: int) -> Value:
    """A whole number from *low* to *high*."""
    return Value(
        "n", f"a whole number from {low} to {high}", lambda text: _within(int(text), low, high)
    )


def seconds(low: float, high: float) -> Value:
    """A duration from *low* to *high* seconds."""
    return Value(
        "seconds",
        f"a number of seconds from {low:g} to {high:g}",
        lambda text: _within(float(text), low, high),
    )


_UNITS_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(low: float, high: float) -> Value:
    """A duration from *low* to *high* seconds, as seconds or with a unit: 90, 15m, 24h, 7d."""

    def read(text: str) -> float:
        unit = _UNITS_SECONDS.get(text[-1:])
        return _within(float(text[:-1] if unit else text) * (unit or 1), low, high)

    expected = f"a duration such as 90, 15m, 24h or 7d, from {low:g} to {high:g} seconds"
    return Value("duration", expected, read)


def _within(value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise ValueError
    return value


def one_of(*words: str) -> Value:
    """One of *words*, in any case."""

    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError
        return text.lower()

    return Value("|".join(words), f"one of {', '.join(words)}", read)


def _names(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())


NAMES = Value("a,b,…", "names separated by commas", _names)
BUCKETS = Value("0.1,1,…", "numbers", lambda text: settings.buckets("", text))
FILE = Value("file", "a path", Path)


_logs = section("Logs")
_LOG_OPTIONS = (
    _logs(
        "--log-level",
        type=one_of(*LEVELS),
        default="info",
        show_default=True,
        help="debug, info, warning or error.",
    ),
    _logs(
        "--log-format",
        type=one_of(*FORMATS),
        default="auto",
        show_default=True,
        help="text, json, or auto: text on a terminal, JSON elsewhere.",
    ),
)


def log_options(command: Any) -> Any:
    """Add the options for logs to *command*."""
    for option in reversed(_LOG_OPTIONS):
        command = option(command)
    return command


def one_line(error: click.ClickException) -> str:
    """Return *error* as one line that names the option or command, and shows no value."""
    if isinstance(error, click.BadParameter) and error.param is not None:
        name, kind = error.param.opts[-1], error.param.type
        return f"{name}: {error.message if isinstance(kind, Value) else f'expected a {kind.name}'}"
    if isinstance(error, (click.NoSuchOption, click.BadOptionUsage)):
        return f"{error.option_name}: no such option, or it is used wrongly"
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
    return f"{command}: unknown command or unexpected argument; see {command} --help"
