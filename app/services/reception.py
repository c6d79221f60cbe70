"""The door for reports: opens what was sent, reads it once, and hands it on; what is refused is kept."""

from datetime import datetime

from app.contracts.errors import AppError
from app.domain.envelopes import is_packed, open_envelope
from app.domain.reports import Report, parse_report
from app.services import configuration, deployment
from app.services.audit import Actor, record_entry
from app.services.ingest import DuplicateReport, ingest_report
from app.services.rejections import audit_rejected, body_of, find_rejected, keep_rejected
from app.services.transaction import without_writers, writing


def receive_report(
    body: bytes, *, content_type: str = "", content_encoding: str = "", now: datetime, actor: Actor
) -> str:
    """Take one upload; returns the id of the stored run.

    Raises InvalidReport or another AppError for what cannot be used, after keeping its text, and DuplicateReport.
    Threads take turns for the whole of it, reading included: those that read meanwhile would take the interpreter's
    lock from the one that writes at each of its statements, which cost a quarter of the rate with eight senders.
    """
    with without_writers():
        return _receive(body, content_type, content_encoding, now, actor)


def _receive(body: bytes, content_type: str, content_encoding: str, now: datetime, actor: Actor) -> str:
    settings = deployment.settings()
    # What is packed cannot be searched for the address of a destination, which may hold a password: it is not kept.
    kept, kept_type = b"" if is_packed(body, content_encoding) else body, content_type
    try:
        text = open_envelope(body, content_type, content_encoding, settings.max_upload_bytes)
        opened = text.encode("utf-8", "replace") if isinstance(text, str) else text
        if opened != body:
            kept, kept_type = opened, "text/plain"
        return ingest_report(_read(text, received_at=now), now=now, actor=actor)
    except DuplicateReport:
        raise
    except AppError as error:
        keep_rejected(
            kept,
            reason=error.message,
            status_code=error.status,
            content_type=kept_type,
            ip_address=actor.ip_address,
            now=now,
        )
        raise


def replay_rejected(report_id: int, *, actor: Actor, now: datetime) -> str:
    """Take a refused upload in by the rules of today; returns the id of the stored run.

    Raises NotFound, AppError for what still cannot be used, and DuplicateReport.
    """
    rejected = find_rejected(report_id)
    body, limit = body_of(rejected), deployment.settings().max_upload_bytes
    if not body:
        raise AppError("The body of this upload could not be opened, so it was not kept")
    report = _read(open_envelope(body, rejected.content_type, "", limit), received_at=rejected.received_at)
    with writing():
        run_id = ingest_report(report, now=now, actor=actor)
        rejected.replayed_at = now
        audit_rejected("rejected_report_replayed", rejected, actor=actor, now=now)
    return run_id


def keeps_other_operations() -> bool:
    """Whether reports of operations other than backups are taken."""
    return bool(configuration.get("keeps_other_operations"))


def keep_other_operations(is_kept: bool, *, actor: Actor, now: datetime) -> None:
    """Choose whether reports of operations other than backups are taken."""
    with writing():
        configuration.put("keeps_other_operations", is_kept, now=now)
        place = {"target_type": "configuration", "target_id": "keeps_other_operations"}
        record_entry("other_operations_updated", "config", now=now, actor=actor, details={"kept": is_kept}, **place)


def _read(text: str | bytes, *, received_at: datetime) -> Report:
    zone = deployment.settings().zone
    return parse_report(
        text, received_at=received_at, zone=zone, keeps_other_operations=keeps_other_operations()
    ).filed()
