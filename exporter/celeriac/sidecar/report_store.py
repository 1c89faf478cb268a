"""Saved reports, the latest so many of them."""

from __future__ import annotations

import re

import msgspec
from sqlalchemy import Column, Float, String, Table, Text, delete, insert, select

from celeriac.sidecar.database import Database, metadata
from celeriac.sidecar.report_shapes import PerformanceReport, ReportSummary

MAX_REPORTS = 500
_REPORT_ID = re.compile(r"[0-9a-f]{32}")

REPORTS = Table(
    "reports",
    metadata,
    Column("report_id", String(32), primary_key=True),
    Column("generated_at", Float, nullable=False, index=True),
    Column("summary", Text, nullable=False),
    Column("report", Text, nullable=False),
)


class ReportStore:
    """Keeps reports as the JSON they were answered with."""

    def __init__(self, database: Database, max_reports: int = MAX_REPORTS) -> None:
        self._database = database
        self._max_reports = max_reports

    def save(self, report: PerformanceReport) -> None:
        """Keep a report in the place of the oldest one. Errors: DatabaseError."""
        latest = select(REPORTS.c.report_id).order_by(REPORTS.c.generated_at.desc())
        summary = ReportSummary(
            **{field: getattr(report, field) for field in ReportSummary.__struct_fields__}
        )
        with self._database.write() as connection:
            connection.execute(
                insert(REPORTS).values(
                    report_id=report.report_id,
                    generated_at=report.generated_at.timestamp(),
                    summary=msgspec.json.encode(summary).decode(),
                    report=msgspec.json.encode(report).decode(),
                )
            )
            kept = latest.limit(self._max_reports).subquery()
            gone = REPORTS.c.report_id.not_in(select(kept.c.report_id))
            connection.execute(delete(REPORTS).where(gone))

    def latest(self, limit: int) -> list[ReportSummary]:
        """Return the latest reports, the last one first. Errors: DatabaseError."""
        query = select(REPORTS.c.summary).order_by(REPORTS.c.generated_at.desc()).limit(limit)
        with self._database.read() as connection:
            found = connection.scalars(query).all()
        return [msgspec.json.decode(text, type=ReportSummary) for text in found]

    def find(self, report_id: str) -> PerformanceReport | None:
        """Return one report, None if there is none of that id. Errors: DatabaseError."""
        if not _REPORT_ID.fullmatch(report_id):
            return None
        query = select(REPORTS.c.report).where(REPORTS.c.report_id == report_id)
        with self._database.read() as connection:
            found = connection.scalar(query)
        return msgspec.json.decode(found, type=PerformanceReport) if found else None
