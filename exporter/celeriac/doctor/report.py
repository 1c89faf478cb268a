"""The report: in words for a terminal, the worst first; or as JSON with names that stay."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import celery
import click

from celeriac import __version__
from celeriac.doctor.evidence import Evidence
from celeriac.doctor.findings import Diagnosis, Finding, NotExamined, Severity
from celeriac.doctor.unexamined import Unexamined
from celeriac.doctor.words import listed, several, span

WIDTH = 100
_COLOURS = {Severity.PROBLEM: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_WORD_WIDTH = 9


def as_text(diagnosis: Diagnosis, evidence: Evidence) -> str:
    """Return the report with ANSI colours, which ``click.echo`` takes out where none belong."""
    found = [finding for finding in diagnosis.findings if finding.severity is not Severity.OK]
    parts = [
        _headline(evidence),
        *(_finding(finding) for finding in found),
        _in_order(diagnosis),
        _not_examined(diagnosis),
        _summary(diagnosis),
    ]
    return "\n\n".join(filter(None, parts))


def _headline(evidence: Evidence) -> str:
    cluster = evidence.cluster
    if isinstance(cluster, Unexamined):
        return click.style(evidence.asked.broker, bold=True)
    listened = f"listened for {span(cluster.listened_seconds)}"
    found = f"{several(len(cluster.up), 'worker')} up"
    return f"{click.style(evidence.asked.broker, bold=True)}: {listened}, {found}"


def _finding(finding: Finding) -> str:
    word = finding.severity.word.upper().ljust(_WORD_WIDTH)
    title = textwrap.wrap(f"{finding.title}  [{finding.code}]", WIDTH - _WORD_WIDTH)
    first = click.style(word, fg=_COLOURS[finding.severity], bold=True)
    lines = [first + title[0], *_indented(title[1:])]
    for evidence in finding.evidence:
        lines += _bullet("- ", evidence)
    return "\n".join(lines + _bullet("→ ", finding.remedy))


def _bullet(mark: str, text: str) -> list[str]:
    wrapped = textwrap.wrap(
        text, WIDTH - _WORD_WIDTH, initial_indent=mark, subsequent_indent="  ", **_AS_WRITTEN
    )
    return _indented(wrapped)


# What is there to be copied is not broken at its hyphens.
_AS_WRITTEN: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def _indented(lines: list[str]) -> list[str]:
    return [" " * _WORD_WIDTH + line for line in lines]


def _in_order(diagnosis: Diagnosis) -> str:
    """Return one paragraph about everything that is well."""
    well = [finding.title for finding in diagnosis.findings if finding.severity is Severity.OK]
    return _paragraph("In order: ", "; ".join(well) + ".") if well else ""


def _not_examined(diagnosis: Diagnosis) -> str:
    return "\n".join(_not_examined_lines(diagnosis.not_examined))


def _not_examined_lines(parts: tuple[NotExamined, ...]) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for part in parts:
        by_reason.setdefault(part.reason, []).append(part.look)
    for reason, looks in by_reason.items():
        yield _paragraph("Not examined: ", f"{listed(looks, len(looks))} ({reason}).")


def _paragraph(title: str, text: str) -> str:
    return textwrap.fill(title + text, WIDTH, **_AS_WRITTEN)


def _summary(diagnosis: Diagnosis) -> str:
    problems, warnings, notes, well = (
        diagnosis.count(severity)
        for severity in (Severity.PROBLEM, Severity.WARNING, Severity.NOTE, Severity.OK)
    )
    counts = f"{several(well, 'check')} in order, {several(notes, 'note')}"
    if not problems and not warnings:
        return click.style(f"Healthy: {counts}.", fg="green", bold=True)
    return f"{several(problems, 'problem')}, {several(warnings, 'warning')}; {counts}."


def as_json(diagnosis: Diagnosis, evidence: Evidence) -> str:
    """Return the report for programs; a later version may add fields, and takes none away."""
    report = {
        "summary": {
            "healthy": diagnosis.exit_code == 0,
            "worst": diagnosis.worst.word,
            "exit_code": diagnosis.exit_code,
            "broker": evidence.asked.broker,
            "workers": _workers(evidence),
        }
        | {severity.word: diagnosis.count(severity) for severity in Severity},
        "findings": [_as_object(finding) for finding in diagnosis.findings],
        "not_examined": [
            {"part": part.look, "reason": part.reason, "codes": list(part.codes)}
            for part in diagnosis.not_examined
        ],
        "versions": {"celeriac": __version__, "celery": celery.__version__},
    }
    return json.dumps(report, indent=2, ensure_ascii=False)


def _workers(evidence: Evidence) -> list[str] | None:
    cluster = evidence.cluster
    if isinstance(cluster, Unexamined):
        return None
    return sorted(worker.worker for worker in cluster.up)


def _as_object(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity.word,
        "title": finding.title,
        "evidence": list(finding.evidence),
        "remedy": finding.remedy,
    }
