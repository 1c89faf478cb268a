"""Recordings are shared while they are fresh."""

from __future__ import annotations

import os
import time
from pathlib import Path

from bench.load import Load, Shape
from bench.publisher import recorded
from bench.recording import Recording, recording

SHAPE = Shape(workers=2, tasks=2, queues=2, executions=30)


def test_a_recording_holds_its_load(tmp_path: Path) -> None:
    made = recording(SHAPE, "redis", tmp_path)
    load = Load(SHAPE)
    assert sum(message.events for message in load) == made.events
    assert made.by_type == load.truth.by_type
    assert sum(chunk.events for chunk in recorded(made.path)) == made.events


def test_a_fresh_recording_is_used_again(tmp_path: Path) -> None:
    first = recording(SHAPE, "redis", tmp_path)
    written = first.path.stat().st_mtime_ns
    again = recording(SHAPE, "redis", tmp_path)
    assert again == first
    assert again.path.stat().st_mtime_ns == written


def test_an_old_recording_is_made_again(tmp_path: Path) -> None:
    old = recording(SHAPE, "amqp", tmp_path)
    hour_ago = time.time() - 3600
    os.utime(old.path.with_suffix(".json"), (hour_ago, hour_ago))
    old.path.write_bytes(b"")
    assert size(recording(SHAPE, "amqp", tmp_path)) > 0


def test_another_load_is_another_recording(tmp_path: Path) -> None:
    paths = {recording(SHAPE, protocol, tmp_path).path for protocol in ("redis", "amqp")}
    assert len(paths) == 2


def size(made: Recording) -> int:
    return made.path.stat().st_size
