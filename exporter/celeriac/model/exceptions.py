"""The class of an exception, read from what a worker says about it."""

from __future__ import annotations

import re

OTHER = "other"
MAX_CLASS_NAME = 200
_MAX_TRACEBACK_TAIL = 10_000

_REPR = re.compile(r"<?(?:class ')?(?:\w+\.)*([^\W\d]\w*)")
# The last line of a traceback: "package.module.Class: message", or the class alone.
_TRACEBACK_LINE = re.compile(r"(?:\w+\.)*([^\W\d]\w*)(?::|$)")
# What celery 5.7 shows instead of a Reject on prefork, and of whatever was never pickled (a
# Reject on threads and solo, every hard time limit).
_WRAPPER = "ExceptionWithTraceback"
_REJECT = "reject requeue="


def exception_class(representation: object, traceback: object = None) -> str:
    """Return the class name in an exception's repr, ``other`` if there is none.

    Where the repr shows only Celery's wrapper, the traceback's last line names the class.
    """
    if not isinstance(representation, str):
        return OTHER
    if representation.startswith(_REJECT):
        return "Reject"
    name = _match(_REPR, representation)
    if name == _WRAPPER and isinstance(traceback, str) and traceback.strip():
        return _match(_TRACEBACK_LINE, traceback[-_MAX_TRACEBACK_TAIL:].strip().splitlines()[-1])
    return name


def _match(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.match(text[:500])
    return found.group(1)[:MAX_CLASS_NAME] if found else OTHER
