"""The options for one broker, which every command that speaks to it has, and their settings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import click
from click.core import ParameterSource

from celeriac import settings
from celeriac.options import FILE, section, variable

logger = logging.getLogger("celeriac")

broker = section("Broker")

_OPTIONS = (
    broker(
        "--broker-url",
        metavar="URL",
        default="redis://localhost:6379/0",
        show_default=True,
        help="Where the workers' broker is. A password is better off in --broker-url-file or in "
        "CELERIAC_BROKER_URL, where no other user can see it.",
    ),
    broker("--broker-url-file", type=FILE, help="Read the broker's URL from this file."),
    broker(
        "--broker-transport-option",
        multiple=True,
        metavar="KEY=VALUE",
        help="As in Celery's broker_transport_options, for instance global_keyprefix=app: "
        "or master_name=mymaster. May be given again.",
    ),
    broker(
        "--broker-ssl-option",
        multiple=True,
        metavar="KEY=VALUE",
        help="As in Celery's broker_use_ssl, for instance ssl_ca_certs=/etc/ca.pem. "
        "May be given again.",
    ),
    broker(
        "--control-exchange",
        default="celery",
        show_default=True,
        help="As in Celery's control_exchange.",
    ),
)


def broker_options(command: Any) -> Any:
    """Add all of them to *command*."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def broker_settings(options: Mapping[str, Any], **more: Any) -> settings.BrokerSettings:
    """Return the settings; *more* are those that only some commands have."""
    url = options["broker_url"]
    if options["broker_url_file"] is not None:
        url = settings.secret_from_file("--broker-url-file", options["broker_url_file"])
    return settings.BrokerSettings(
        url=settings.broker_url("--broker-url", url),
        transport_options=settings.transport_options(
            "--broker-transport-option", options["broker_transport_option"]
        ),
        ssl_options=settings.ssl_options("--broker-ssl-option", options["broker_ssl_option"]),
        control_exchange=options["control_exchange"],
        **more,
    )


def passwords(*urls: str | None) -> list[str]:
    """Return the passwords in *urls*, each of which may be several, as written and as meant."""
    found = [urlsplit(url).password for several in urls for url in (several or "").split(";")]
    return [form for password in found if password for form in (password, unquote(password))]


def warn_of_shown_passwords(context: click.Context, urls: Mapping[str, str | None]) -> None:
    """Warn of every password in the URLs, by option, that the list of processes shows."""
    for option, url in urls.items():
        if passwords(url):
            warn_if_shown(context, option)


def warn_if_shown(context: click.Context, option: str) -> None:
    """Warn that a secret can be read in the list of processes, if *option* was given there."""
    source = context.get_parameter_source(option.removeprefix("--").replace("-", "_"))
    if source is ParameterSource.COMMANDLINE:
        logger.warning(
            "%s can be read in the list of processes, with its secret; %s hides it",
            option,
            variable(option),
        )
