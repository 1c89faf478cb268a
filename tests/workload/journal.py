"""What the workers of a workload did, told by the tasks themselves and not by events."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Entry(NamedTuple):
    """One line: ``running`` (a task that waits to be killed), ``ended`` or ``revoked``."""

    word: str
    task_id: str


def write_entry(path: str, word: str, task_id: str) -> None:
    """Append one line; whole, whoever else writes at the same time."""
    journal = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(journal, f"{word} {task_id}\n".encode())
    finally:
        os.close(journal)


@dataclass
class Journal:
    """The reader's side: every line once, in the order in which they were written."""

    path: Path
    _offset: int = field(default=0, init=False)

    def read_new(self) -> list[Entry]:
        """Return the lines written since the last call."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as journal:
            journal.seek(self._offset)
            text = journal.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [Entry(*line.split()) for line in whole.decode().splitlines()]
