"""Every query that is ever sent to Prometheus: fixed templates, and the one way to put a value in.

What a caller says reaches a query only as a time; what Prometheus itself said (the labels of a
series) and the configured job go through ``quote``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# Ranges are in milliseconds, which Prometheus and VictoriaMetrics both read.
TEMPLATES: Mapping[str, str] = {
    "alive": "vector(1)",
    "samples": "{selector}[{range_ms}ms]",
    "last": "last_over_time({selector}[{range_ms}ms])",
    "mean": "avg_over_time({selector}[{range_ms}ms])",
    "most": "max_over_time({selector}[{range_ms}ms])",
    "slope": "deriv({selector}[{range_ms}ms])",
    "resets": "resets({selector}[{range_ms}ms])",
    "sums": "sum without (task, queue, reason) ({selector})",
}

_SPECIAL_IN_REGEX = re.compile(r"[\\.+*?()|\[\]{}^$]")
_SPECIAL_IN_STRING = re.compile(r'[\\"\x00-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff]')
# Prometheus 3 allows others; what cannot be written in 2 is left out and compared by the reader.
_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def quote(value: str) -> str:
    """Return a string literal of PromQL that stands for *value* and for nothing else.

    A lone surrogate, which no label in Prometheus can hold, becomes U+FFFD.
    """
    return f'"{_SPECIAL_IN_STRING.sub(_escaped, value)}"'


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character in '\\"':
        return "\\" + character
    code = ord(character)
    return f"\\u{0xFFFD if 0xD800 <= code <= 0xDFFF else code:04x}"


def any_of(values: Iterable[str]) -> str:
    """Return a regular expression that matches these values, each of them literally."""
    return "|".join(_SPECIAL_IN_REGEX.sub(r"\\\g<0>", value) for value in sorted(values))


def selector(
    names: Iterable[str],
    equal: Iterable[tuple[str, str]] = (),
    tasks: Iterable[str] | None = None,
) -> str:
    """Return a selector of families by name, with labels that are equal and a choice of tasks."""
    pairs = [f"{label}={quote(value)}" for label, value in equal if _LABEL_NAME.fullmatch(label)]
    if tasks is not None:
        pairs.append(f"task=~{quote(any_of(tasks))}")
    return "{" + ",".join([f"__name__=~{quote(any_of(names))}", *pairs]) + "}"


def query(template: str, selected: str = "", range_ms: int = 0) -> str:
    """Return a row of the table with its selector and its range."""
    return TEMPLATES[template].format(selector=selected, range_ms=range_ms)
