"""The door for reports: opens what was sent, reads it once, and hands it on; what is refused is kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from app.contracts.errors import AppError
from app.domain.envelopes import is_packed, open_envelope
from app.domain.reports import Report, parse_report
from app.services import configuration, deployment
from app.services.audit import Actor, record_entry
from app.services.ingest import DuplicateReport, ingest_report
from app.services.rejections import audit_rejected, body_of, find_rejected, keep_rejected
from app.services.transaction import without_writers, writing

MIB = 1024 * 1024
# The bounds that the environment has too.
LEAST_MIB, MOST_MIB = 1, 1024
LONGEST_URL = 500


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
    # What is packed cannot be searched for the address of a destination, which may hold a password: it is not kept.
    kept, kept_type = b"" if is_packed(body, content_encoding) else body, content_type
    try:
        text = open_envelope(body, content_type, content_encoding, max_upload_bytes())
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
    body, limit = body_of(rejected), max_upload_bytes()
    if not body:
        raise AppError("The body of this upload could not be opened, so it was not kept")
    report = _read(open_envelope(body, rejected.content_type, "", limit), received_at=rejected.received_at)
    with writing():
        run_id = ingest_report(report, now=now, actor=actor)
        rejected.replayed_at = now
        audit_rejected("rejected_report_replayed", rejected, actor=actor, now=now)
    return run_id


@dataclass(frozen=True, slots=True)
class ReceptionSettings:
    """How uploads are taken, and where this installation says that it is found."""

    keeps_other_operations: bool
    max_upload_bytes: int
    max_upload_mib: int | None
    public_url: str


def describe() -> ReceptionSettings:
    """The settings as they stand; `max_upload_mib` is None where the environment decides."""
    return ReceptionSettings(
        keeps_other_operations=keeps_other_operations(),
        max_upload_bytes=max_upload_bytes(),
        max_upload_mib=configuration.get("upload_max_mib"),
        public_url=configuration.get("public_url"),
    )


def change(wanted: Mapping[str, Any], *, actor: Actor, now: datetime) -> None:
    """Change those fields of `ReceptionSettings` that are named and differ, or none of them. Raises AppError."""
    before = describe()
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
    return bool(configuration.get("keeps_other_operations"))


def keep_other_operations(is_kept: bool, *, actor: Actor, now: datetime) -> None:
    """Choose whether reports of operations other than backups are taken."""
    with writing():
        configuration.put("keeps_other_operations", is_kept, now=now)
        place = {"target_type": "configuration", "target_id": "keeps_other_operations"}
        record_entry("other_operations_updated", "config", now=now, actor=actor, details={"kept": is_kept}, **place)


def max_upload_bytes() -> int:
    """How large an upload may be, packed and opened: as chosen, else as the environment says."""
    chosen: int | None = configuration.get("upload_max_mib")
    return deployment.settings().max_upload_bytes if chosen is None else chosen * MIB


def limit_uploads(most_mib: int | None, *, actor: Actor, now: datetime) -> None:
    """Choose how large an upload may be; None goes back to what the environment says. Raises AppError."""
    if most_mib is not None and not LEAST_MIB <= most_mib <= MOST_MIB:
        raise AppError(f"maxUploadMib: expected a whole number from {LEAST_MIB} to {MOST_MIB}")
    with writing():
        configuration.put("upload_max_mib", most_mib, now=now)
        place = {"target_type": "configuration", "target_id": "upload_max_mib"}
        record_entry("upload_limit_updated", "config", now=now, actor=actor, details={"mib": most_mib}, **place)


def name_public_url(url: str, *, actor: Actor, now: datetime) -> None:
    """Say under which address people and machines find this installation; blank for none. Raises AppError."""
    url = url.strip().rstrip("/")
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise AppError("publicUrl: expected an address that begins with http:// or https://, without ? and #")
    if parts.username or parts.password or len(url) > LONGEST_URL:
        raise AppError("publicUrl: expected an address without a user's name, of 500 characters at most")
    with writing():
        configuration.put("public_url", url, now=now)
        place = {"target_type": "configuration", "target_id": "public_url"}
        record_entry("public_url_updated", "config", now=now, actor=actor, details={"url": url}, **place)


def _read(text: str | bytes, *, received_at: datetime) -> Report:
    zone = deployment.settings().zone
    return parse_report(
        text, received_at=received_at, zone=zone, keeps_other_operations=keeps_other_operations()
    ).filed()
