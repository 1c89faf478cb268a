"""``celeriac doctor``: the exporter's options and a few of its own, a report, an exit code."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from celeriac import settings
from celeriac.broker_options import passwords
from celeriac.exporter_command import exporter, exporter_settings
from celeriac.logs import Redactor, set_up_logs
from celeriac.options import CONTEXT, FILE, SectionedCommand, seconds, section

DEFAULT_SECONDS = 12.0
# The others are taken too, and do not matter here: the same environment serves both commands.
_SECTIONS_SHOWN = frozenset({"Broker", "Events (RabbitMQ only)"})

places = section("What else to look at")
examination = section("Examination")


def _exporters_own() -> list[click.Parameter]:
    """Return the options of ``celeriac exporter``; most are left out of our ``--help``."""
    own = [copy.copy(parameter) for parameter in exporter.params]
    for parameter in own:
        if isinstance(parameter, click.Option):
            parameter.hidden = getattr(parameter, "section", "") not in _SECTIONS_SHOWN
    return own


@click.command(cls=SectionedCommand, context_settings=CONTEXT, params=_exporters_own())
@places(
    "--exporter-url",
    metavar="URL",
    help="The running exporter.  [default: this machine, at --port]",
)
@places("--prometheus-url", metavar="URL", help="The Prometheus that scrapes it.")
@places("--grafana-url", metavar="URL", help="The Grafana that shows it.")
@places(
    "--grafana-token-file",
    type=FILE,
    help="Read the token of a service account of Grafana from this file.",
)
@places("--ca-file", type=FILE, help="Trust the certificates that this authority has signed.")
@examination(
    "--for",
    "duration",
    type=seconds(3, 3600),
    default=DEFAULT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to listen: two heartbeats at least, longer where tasks are rare.",
)
@examination("--json", "is_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
def doctor(context: click.Context, /, **options: Any) -> None:  # fmt: skip
    """Say why a number is missing or wrong, and what to do about it.

    Takes all options of celeriac exporter, and looks at what that one would see. Nothing is
    changed, and no event is taken away from an exporter that runs.

    Exit code: 0 healthy, 1 warnings, 3 problems; 2 is an error in the options.
    """
    redactor = set_up_logs(_log_level(context, options), options["log_format"])
    chosen = exporter_settings(options)
    looked_at = {
        "--exporter-url": options["exporter_url"],
        "--prometheus-url": options["prometheus_url"],
        "--grafana-url": options["grafana_url"],
    }
    for option, url in looked_at.items():
        settings.http_url(option, url)
    token = _token(options["grafana_token_file"])
    urls = (chosen.broker.url, chosen.broker.management_url, *looked_at.values())
    redactor.hide(token, *passwords(*urls))
    sys.exit(_report(chosen, options, token, redactor))


def _log_level(context: click.Context, options: dict[str, Any]) -> str:
    """Return what was asked for here; the report says what the log would."""
    is_asked = context.get_parameter_source("log_level") is ParameterSource.COMMANDLINE
    return str(options["log_level"]) if is_asked else "error"


def _token(path: Path | None) -> str | None:
    return None if path is None else settings.secret_from_file("--grafana-token-file", path)


def _report(
    chosen: settings.ExporterSettings,
    options: dict[str, Any],
    token: str | None,
    redactor: Redactor,
) -> int:
    """Examine, print the report and return the exit code."""
    # Imported here: --help does not need Celery.
    from celeriac import brokers
    from celeriac.doctor.examination import examine
    from celeriac.doctor.findings import diagnose
    from celeriac.doctor.questions.http import Address
    from celeriac.doctor.questions.web import Places
    from celeriac.doctor.report import as_json, as_text
    from celeriac.doctor.table import CHECKS

    brokers.check_scheme(urlsplit(chosen.broker.url).scheme)
    ca_file, given = options["ca_file"], options["exporter_url"]

    def address(url: str | None, bearer: str | None = None) -> Address | None:
        return Address(url, bearer, ca_file) if url else None

    where = Places(
        exporter=Address(given or _local(chosen), None, ca_file),
        prometheus=address(options["prometheus_url"]),
        grafana=address(options["grafana_url"], token),
        is_exporter_given=given is not None,
    )
    progress = _Progress()
    evidence = examine(chosen, where, options["duration"], progress.tell)
    progress.end()
    diagnosis = diagnose(CHECKS, evidence).cleaned(redactor.clean)
    text = (as_json if options["is_json"] else as_text)(diagnosis, evidence)
    click.echo(redactor.clean(text))
    return diagnosis.exit_code


def _local(chosen: settings.ExporterSettings) -> str:
    scheme = "https" if chosen.web_config_file else "http"
    return f"{scheme}://localhost:{chosen.port}"


class _Progress:
    """One line that changes on a terminal; elsewhere a line for each thing that begins."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._told = ""

    def tell(self, what: str) -> None:
        if self._is_terminal:
            click.echo(f"\r\x1b[2K{what} …", nl=False, err=True)
        elif (begun := what.partition(": ")[0]) != self._told:
            self._told = begun
            click.echo(f"doctor: {begun}", err=True)

    def end(self) -> None:
        if self._is_terminal:
            click.echo("\r\x1b[2K", nl=False, err=True)
