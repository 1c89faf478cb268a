"""The command line: what can be said, and how an error of use becomes one line."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from celeriac import __version__
from celeriac.audit_command import audit
from celeriac.doctor_command import doctor
from celeriac.errors import ConfigurationError
from celeriac.exporter_command import exporter
from celeriac.options import CONTEXT, FILE, one_line, seconds
from celeriac.sidecar_command import sidecar
from celeriac.token_command import token

EXIT_CONFIGURATION = 2
DEMO_DIRECTORY = Path(".demo")


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, "-V", "--version", message="celeriac %(version)s")
def cli() -> None:
    """See, be warned about and act on a Celery cluster through Prometheus."""


cli.add_command(exporter)
cli.add_command(doctor)
cli.add_command(sidecar)
cli.add_command(token)
cli.add_command(audit)


@cli.command(context_settings=CONTEXT)
@click.option("--check", type=FILE, help="Compare with this file instead; exit 1 if it differs.")
def metrics(check: Path | None) -> None:
    """Print the table of all metrics as Markdown."""
    from celeriac.exposition.reference import markdown

    table = markdown()
    if check is None:
        click.echo(table, nl=False)
    elif not check.is_file() or check.read_text(encoding="utf-8") != table:
        click.echo(f"celeriac: {check} is not what `celeriac metrics` prints", err=True)
        sys.exit(1)


@cli.command(context_settings=CONTEXT)
@click.option(
    "--state-dir",
    type=FILE,
    default=DEMO_DIRECTORY,
    show_default=True,
    help="Where the demo keeps its files, and writes its addresses to env.",
)
@click.option(
    "--for",
    "duration",
    type=seconds(1, 7 * 86400),
    metavar="SECONDS",
    help="End by itself after this long.",
)
@click.option(
    "--healthy", "is_healthy", is_flag=True, help="Without bursts, and no queue without consumers."
)
def demo(state_dir: Path, duration: float | None, *, is_healthy: bool) -> None:  # fmt: skip
    """Run a whole cluster on this machine: broker, workers, load, exporter, sidecar, Prometheus."""
    try:
        from celeriac.demo import run
    except ImportError as error:
        raise ConfigurationError(
            "demo", f"needs pip install 'celeriac[demo]' ({error.name})"
        ) from None
    run(state_dir, duration, is_healthy=is_healthy)


def main(arguments: Iterable[str] | None = None) -> None:
    """Run the command line; an error of use or of configuration is one line and exit code 2."""
    try:
        cli.main(list(arguments) if arguments is not None else None, standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        _refuse(one_line(error))
    except ConfigurationError as error:
        _refuse(str(error))
    except click.Abort:
        sys.exit(130)


def _refuse(problem: str) -> None:
    click.echo(f"celeriac: {problem}", err=True)
    sys.exit(EXIT_CONFIGURATION)
