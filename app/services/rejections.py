"""Refused uploads: kept with the reason, within bounds, so that a person can look and replay."""

import hashlib
import logging
import zlib
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import defer

from app.contracts.errors import AppError, NotFound
from app.domain.report_reading import KeptBody
from app.extensions import db
from app.models import RejectedReport
from app.services.audit import Actor, record_entry
from app.services.transaction import writing

log = logging.getLogger(__name__)

REPORTS_KEPT = 200
BYTES_KEPT = 64 * 1024 * 1024
# Attempts of Duplicati are seconds apart; the same text much later is another event.
RETRIED_WITHIN = timedelta(days=1)


def keep_rejected(kept: KeptBody, error: AppError, *, sent: bytes, ip_address: str | None, now: datetime) -> None:
    """Store a rejected upload with its reason, and drop the oldest ones over the bounds.

    `sent` is the body as it came: Duplicati tries a rejected report three times more, and one copy is kept.
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
                reason=error.message[:2000],
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
    """Note that a rejected upload came again; False when it is not kept yet, or its last attempt is long ago."""
    with writing() as session:
        kept = select(RejectedReport.id).where(
            RejectedReport.digest == digest,
            RejectedReport.replayed_at.is_(None),
            RejectedReport.received_at > now - RETRIED_WITHIN,
        )
        report_id = session.scalar(kept.order_by(RejectedReport.id.desc()).limit(1))
        if report_id is None:
            return False
        counted = update(RejectedReport).where(RejectedReport.id == report_id)
        session.execute(counted.values(attempts=RejectedReport.attempts + 1))
    return True


def open_body(rejected: RejectedReport) -> bytes:
    """The text that was sent, but for the address of its destination."""
    return zlib.decompress(rejected.body)


def list_rejected() -> list[RejectedReport]:
    """What is kept, newest first; bodies are read when they are asked for."""
    newest_first = select(RejectedReport).order_by(RejectedReport.id.desc())
    return list(db.session.scalars(newest_first.options(defer(RejectedReport.body))))


def find_rejected(report_id: int) -> RejectedReport:
    """One refused upload. Raises NotFound."""
    report = db.session.get(RejectedReport, report_id)
    if report is None:
        raise NotFound("Rejected report not found")
    return report


def body_of(report: RejectedReport) -> bytes:
    """What was sent, opened, without the addresses of destinations; empty when it could not be opened."""
    return zlib.decompress(report.body)


def delete_rejected(report_id: int, *, actor: Actor, now: datetime) -> None:
    """Forget a refused upload. Raises NotFound."""
    with writing() as session:
        report = find_rejected(report_id)
        audit_rejected("rejected_report_deleted", report, actor=actor, now=now)
        session.delete(report)


def audit_rejected(action: str, report: RejectedReport, *, actor: Actor, now: datetime) -> None:
    """Write down what a person did with a refused upload."""
    place = {"target_type": "rejected_report", "target_id": str(report.id)}
    record_entry(action, "backup", now=now, actor=actor, details={"reason": report.reason}, **place)
