"""``celeriac doctor`` as its users run it: a process, its report and its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from parts.processes import inherited_environment

TIMEOUT_SECONDS = 120.0
SEVERITIES = ("ok", "note", "warning", "problem")


@dataclass(frozen=True)
class Report:
    """What the doctor printed with ``--json``."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The decoded report."""
        read: dict[str, Any] = json.loads(self.out)
        return read

    @property
    def alarming(self) -> set[str]:
        """The codes of all findings above a note."""
        findings = self.json["findings"]
        return {found["code"] for found in findings if SEVERITIES.index(found["severity"]) > 1}

    @property
    def not_examined(self) -> dict[str, str]:
        """Why there was nothing to look at, by code."""
        parts = self.json["not_examined"]
        return {code: part["reason"] for part in parts for code in part["codes"]}

    def says(self, code: str, severity: str, *culprits: str) -> None:
        """Assert that a finding has this code and severity, and names every culprit."""
        found = [one for one in self.json["findings"] if one["code"] == code]
        assert severity in {one["severity"] for one in found}, self.story(code)
        words = " ".join(_words(one) for one in found if one["severity"] == severity)
        missing = [culprit for culprit in culprits if culprit not in words]
        assert not missing, f"{missing} are not in: {words}"

    def story(self, code: str) -> str:
        """Return what a failed test needs to show."""
        found = [one for one in self.json["findings"] if one["code"] == code]
        reason = self.not_examined.get(code, "examined")
        return f"{code}: {found} ({reason})\n{self.err}"


def doctor(broker_url: str, *arguments: str, seconds: float = 4) -> Report:
    """Run it, listening for so many seconds, and return its report."""
    command = [sys.executable, "-m", "celeriac", "doctor", "--json", "--broker-url", broker_url]
    done = subprocess.run(
        [*command, "--for", str(seconds), *arguments],
        env=inherited_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Report(done.returncode, done.stdout, done.stderr)


def _words(found: dict[str, Any]) -> str:
    return " ".join((found["title"], *found["evidence"], found["remedy"]))
