"""What holds for all unit tests: no log handler outlives its test, and a random test repeats."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True, database=None)
settings.register_profile("search", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


@pytest.fixture(autouse=True)
def _same_logging_after_as_before() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    others = {
        name: logging.getLogger(name).level for name in ("amqp", "kombu", "celery", "urllib3")
    }
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    for name, before in others.items():
        logging.getLogger(name).setLevel(before)
