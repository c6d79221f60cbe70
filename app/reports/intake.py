"""Receive uploads, keep rejected ones for a retry, and the settings for uploads."""

import hashlib
import logging
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields
from sqlalchemy import LargeBinary, Text, delete, func, select, update
from sqlalchemy.orm import Mapped, defer, mapped_column

from app import runtime
from app.audit.log import Actor, record_entry
from app.core.db.extensions import Model, db
from app.core.db.transaction import writing
from app.core.db.types import Instant, Recorded, RowId
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, declare
from app.plugin.marking import N_
from app.reports import reading
from app.reports.decoding import is_packed, unpack
from app.reports.ingest import ingest_report
from app.reports.reading import Posted, StoredBody, Unusable, compress_body
from app.reports.report import NotStored, Report

LEAST_MIB, MOST_MIB = 1, 1024
LONGEST_URL = 500


def check_public_url(url: str) -> None:
    """Reject an invalid URL and one with credentials; blank is valid.

    Raise ValidationError.
    """
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise ValidationError("expected a URL that starts with http:// or https://") from error
    if url and (parts.scheme not in ("http", "https") or not has_host or parts.query or parts.fragment):
        raise ValidationError("expected a URL that starts with http:// or https://, without ? and #")
    if parts.username or parts.password or len(url) > LONGEST_URL:
        raise ValidationError(f"expected a URL without a username, at most {LONGEST_URL} characters")


OTHER_OPERATIONS = declare(
    Setting(
        "keeps_other_operations",
        bool,
        default=False,
        wire="keepsOtherOperations",
        label=N_("Accept other operations"),
        help=N_("Store restores, tests and compactions as separate jobs. Otherwise they are rejected."),
    )
)
PUBLIC_URL = declare(
    Setting(
        "public_url",
        str,
        default="",
        shape=fields.String(validate=check_public_url),
        wire="publicUrl",
        label=N_("Public URL"),
        help=N_("Used in notifications and setup instructions."),
    )
)
# None: as the environment says.
UPLOAD_MAX_MIB = declare(
    Setting(
        "upload_max_mib",
        int,
        default=None,
        minimum=LEAST_MIB,
        maximum=MOST_MIB,
        wire="maxUploadMib",
        attribute="max_upload_mib",
        label=N_("Maximum report size, in MiB"),
    )
)


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
    size_bytes: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    # SHA-256 of the body as sent: Duplicati sends a rejected report up to three times more.
    digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    attempts: Mapped[int] = mapped_column(default=1, server_default="1")
    replayed_at: Mapped[datetime | None] = mapped_column(Instant)


# Rejected reports

log = logging.getLogger(__name__)

REPORTS_KEPT = 200
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


# Receiving an upload

MIB = 1024 * 1024


@dataclass
class KnownLimit:
    """The maximum size of a report when it was last read; None before."""

    most_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """Result of an accepted upload: the stored run's id, or why nothing was stored."""

    run_id: str | None = None
    reason: str = ""


def receive_report(
    body: bytes, *, content_type: str = "", content_encoding: str = "", now: datetime, actor: Actor
) -> Received:
    """Decode, parse and store one upload.

    What Duplicati sends by design is accepted: any status from 400 on makes it try three times more and adds warnings
    to the user's job. Raises InvalidReport or another Refused for unusable content, after storing its text as
    rejected, and DuplicateReport.
    """
    try:
        found = _read(unpack(body, content_encoding, max_upload_bytes()), content_type, received_at=now)
    except Refused as error:
        # Compressed content cannot be searched for destination URLs, which may hold a password.
        kept = b"" if is_packed(body, content_encoding) else body
        found = Unusable(error, compress_body(kept, content_type))
    if isinstance(found, Unusable):
        keep_rejected(found.kept, found.error, sent=body, ip_address=actor.ip_address, now=now)
        raise found.error
    return _store(found, now=now, actor=actor)


def _store(report: Report | NotStored, *, now: datetime, actor: Actor, received_at: datetime | None = None) -> Received:
    if isinstance(report, NotStored):
        return Received(reason=report.reason)
    run_id = ingest_report(report, now=now, actor=actor, received_at=received_at)
    if run_id is None:
        return Received(reason="This run is stored already; it was sent in another format before")
    return Received(run_id)


def replay_rejected(report_id: int, *, actor: Actor, now: datetime) -> Received:
    """Retry a rejected upload with the current rules.

    Raises Refused (404), DuplicateReport, and Refused for what is still unusable.
    """
    rejected = find_rejected(report_id)
    body, limit = body_of(rejected), max_upload_bytes()
    if not body:
        raise Refused("rejected_report_not_stored")
    found = _read(unpack(body, "", limit), rejected.content_type, received_at=rejected.received_at)
    if isinstance(found, Unusable):
        raise found.error
    with writing():
        received = _store(found, now=now, actor=actor, received_at=rejected.received_at)
        rejected.replayed_at = now
        audit_rejected("rejected_report_replayed", rejected, actor=actor, now=now)
    return received


@dataclass(frozen=True, slots=True)
class ReceptionSettings:
    """Settings for uploads, and the public URL of this installation."""

    keeps_other_operations: bool
    max_upload_bytes: int
    max_upload_mib: int | None
    public_url: str


def describe_settings() -> ReceptionSettings:
    """Return the current settings.

    `max_upload_mib` is None if the environment decides.
    """
    return ReceptionSettings(
        keeps_other_operations=keeps_other_operations(),
        max_upload_bytes=max_upload_bytes(),
        max_upload_mib=settings_store.get("upload_max_mib"),
        public_url=settings_store.get("public_url"),
    )


def change_settings(wanted: Mapping[str, Any], *, actor: Actor, now: datetime) -> None:
    """Change the given fields of `ReceptionSettings`, all or none. Raise Refused."""
    before = describe_settings()
    verbs: dict[str, Callable[..., None]] = {
        "keeps_other_operations": keep_other_operations,
        "max_upload_mib": limit_uploads,
        "public_url": name_public_url,
    }
    with writing():
        for name, verb in verbs.items():
            if name in wanted and wanted[name] != getattr(before, name):
                verb(wanted[name], actor=actor, now=now)


def keeps_other_operations() -> bool:
    """Return whether reports of operations other than backups are stored."""
    return bool(settings_store.get("keeps_other_operations"))


def keep_other_operations(is_kept: bool, *, actor: Actor, now: datetime) -> None:
    """Set whether reports of operations other than backups are stored."""
    with writing():
        settings_store.save("keeps_other_operations", is_kept, now=now)
        target = {"target_type": "configuration", "target_id": "keeps_other_operations"}
        record_entry("other_operations_updated", "config", now=now, actor=actor, details={"kept": is_kept}, **target)


def max_upload_bytes() -> int:
    """Return the maximum size of an upload, compressed or not.

    Default from the environment.
    """
    chosen: int | None = settings_store.get("upload_max_mib")
    found = runtime.settings().max_upload_bytes if chosen is None else chosen * MIB
    runtime.part(KnownLimit).most_bytes = found
    return found


def most_body_bytes() -> int:
    """Return the maximum size of a request body with an upload.

    Does not query the database.

    One byte more than an upload: Werkzeug cuts chunked bodies at the limit, so that a longer one can only be detected
    by that byte.
    """
    known = runtime.part(KnownLimit).most_bytes
    return (runtime.settings().max_upload_bytes if known is None else known) + 1


def limit_uploads(most_mib: int | None, *, actor: Actor, now: datetime) -> None:
    """Set the maximum upload size; None restores the environment's. Raise Refused."""
    if most_mib is not None and not LEAST_MIB <= most_mib <= MOST_MIB:
        raise Refused("upload_limit_range", "max_upload_mib", least=LEAST_MIB, most=MOST_MIB)
    with writing():
        settings_store.save("upload_max_mib", most_mib, now=now)
        target = {"target_type": "configuration", "target_id": "upload_max_mib"}
        record_entry("upload_limit_updated", "config", now=now, actor=actor, details={"mib": most_mib}, **target)


def name_public_url(url: str, *, actor: Actor, now: datetime) -> None:
    """Set the public URL of this installation; "" removes it. Raise Refused."""
    url = url.strip().rstrip("/")
    try:
        check_public_url(url)
    except ValidationError as error:
        raise Refused("public_url_invalid", "public_url", reason=error.messages[0]) from error
    with writing():
        settings_store.save("public_url", url, now=now)
        target = {"target_type": "configuration", "target_id": "public_url"}
        record_entry("public_url_updated", "config", now=now, actor=actor, details={"url": url}, **target)


def _read(content: bytes, content_type: str, *, received_at: datetime) -> reading.Read:
    zone = runtime.settings().zone
    return reading.read_body(Posted(content, content_type, received_at, zone, keeps_other_operations()))
