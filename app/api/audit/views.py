"""Views of the audit group."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from marshmallow import fields

from app.api.audit.schemas import (
    CleanedOut,
    CleanupIn,
    EntryOut,
    FilterQuery,
    FormatQuery,
    PageOut,
    PageQuery,
    RetentionIn,
    WordsOut,
    database_time,
    dump_csv,
    dump_entries,
    dump_page,
    dump_words,
)
from app.api.client import actor, json_body, visible_server_ids
from app.contracts import (
    AnyOf,
    AppError,
    Content,
    Guard,
    described,
    guarded,
)
from app.services import audit_reading, clock, retention
from app.services.audit_reading import AuditFilter

bp = Blueprint("audit", __name__, url_prefix="/audit-log")


@bp.get("")
@described({200: PageOut}, query=(FilterQuery, PageQuery))
def index() -> ResponseReturnValue:
    """Entries that match, newest first, page by page."""
    wanted, part = wanted_entries(), PageQuery().load(request.args)
    entries = audit_reading.list_entries(wanted, **part)
    return dump_page(entries, audit_reading.count_entries(wanted), **part)


@bp.get("/download")
@described({200: AnyOf([EntryOut], Content("text/csv"))}, query=(FilterQuery, FormatQuery))
def download() -> ResponseReturnValue:
    """The newest 10,000 entries that match, as a CSV or, with `format=json`, a JSON file."""
    entries = audit_reading.list_entries(wanted_entries(), limit=audit_reading.MOST_EXPORTED)
    if request.args.get("format") == "json":
        return attached(jsonify(dump_entries(entries)), "json")
    if not entries:
        raise AppError("No logs to export")
    return attached(Response(dump_csv(entries), mimetype="text/csv"), "csv")


@bp.get("/filters")
@described({200: WordsOut})
def filters() -> ResponseReturnValue:
    """The actions, categories and statuses that occur."""
    return dump_words(audit_reading.read_words(AuditFilter(own_user_id=limited_to())))


@bp.get("/retention")
@described({200: {"retentionDays": fields.Integer()}})
def show_retention() -> ResponseReturnValue:
    """How many days the log reaches back."""
    return {"retentionDays": retention.audit_retention_days()}


@bp.patch("/retention")
@guarded(Guard.ADMIN)
@described({200: {"success": fields.Boolean(), "retentionDays": fields.Integer()}}, body=RetentionIn)
def save_retention() -> ResponseReturnValue:
    """Choose how many days the log reaches back: 30 to 365."""
    days = RetentionIn().load(json_body())["days"]
    retention.save_audit_retention(days, actor=actor(), now=clock.now())
    return {"success": True, "retentionDays": days}


@bp.post("/cleanup")
@guarded(Guard.ADMIN)
@described({200: CleanedOut}, body=CleanupIn, is_body_optional=True)
def cleanup() -> ResponseReturnValue:
    """Delete entries older than the given days, else than the setting says; with `dryRun` only count them."""
    wanted = CleanupIn().load(json_body(optional=True))
    days, now = wanted["days"] or retention.audit_retention_days(), clock.now()
    if wanted["is_dry_run"]:
        count = retention.count_old_audit_entries(days, now)
        told: dict[str, Any] = {"dryRun": True, "wouldDeleteCount": count}
        told["cutoffDate"] = (now - timedelta(days=days)).date().isoformat()
    else:
        told = {"success": True, "deletedCount": retention.purge_audit_log(days, now=now, actor=actor())}
    oldest = database_time(audit_reading.oldest_remaining_at(days, now))
    return told | {"oldestRemaining": oldest, "retentionDays": days}


def wanted_entries() -> AuditFilter:
    """What the query asks for, within what the account may see."""
    return replace(FilterQuery().load(request.args), own_user_id=limited_to())


def limited_to() -> str | None:
    """The id of an account that is limited to some servers, and so to its own deeds; None for all others."""
    return None if visible_server_ids() is None else str(current_user.id)


def attached(answer: Response, suffix: str) -> Response:
    """Have the browser save the answer under the day's name."""
    name = f"audit-log-{clock.now():%Y-%m-%d}.{suffix}"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
