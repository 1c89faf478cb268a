"""Loads as files of bytes, ready to be published, with what they add up to."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from bench.encoding import amqp_publish, chunks, redis_publish
from bench.load import Load, Shape
from bench.publisher import record

Protocol: TypeAlias = Literal["redis", "amqp"]

_ENCODE = {"redis": redis_publish, "amqp": amqp_publish}
# Its events carry the time of the recording, and celery-exporter takes a worker whose last
# heartbeat is ten minutes old from its page, with everything that it counted for it.
_MAX_AGE_SECONDS = 180.0


@dataclass(frozen=True)
class Recording:
    """A load on disk, encoded for one kind of broker."""

    path: Path
    by_type: Counter[str]

    @property
    def events(self) -> int:
        return self.by_type.total()


def recording(shape: Shape, protocol: Protocol, folder: Path) -> Recording:
    """Return a recording of a load of this shape: from *folder* if it is fresh, else made there."""
    path = folder / f"{'-'.join(map(str, (protocol, *astuple(shape))))}.load"
    truth = path.with_suffix(".json")
    if not _is_fresh(truth):
        load = Load(shape)
        record(chunks(load, _ENCODE[protocol]), path)
        truth.write_text(json.dumps(load.truth.by_type))
    return Recording(path, Counter(json.loads(truth.read_text())))


def _is_fresh(path: Path) -> bool:
    return path.exists() and time.time() - path.stat().st_mtime < _MAX_AGE_SECONDS
