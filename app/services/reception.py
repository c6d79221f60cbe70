"""The door for reports: opens what was sent, reads it once, and hands it on; what is refused is kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import current_app
from marshmallow import ValidationError

from app.contracts.errors import AppError
from app.domain.envelopes import is_packed, unpack
from app.domain.report_reading import Posted, Unusable, keep_body
from app.domain.reports import NotStored, Report
from app.services import configuration, deployment, report_reader
from app.services.audit import Actor, record_entry
from app.services.declarations import LEAST_MIB, MOST_MIB, check_public_url
from app.services.ingest import ingest_report
from app.services.rejections import audit_rejected, body_of, find_rejected, keep_rejected
from app.services.transaction import writing

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
        raise AppError("The body of this upload could not be opened, so it was not kept")
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
        configuration.save("keeps_other_operations", is_kept, now=now)
        place = {"target_type": "configuration", "target_id": "keeps_other_operations"}
        record_entry("other_operations_updated", "config", now=now, actor=actor, details={"kept": is_kept}, **place)


def max_upload_bytes() -> int:
    """How large an upload may be, packed and opened: as chosen, else as the environment says."""
    chosen: int | None = configuration.get("upload_max_mib")
    found = deployment.settings().max_upload_bytes if chosen is None else chosen * MIB
    current_app.extensions[KNOWN_LIMIT] = found
    return found


def most_body_bytes() -> int:
    """How large a body may be that holds an upload, as it is known in memory: asked before a request is received.

    One byte more than an upload: of a body that comes in pieces Werkzeug gives what fits, and only so does it show
    that there was more.
    """
    return int(current_app.extensions.get(KNOWN_LIMIT, deployment.settings().max_upload_bytes)) + 1


def limit_uploads(most_mib: int | None, *, actor: Actor, now: datetime) -> None:
    """Choose how large an upload may be; None goes back to what the environment says. Raises AppError."""
    if most_mib is not None and not LEAST_MIB <= most_mib <= MOST_MIB:
        raise AppError(f"maxUploadMib: expected a whole number from {LEAST_MIB} to {MOST_MIB}")
    with writing():
        configuration.save("upload_max_mib", most_mib, now=now)
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
        configuration.save("public_url", url, now=now)
        place = {"target_type": "configuration", "target_id": "public_url"}
        record_entry("public_url_updated", "config", now=now, actor=actor, details={"url": url}, **place)


def _read(content: bytes, content_type: str, *, received_at: datetime) -> report_reader.Read:
    zone = deployment.settings().zone
    return report_reader.read(Posted(content, content_type, received_at, zone, keeps_other_operations()))
