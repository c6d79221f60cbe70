"""Uploads that were refused, kept for a person to look at and to replay."""

import hashlib
import logging
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from marshmallow import ValidationError
from sqlalchemy import LargeBinary, Text, delete, func, select, update
from sqlalchemy.orm import Mapped, defer, mapped_column

from app import runtime
from app.audit.log import Actor, record_entry
from app.core.db.extensions import Model, db
from app.core.db.transaction import writing
from app.core.db.types import Instant, Recorded, RowId
from app.core.settings import store as settings_store
from app.core.settings.declarations import LEAST_MIB, MOST_MIB, check_public_url
from app.plugin import AppError
from app.plugin.errors import NotFound
from app.reports import reading
from app.reports.decoding import is_packed, unpack
from app.reports.ingest import ingest_report
from app.reports.reading import KeptBody, Posted, Unusable, keep_body
from app.reports.report import NotStored, Report


class RejectedReport(Model):
    """A refused upload with the reason. `body` is compressed; the table is bounded by `services.rejections`."""

    __tablename__ = "rejected_reports"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    received_at: Mapped[datetime] = mapped_column(Instant, index=True)
    ip_address: Mapped[str] = mapped_column(Recorded(64))
    content_type: Mapped[str] = mapped_column(Text, default="")
    status_code: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    # SHA-256 of the body as it was sent: Duplicati sends a report that was rejected up to three times more.
    digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    attempts: Mapped[int] = mapped_column(default=1, server_default="1")
    replayed_at: Mapped[datetime | None] = mapped_column(Instant)


# Refused uploads: kept with the reason, within bounds, so that a person can look and replay.

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


# The door for reports: opens what was sent, reads it once, and hands it on; what is refused is kept.

MIB = 1024 * 1024
KNOWN_LIMIT = "duplistatus.upload_limit"


@dataclass(frozen=True, slots=True)
class Received:
    """What an accepted upload led to: the id of the run that was stored, or the reason why none was."""

    run_id: str | None = None
    reason: str = ""


def receive_report(
    body: bytes, *, content_type: str = "", content_encoding: str = "", now: datetime, actor: Actor
) -> Received:
    """Accept one upload.

    Whatever Duplicati sends in good faith is accepted: any answer from 400 on makes it try three times more and put
    warnings on the person's job. Raises InvalidReport or another AppError for what cannot be used, after keeping its
    text, and DuplicateReport.
    """
    try:
        found = _read(unpack(body, content_encoding, max_upload_bytes()), content_type, received_at=now)
    except AppError as error:
        # What is packed cannot be searched for the address of a destination, which may hold a password.
        kept = b"" if is_packed(body, content_encoding) else body
        found = Unusable(error, keep_body(kept, content_type))
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
    """Accept a rejected upload by the rules of today.

    Raises NotFound, AppError for what still cannot be used, and DuplicateReport.
    """
    rejected = find_rejected(report_id)
    body, limit = body_of(rejected), max_upload_bytes()
    if not body:
        raise AppError("The body of this report could not be read and was not stored")
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
    """How uploads are taken, and where this installation says that it is found."""

    keeps_other_operations: bool
    max_upload_bytes: int
    max_upload_mib: int | None
    public_url: str


def describe_settings() -> ReceptionSettings:
    """The settings as they stand; `max_upload_mib` is None where the environment decides."""
    return ReceptionSettings(
        keeps_other_operations=keeps_other_operations(),
        max_upload_bytes=max_upload_bytes(),
        max_upload_mib=settings_store.get("upload_max_mib"),
        public_url=settings_store.get("public_url"),
    )


def change_settings(wanted: Mapping[str, Any], *, actor: Actor, now: datetime) -> None:
    """Change those fields of `ReceptionSettings` that are named and differ, or none of them. Raises AppError."""
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
    """Whether reports of operations other than backups are taken."""
    return bool(settings_store.get("keeps_other_operations"))


def keep_other_operations(is_kept: bool, *, actor: Actor, now: datetime) -> None:
    """Choose whether reports of operations other than backups are taken."""
    with writing():
        settings_store.save("keeps_other_operations", is_kept, now=now)
        place = {"target_type": "configuration", "target_id": "keeps_other_operations"}
        record_entry("other_operations_updated", "config", now=now, actor=actor, details={"kept": is_kept}, **place)


def max_upload_bytes() -> int:
    """How large an upload may be, packed and opened: as chosen, else as the environment says."""
    chosen: int | None = settings_store.get("upload_max_mib")
    found = runtime.settings().max_upload_bytes if chosen is None else chosen * MIB
    current_app.extensions[KNOWN_LIMIT] = found
    return found


def most_body_bytes() -> int:
    """How large a body may be that holds an upload, as it is known in memory: asked before a request is received.

    One byte more than an upload: of a body that comes in pieces Werkzeug gives what fits, and only so does it show
    that there was more.
    """
    return int(current_app.extensions.get(KNOWN_LIMIT, runtime.settings().max_upload_bytes)) + 1


def limit_uploads(most_mib: int | None, *, actor: Actor, now: datetime) -> None:
    """Choose how large an upload may be; None goes back to what the environment says. Raises AppError."""
    if most_mib is not None and not LEAST_MIB <= most_mib <= MOST_MIB:
        raise AppError(f"maxUploadMib: expected a whole number from {LEAST_MIB} to {MOST_MIB}")
    with writing():
        settings_store.save("upload_max_mib", most_mib, now=now)
        place = {"target_type": "configuration", "target_id": "upload_max_mib"}
        record_entry("upload_limit_updated", "config", now=now, actor=actor, details={"mib": most_mib}, **place)


def name_public_url(url: str, *, actor: Actor, now: datetime) -> None:
    """Say under which address people and machines find this installation; blank for none. Raises AppError."""
    url = url.strip().rstrip("/")
    try:
        check_public_url(url)
    except ValidationError as error:
        raise AppError(f"publicUrl: {error.messages[0]}") from error
    with writing():
        settings_store.save("public_url", url, now=now)
        place = {"target_type": "configuration", "target_id": "public_url"}
        record_entry("public_url_updated", "config", now=now, actor=actor, details={"url": url}, **place)


def _read(content: bytes, content_type: str, *, received_at: datetime) -> reading.Read:
    zone = runtime.settings().zone
    return reading.read_body(Posted(content, content_type, received_at, zone, keeps_other_operations()))
