"""What the sources log while they are examined: evidence, not noise."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

MAX_COMPLAINTS = 10


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.complaints: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        if text not in self.complaints and len(self.complaints) < MAX_COMPLAINTS:
            self.complaints.append(text)


@contextmanager
def collected() -> Iterator[list[str]]:
    """Yield a list that fills with the warnings of this package, each once."""
    collector, logger = _Collector(), logging.getLogger("celeriac")
    level, propagates = logger.level, logger.propagate
    # Whoever wants no warnings in the log gets none; the report has them.
    logger.propagate = logger.isEnabledFor(logging.WARNING)
    logger.setLevel(min(logger.getEffectiveLevel(), logging.WARNING))
    logger.addHandler(collector)
    try:
        yield collector.complaints
    finally:
        logger.removeHandler(collector)
        logger.setLevel(level)
        logger.propagate = propagates
