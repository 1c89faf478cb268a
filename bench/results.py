"""The figures of a run as a file: one line about the machine, then one for each figure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from bench.figures import Figure


@dataclass
class Results:
    """Everything that was measured so far, and on what."""

    about: dict[str, Any]
    figures: list[Figure] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write all of it as JSON lines."""
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [self.about, *map(asdict, self.figures)]
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return what ``write`` wrote."""
        about, *figures = map(json.loads, path.read_text().splitlines())
        return cls(about, [Figure(**figure) for figure in figures])
