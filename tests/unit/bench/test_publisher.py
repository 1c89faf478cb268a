"""A recorded load comes back from its file as it was."""

from __future__ import annotations

from pathlib import Path

from bench.encoding import Chunk
from bench.publisher import record, recorded

CHUNKS = [Chunk(b"first\r\n\0", 3), Chunk(b"", 0), Chunk(b"x" * 100_000, 150)]


def test_chunks_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "load"
    record(CHUNKS, path)
    assert list(recorded(path)) == CHUNKS
