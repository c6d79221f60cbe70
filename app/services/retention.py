"""What is thrown away when it is old enough."""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select

from app.extensions import db
from app.models import AuditEntry
from app.services import configuration
from app.services.audit import SYSTEM, Actor, record_entry
from app.services.transaction import writing


def audit_retention_days() -> int:
    """How many days the audit log reaches back."""
    return int(configuration.get("audit_retention_days"))


def count_old_audit_entries(days: int, now: datetime) -> int:
    """How many entries a clean-up would delete."""
    return db.session.scalar(select(func.count()).where(AuditEntry.at < now - timedelta(days=days))) or 0


def oldest_audit_entry_at() -> datetime | None:
    """When the audit log begins; None when it is empty."""
    return db.session.scalar(select(func.min(AuditEntry.at)))


def save_audit_retention(days: int, *, actor: Actor, now: datetime) -> None:
    """Store how many days the audit log reaches back; the next clean-up goes by it."""
    with writing():
        details = {"oldValue": str(audit_retention_days()), "newValue": str(days)}
        configuration.put("audit_retention_days", days, now=now)
        record_entry(
            "audit_retention_updated",
            "config",
            now=now,
            actor=actor,
            target_type="configuration",
            target_id="audit_retention_days",
            details=details,
        )


def purge_audit_log(days: int, *, now: datetime, actor: Actor = SYSTEM) -> int:
    """Delete audit entries older than a number of days, and record that; returns how many."""
    with writing() as session:
        old = delete(AuditEntry.__table__).where(AuditEntry.__table__.c.at < now - timedelta(days=days))
        count = session.connection().execute(old).rowcount
        details = {"retentionDays": days, "deletedCount": count}
        record_entry("audit_cleanup", "system", now=now, actor=actor, details=details)
    return count
