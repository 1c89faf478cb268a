"""The table of the drills."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from drills.drill import Drill

PAGE = Path(__file__).resolve().parents[3] / "docs" / "drills.md"
HEAD = "| fault | told | after | held back | resolved after |\n|---|---|---|---|---|\n"


@dataclass(frozen=True)
class Result:
    """What one drill took, in seconds."""

    drill: Drill
    told: set[str]
    told_after: float
    held_back: set[str]
    resolved_after: float

    def row(self) -> str:
        told = ", ".join([self.drill.tells, *sorted(self.told - {self.drill.tells})])
        held_back = ", ".join(sorted(self.held_back)) or "nothing"
        times = f"{self.told_after:.0f} s", f"{self.resolved_after:.0f} s"
        return f"| {self.drill.fault} | {told} | {times[0]} | {held_back} | {times[1]} |\n"


@dataclass
class Results:
    """All that were run."""

    rows: list[str] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.rows.append(result.row())

    def write(self) -> None:
        """Put the table in the place of the old one, if that is asked for."""
        if os.environ.get("RENEW_DRILLS"):
            before, _, _ = PAGE.read_text(encoding="utf-8").partition(HEAD)
            PAGE.write_text(before + HEAD + "".join(self.rows), encoding="utf-8")
