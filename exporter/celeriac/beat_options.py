"""The options of ``celeriac exporter`` for the schedule: what is to be sent, and how often."""

from __future__ import annotations

from typing import Any

from celeriac.options import Value, seconds, section

beat = section("Beat")


class _Expectation(Value):
    """``task=interval``. In the environment semicolons separate them: a crontab has spaces."""

    envvar_list_splitter = ";"


def _expectation(text: str) -> tuple[str, str]:
    """Return the task and its schedule. Errors: ValueError."""
    # Imported here: --help does not need Celery.
    from celeriac.sources.schedules import read

    task, _, schedule = (part.strip() for part in text.partition("="))
    if not task or not schedule:
        raise ValueError
    read(schedule)
    return task, schedule


_OPTIONS = (
    beat(
        "--expect",
        "expected_entries",
        type=_Expectation("task=interval", "task=interval, such as app.report=1h30m", _expectation),
        multiple=True,
        metavar="TASK=INTERVAL",
        help="A task to be sent at least this often, for schedules that cannot be read: "
        "app.report=300, app.report=1h30m or app.report='0 9 * * 1-5'. May be given again.",
    ),
    beat(
        "--redbeat-key-prefix",
        default="redbeat:",
        show_default=True,
        metavar="PREFIX",
        help="As in RedBeat's redbeat_key_prefix. Empty: RedBeat's schedule is not looked for.",
    ),
    beat(
        "--beat-interval",
        "beat_interval_seconds",
        type=seconds(1, 60),
        default=15.0,
        show_default=True,
        metavar="SECONDS",
        help="How often the schedule is put together.",
    ),
)


def beat_options(command: Any) -> Any:
    """Add all of them to *command*."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
