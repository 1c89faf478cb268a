"""``celeriac token``, and the options for tokens that it shares with ``celeriac sidecar``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from celeriac import settings
from celeriac.broker_options import warn_if_shown
from celeriac.errors import ConfigurationError
from celeriac.extras import check_sidecar_extra
from celeriac.logs import set_up_logs
from celeriac.options import CONTEXT, FILE, Value, duration, one_of, section
from celeriac.sidecar_settings import TokenSettings, jwt_secret

ROLES = ("viewer", "operator", "admin")
MAX_SUBJECT_CHARACTERS = 255

tokens = section("Tokens")

_OPTIONS = (
    tokens("--jwt-secret-file", type=FILE, help="The secret of HS256, 32 bytes or more."),
    tokens(
        "--jwt-secret",
        metavar="SECRET",
        help="The same; better off in --jwt-secret-file or in CELERIAC_JWT_SECRET.",
    ),
    tokens("--jwt-issuer", "issuer", metavar="ISSUER", help="What a token's iss must be."),
    tokens("--jwt-audience", "audience", metavar="AUDIENCE", help="What a token's aud must be."),
    tokens(
        "--jwt-role-claim",
        "role_claim",
        default="role",
        show_default=True,
        metavar="CLAIM",
        help="The claim that is viewer, operator or admin.",
    ),
)


def token_options(command: Any) -> Any:
    """Add the options that say what a token looks like to *command*."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def token_settings(options: Mapping[str, Any], jwks_url: str | None = None) -> TokenSettings:
    """Return the settings. Errors: ConfigurationError unless there is one source of keys."""
    secret = secret_of_file("--jwt-secret-file", options["jwt_secret_file"])
    option = "--jwt-secret-file" if secret else "--jwt-secret"
    secret = secret or options["jwt_secret"]
    if secret is None and jwks_url is None:
        raise ConfigurationError("--jwt-secret-file", "needed: the keys of tokens, or --jwks-url")
    if secret is not None and jwks_url is not None:
        raise ConfigurationError(option, "there is --jwks-url too; only one can be right")
    checked = None if secret is None else jwt_secret(option, secret)
    names = ("issuer", "audience", "role_claim")
    return TokenSettings(checked, jwks_url, **{name: options[name] for name in names})


def secret_of_file(option: str, file: Path | None) -> str | None:
    """Return the secret in *file*, None if there is no file."""
    return None if file is None else settings.secret_from_file(option, file)


def _subject(text: str) -> str:
    if not (0 < len(text) <= MAX_SUBJECT_CHARACTERS and text.isprintable()):
        raise ValueError
    return text


@click.command(context_settings=CONTEXT)
@click.option("--role", type=one_of(*ROLES), required=True, help="viewer, operator or admin.")
@click.option(
    "--subject",
    type=Value("name", "a name", _subject),
    required=True,
    metavar="NAME",
    help="Who it is for; stands in the audit.",
)
@click.option(
    "--ttl",
    "ttl_seconds",
    type=duration(1, 3650 * 86400),
    default="1h",
    show_default=True,
    metavar="DURATION",
    help="How long it is good.",
)
@token_options
@click.pass_context
def token(context: click.Context, /, **options: Any) -> None:  # fmt: skip
    """Print a token for the sidecar, signed with its secret (HS256)."""
    set_up_logs("warning", "auto")
    check_sidecar_extra("token")
    chosen = token_settings(options)
    warn_if_shown(context, "--jwt-secret")
    # Imported here: the other commands do not need it.
    from celeriac.tokens import mint

    click.echo(mint(chosen, options["subject"], options["role"], options["ttl_seconds"]))
