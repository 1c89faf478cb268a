"""Logs: structured, in text on a terminal and JSON elsewhere; no password in either."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("auto", "text", "json")
HIDDEN = "***"

# user:password@ in any URL, and password=… in URLs, options and repr()s.
_URL_PASSWORD = re.compile(r"(?<=://)([^\s/@:]*):([^\s/]*)@")
_NAMED_SECRET = re.compile(
    r"(?i)(pass(?:word|wd)?|secret|token)(['\"]?\s*[=:]\s*['\"]?)[^\s'\",;&}]+"
)


class Redactor:
    """Takes secrets out of text: those it was told, and whatever looks like one."""

    def __init__(self) -> None:
        self._secrets: list[str] = []

    def hide(self, *secrets: str | None) -> None:
        """Never show these values; empty ones are passed over."""
        self._secrets += [secret for secret in secrets if secret]
        self._secrets.sort(key=len, reverse=True)

    def clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text)
        return _NAMED_SECRET.sub(rf"\1\2{HIDDEN}", text)


class _TextFormatter(logging.Formatter):
    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s  %(message)s", "%H:%M:%S")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.clean(super().format(record))


class _JsonFormatter(JsonFormatter):
    def __init__(self, redactor: Redactor) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )
        self._redactor = redactor

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Clean every text before it is encoded: JSON's escapes would hide a secret from us."""
        return {
            name: self._redactor.clean(value if isinstance(value, str) else str(value))
            for name, value in super().process_log_record(log_data).items()
        }


def set_up_logs(level: str, log_format: str, stream: TextIO | None = None) -> Redactor:
    """Send all logs to *stream* (stderr) and return what takes secrets out of them.

    *log_format* is ``text``, ``json`` or ``auto``: text on a terminal.
    """
    stream = stream or sys.stderr
    redactor = Redactor()
    is_text = log_format == "text" or (log_format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_TextFormatter(redactor) if is_text else _JsonFormatter(redactor))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("amqp", "kombu", "celery", "urllib3"):
        logging.getLogger(noisy).setLevel(max(root.level, logging.WARNING))
    return redactor
