"""The class of an exception, read from what a worker says about it."""

from __future__ import annotations

import re

OTHER = "other"
MAX_CLASS_NAME = 200
MAX_TEXT = 1000

_REPR = re.compile(r"<?(?:class ')?(?:\w+\.)*([^\W\d]\w*)")
# After the last frame of a traceback, which is indented: "package.module.Class: message".
_TRACEBACK_END = re.compile(r"\n +[^\n]*\n(?:\w+\.)*([^\W\d]\w*)(?=:|\n|$)")
# What celery 5.7 shows instead of a Reject on prefork, and of whatever was never pickled (a
# Reject on threads and solo, every hard time limit).
_WRAPPER = "ExceptionWithTraceback"
_REJECT = "reject requeue="


def exception_class(representation: object, traceback: object = None) -> str:
    """Return the class name in an exception's repr, ``other`` if there is none.

    Where the repr shows only Celery's wrapper, the end of the traceback names the class.
    """
    if not isinstance(representation, str):
        return OTHER
    if representation.startswith(_REJECT):
        return "Reject"
    found = _REPR.match(representation[:MAX_TEXT])
    name = found.group(1) if found else OTHER
    if name == _WRAPPER and isinstance(traceback, str):
        ends = _TRACEBACK_END.findall(traceback)
        name = ends[-1] if ends else name
    return name[:MAX_CLASS_NAME]
