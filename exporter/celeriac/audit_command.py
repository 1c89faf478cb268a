"""``celeriac audit``: is the record of what was done still whole?"""

from __future__ import annotations

import sys

import click

from celeriac.broker_options import passwords, warn_of_shown_passwords
from celeriac.errors import CeleriacError, ConfigurationError
from celeriac.extras import check_sidecar_extra
from celeriac.logs import set_up_logs
from celeriac.options import CONTEXT, section
from celeriac.sidecar_settings import DEFAULT_DATABASE, database_url, default_database_url

option = section("Audit")


@click.group(context_settings=CONTEXT)
def audit() -> None:
    """Look after the sidecar's audit records."""


@audit.command(context_settings=CONTEXT)
@option(
    "--database-url",
    "database",
    metavar="URL",
    help=f"As of celeriac sidecar.  [default: {DEFAULT_DATABASE}]",
)
@click.pass_context
def verify(context: click.Context, /, database: str | None) -> None:  # fmt: skip
    """Check the chain of records; exit 1 if one was altered or is missing."""
    redactor = set_up_logs("warning", "auto")
    check_sidecar_extra("audit")
    url = database_url("--database-url", database or default_database_url())
    redactor.hide(*passwords(url))
    warn_of_shown_passwords(context, {"--database-url": url})
    # Imported here: the other commands do not need it.
    from celeriac.sidecar import audit as records

    try:
        result = records.verify(url)
    except CeleriacError as error:
        raise ConfigurationError("--database-url", str(error)) from error
    if result.first_bad is None:
        click.echo(f"{result.records} records, all of them whole")
        return
    click.echo(f"record {result.first_bad}: {result.reason} ({result.records} were read)")
    sys.exit(1)
