"""Rejected uploads, kept for a retry: at most a number of reports and of bytes, each with its reason."""

import hashlib
import logging
import zlib
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import LargeBinary, Text, delete, func, select, update
from sqlalchemy.orm import Mapped, defer, mapped_column

from app.audit.log import Actor, record_entry
from app.core.db.orm import Instant, Json, Model, Recorded, RowId, db, writing
from app.core.errors import Refused, dump_refusal
from app.reports.parser import StoredBody


class RejectedReport(Model):
    """A rejected upload with the reason.

    `body` is compressed; `keep_rejected` bounds the table.
    """

    __tablename__ = "rejected_reports"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    received_at: Mapped[datetime] = mapped_column(Instant, index=True)
    ip_address: Mapped[str] = mapped_column(Recorded(64))
    content_type: Mapped[str] = mapped_column(Text, default="")
    status_code: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    # The reason as `dump_refusal` writes it; NULL in older rows.
    reason_details: Mapped[dict[str, Any] | None] = mapped_column(Json)
    size_bytes: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    # SHA-256 of the body as sent: Duplicati sends a rejected report up to three times more.
    digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    attempts: Mapped[int] = mapped_column(default=1, server_default="1")
    replayed_at: Mapped[datetime | None] = mapped_column(Instant)


log = logging.getLogger(__name__)

REPORTS_KEPT = 200
LONGEST_REASON = 2000
BYTES_KEPT = 64 * 1024 * 1024
# Duplicati repeats an attempt within seconds; the same text much later is another event.
RETRIED_WITHIN = timedelta(days=1)


def keep_rejected(kept: StoredBody, error: Refused, *, sent: bytes, ip_address: str | None, now: datetime) -> None:
    """Store a rejected upload with its reason; drop the oldest over the limits.

    `sent` is the body as received: Duplicati repeats a rejected report three times, and one copy is stored.
    """
    digest = hashlib.sha256(sent).digest()
    if _count_attempt(digest, now):
        return
    with writing() as session:
        session.add(
            RejectedReport(
                received_at=now,
                ip_address=ip_address or "",
                content_type=kept.content_type[:200],
                status_code=error.status,
                reason=error.message[:LONGEST_REASON],
                reason_details=dump_refusal(error) if len(error.message) <= LONGEST_REASON else None,
                size_bytes=kept.size_bytes,
                body=kept.packed,
                digest=digest,
            )
        )
        session.flush()
        newest = select(RejectedReport.id).order_by(RejectedReport.id.desc())
        session.execute(delete(RejectedReport).where(RejectedReport.id.not_in(newest.limit(REPORTS_KEPT))))
        sizes = session.execute(
            select(RejectedReport.id, func.length(RejectedReport.body)).order_by(RejectedReport.id.desc())
        )
        kept_bytes, outgrown = 0, []
        for report_id, size in sizes:
            kept_bytes += size
            if kept_bytes > BYTES_KEPT:
                outgrown.append(report_id)
        if outgrown:
            session.execute(delete(RejectedReport).where(RejectedReport.id.in_(outgrown)))
    log.warning("rejected a report from %s: %s", ip_address, error.message)


def _count_attempt(digest: bytes, now: datetime) -> bool:
    """Count a repeated rejected upload; False if it is not stored or was long ago."""
    with writing() as session:
        query = select(RejectedReport.id).where(
            RejectedReport.digest == digest,
            RejectedReport.replayed_at.is_(None),
            RejectedReport.received_at > now - RETRIED_WITHIN,
        )
        report_id = session.scalar(query.order_by(RejectedReport.id.desc()).limit(1))
        if report_id is None:
            return False
        counted = update(RejectedReport).where(RejectedReport.id == report_id)
        session.execute(counted.values(attempts=RejectedReport.attempts + 1))
    return True


def list_rejected() -> list[RejectedReport]:
    """Return the rejected uploads, newest first; bodies are loaded on access."""
    newest_first = select(RejectedReport).order_by(RejectedReport.id.desc())
    return list(db.session.scalars(newest_first.options(defer(RejectedReport.body))))


def find_rejected(report_id: int) -> RejectedReport:
    """Return one rejected upload. Raise Refused (404)."""
    report = db.session.get(RejectedReport, report_id)
    if report is None:
        raise Refused("rejected_report_not_found")
    return report


def body_of(report: RejectedReport) -> bytes:
    """Return the decoded body without destination URLs.

    Empty if it could not be decoded.
    """
    return zlib.decompress(report.body)


def delete_rejected(report_id: int, *, actor: Actor, now: datetime) -> None:
    """Delete a rejected upload. Raise Refused (404)."""
    with writing() as session:
        report = find_rejected(report_id)
        audit_rejected("rejected_report_deleted", report, actor=actor, now=now)
        session.delete(report)


def audit_rejected(action: str, report: RejectedReport, *, actor: Actor, now: datetime) -> None:
    """Record an action on a rejected upload in the audit log."""
    target = {"target_type": "rejected_report", "target_id": str(report.id)}
    record_entry(action, "backup", now=now, actor=actor, details={"reason": report.reason}, **target)
