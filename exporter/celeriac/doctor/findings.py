"""Findings: what a check is, what it says, and what the worst of them means for the exit code."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from celeriac.doctor.evidence import Evidence
from celeriac.doctor.unexamined import Unexamined

Facts = TypeVar("Facts")


class Severity(enum.IntEnum):
    """How much a finding matters."""

    OK = 0
    NOTE = 1
    """Good to know; every number is right."""
    WARNING = 2
    """Some numbers are missing, or will be wrong."""
    PROBLEM = 3
    """The numbers cannot be trusted, or there are none."""

    @property
    def word(self) -> str:
        return self.name.lower()


# 2 is an error of use or of configuration, as for every other command.
EXIT_CODES = {Severity.OK: 0, Severity.NOTE: 0, Severity.WARNING: 1, Severity.PROBLEM: 3}


class Verdict(NamedTuple):
    """What a check concludes: in one sentence, why it thinks so, and what to do about it."""

    severity: Severity
    title: str
    evidence: tuple[str, ...]
    remedy: str


class Finding(NamedTuple):
    """A verdict under the code of its check."""

    code: str
    severity: Severity
    title: str
    evidence: tuple[str, ...] = ()
    remedy: str = ""


class NotExamined(NamedTuple):
    """The checks that had nothing to look at, and why."""

    look: str
    reason: str
    codes: tuple[str, ...]


class Diagnosis(NamedTuple):
    """All findings, the worst first, and what could not be examined."""

    findings: tuple[Finding, ...]
    not_examined: tuple[NotExamined, ...]

    @property
    def worst(self) -> Severity:
        return max((finding.severity for finding in self.findings), default=Severity.OK)

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.worst]

    def cleaned(self, clean: Callable[[str], str]) -> Diagnosis:
        """Return the same with every text cleaned of secrets, before any of it is wrapped."""
        return Diagnosis(
            tuple(
                Finding(
                    finding.code,
                    finding.severity,
                    clean(finding.title),
                    tuple(map(clean, finding.evidence)),
                    clean(finding.remedy),
                )
                for finding in self.findings
            ),
            tuple(part._replace(reason=clean(part.reason)) for part in self.not_examined),
        )

    def count(self, severity: Severity) -> int:
        return sum(finding.severity is severity for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Look(Generic[Facts]):
    """A part of the evidence, as a reader would call it."""

    name: str
    read: Callable[[Evidence], Facts | Unexamined]


@dataclass(frozen=True, slots=True)
class Check(Generic[Facts]):
    """One thing that is looked at. ``well`` is what is true if nothing is found."""

    code: str
    look: Look[Facts]
    well: str
    find: Callable[[Facts], Iterable[Verdict]]

    def findings(self, facts: Facts) -> Iterator[Finding]:
        verdicts = tuple(self.find(facts))
        if not verdicts:
            yield Finding(self.code, Severity.OK, self.well)
        for verdict in verdicts:
            yield Finding(self.code, *verdict)


def problem(title: str, *evidence: str, remedy: str) -> Verdict:
    return Verdict(Severity.PROBLEM, title, evidence, remedy)


def warning(title: str, *evidence: str, remedy: str) -> Verdict:
    return Verdict(Severity.WARNING, title, evidence, remedy)


def note(title: str, *evidence: str, remedy: str) -> Verdict:
    return Verdict(Severity.NOTE, title, evidence, remedy)


def diagnose(checks: Sequence[Check[Any]], evidence: Evidence) -> Diagnosis:
    """Run *checks*; none is left out without a word."""
    findings: list[Finding] = []
    blind: dict[tuple[str, str], list[str]] = {}
    for check in checks:
        facts = check.look.read(evidence)
        if isinstance(facts, Unexamined):
            blind.setdefault((check.look.name, facts.reason), []).append(check.code)
        else:
            findings += check.findings(facts)
    findings.sort(key=lambda finding: finding.severity, reverse=True)
    return Diagnosis(
        tuple(findings),
        tuple(NotExamined(look, reason, tuple(codes)) for (look, reason), codes in blind.items()),
    )
