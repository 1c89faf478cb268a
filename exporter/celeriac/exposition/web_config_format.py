"""The format of ``--web.config.file``: that of Prometheus' exporter-toolkit, parsed strictly.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import yaml

from celeriac.errors import ConfigurationError

OPTION = "--web.config.file"

# The toolkit lets no other header be set; an empty tuple means any value will do.
_HEADER_VALUES: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_BCRYPT_HASH = re.compile(r"\$2[abxy]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")


class TlsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``tls_server_config``; an empty string means that the key is not set."""

    cert_file: str = ""
    key_file: str = ""
    cert: str = ""
    key: str = ""
    client_auth_type: str = ""
    client_ca_file: str = ""
    client_ca: str = ""
    client_allowed_sans: tuple[str, ...] | None = None
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[str, ...] = ()


class HttpSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``http_server_config``."""

    http2: bool = False
    headers: dict[str, str] = {}


class WebConfigFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; users are mapped to their passwords' bcrypt hashes."""

    tls_server_config: TlsSection = TlsSection()
    http_server_config: HttpSection = HttpSection()
    basic_auth_users: dict[str, str] = {}
    rate_limit: dict[str, Any] = {}


def refused(key: str, problem: str) -> ConfigurationError:
    """Return the error about one key of the file; ``problem`` must not hold the key's value."""
    return ConfigurationError(OPTION, f"{key}: {problem}")


def parse(content: bytes) -> WebConfigFile:
    """Return the file's sections; raise ConfigurationError for what the toolkit would refuse.

    An empty file is refused too, though the toolkit takes it: at run time it is what a file looks
    like while it is being rewritten, and to obey it would be to drop the passwords.
    """
    document = _load_yaml(content)
    if document is None:
        raise ConfigurationError(OPTION, "is empty; write {} for neither TLS nor passwords")
    file = _convert(_without_nulls(document))
    _check_headers(file.http_server_config.headers)
    _check_users(file.basic_auth_users)
    if file.rate_limit:
        raise refused("rate_limit", "is not supported here; limit requests in a proxy")
    return file


class _DuplicateKeyError(yaml.MarkedYAMLError):
    """A mapping has one key twice, of which PyYAML would silently take the last."""


class _StrictLoader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(names)) < len(names):
            raise _DuplicateKeyError(problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def _load_yaml(content: bytes) -> object:
    """Return plain objects; an error tells the place only, as YAML's own quotes the text there."""
    try:
        return _StrictLoader(content).get_single_data()
    except _DuplicateKeyError as error:
        raise ConfigurationError(OPTION, f"has a key twice in a mapping{_place(error)}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(OPTION, f"is not valid YAML{_place(error)}") from None


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""


def _without_nulls(document: object) -> object:
    """Drop keys without a value, which mean "not set" in Go."""
    if isinstance(document, dict):
        return {key: _without_nulls(it) for key, it in document.items() if it is not None}
    return document


def _convert(document: object) -> WebConfigFile:
    try:
        return msgspec.convert(document, WebConfigFile)
    except msgspec.ValidationError as error:
        problem, _, place = " ".join(str(error).split()).partition(" - at ")
        where = place.strip("`").removeprefix("$.") or "the file"
        problem = problem.replace("Object contains unknown field", "has an unknown key")
        raise refused(where, problem) from None


def _check_headers(headers: dict[str, str]) -> None:
    if headers.keys() - _HEADER_VALUES.keys():
        raise refused("http_server_config.headers", f"can only be {', '.join(_HEADER_VALUES)}")
    for name, value in headers.items():
        key = f"http_server_config.headers.{name}"
        if _HEADER_VALUES[name] and value not in _HEADER_VALUES[name]:
            raise refused(key, f"must be {' or '.join(_HEADER_VALUES[name])}")
        if not (value.isascii() and (value.isprintable() or not value)):
            raise refused(key, "must be one line of ASCII text")


def _check_users(users: dict[str, str]) -> None:
    for place, password_hash in enumerate(users.values(), start=1):
        if not _BCRYPT_HASH.fullmatch(password_hash):
            # Not the user's name: who swaps name and password must not find it in a log.
            problem = f"entry {place} has no bcrypt hash; make one with: htpasswd -nB USER"
            raise refused("basic_auth_users", problem)
