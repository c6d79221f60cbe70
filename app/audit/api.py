"""API of the audit log and of the application's log files."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue
from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, pre_load, validate

from app import runtime
from app.audit import application_logs, log
from app.audit.application_logs import LogExcerpt
from app.audit.filters import FilterQuery, limited_to
from app.audit.log import AuditEntry, AuditFilter, AuditFilterValues
from app.core.db.orm import LONGEST_SEARCH
from app.core.errors import Refused
from app.core.instants import iso
from app.database import retention
from app.database.retention import AUDIT_RETENTION
from app.plugin import Access, AnyOf, ApiGroup, Content, described, guarded
from app.web.http import SOMETIMES, TEXTS, DatabaseTime, IsoInstant, Out, actor, csv_line, json_body

# Schemas of the audit log

USUAL_PAGE, LARGEST_PAGE = 50, 1000
MOST_PAGES = 10**9


class PageQuery(Schema):
    """Page of the list; `offset` overrides `page`."""

    class Meta:
        unknown = EXCLUDE

    limit = fields.String(load_default="")
    page = fields.String(load_default="")
    offset = fields.String(load_default="")

    @post_load
    def make(self, values: dict[str, str], **_options: Any) -> dict[str, int]:
        """Return limit and offset within bounds; an invalid number counts as absent."""
        limit = min(max(_number(values["limit"]) or USUAL_PAGE, 1), LARGEST_PAGE)
        page = min(max(_number(values["page"]) or 1, 1), MOST_PAGES)
        offset = _number(values["offset"])
        return {"limit": limit, "offset": (page - 1) * limit if offset is None else min(max(offset, 0), MOST_PAGES)}


class FormatQuery(Schema):
    """Format of the export."""

    format = fields.String(load_default="csv", metadata={"enum": ["csv", "json"]})


class RetentionIn(Schema):
    """Retention period in days."""

    class Meta:
        unknown = EXCLUDE

    days = fields.Integer(required=True, data_key="retentionDays")

    @pre_load
    def check(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Reject an invalid or out-of-range number, with the message of the reference."""
        days = data.get("retentionDays")
        if isinstance(days, bool) or not isinstance(days, int | float) or not days:
            raise ValidationError("retentionDays must be a number")
        return {"retentionDays": _checked_days(days)}


class CleanupIn(Schema):
    """Age of the entries to delete (default: the retention period); with `dryRun` they are only counted."""

    class Meta:
        unknown = EXCLUDE

    days = fields.Integer(data_key="retentionDays", load_default=None)
    is_dry_run = fields.Boolean(data_key="dryRun", load_default=False)

    @pre_load
    def check(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Accept digits as a number, and null as the stored retention period."""
        days = data.get("retentionDays")
        if not days:
            return {name: value for name, value in data.items() if name != "retentionDays"}
        if isinstance(days, str) and days.strip().isdecimal():
            days = int(days.strip()[:9])
        if isinstance(days, bool) or not isinstance(days, int | float):
            raise ValidationError("retentionDays must be a number")
        return {**data, "retentionDays": _checked_days(days)}


class EntryOut(Out):
    """One entry."""

    id = fields.Integer()
    at = DatabaseTime(data_key="timestamp")
    user_id = fields.String(data_key="userId", allow_none=True)
    username = fields.String(allow_none=True)
    action = fields.String()
    category = fields.String()
    target_type = fields.String(data_key="targetType", allow_none=True)
    target_id = fields.String(data_key="targetId", allow_none=True)
    details = fields.Raw(allow_none=True)
    ip_address = fields.String(data_key="ipAddress", allow_none=True)
    user_agent = fields.String(data_key="userAgent", allow_none=True)
    status = fields.String()
    error_message = fields.String(data_key="errorMessage", allow_none=True)


class WordsOut(Out):
    """Values available for the filters."""

    actions = fields.Raw(metadata=TEXTS)
    categories = fields.Raw(metadata=TEXTS)
    statuses = fields.Raw(metadata=TEXTS)


class PlaceOut(Out):
    """Position of a page in the list."""

    page = fields.Integer()
    limit = fields.Integer()
    total = fields.Integer()
    page_count = fields.Integer(data_key="totalPages")


class PageOut(Out):
    """A page of the list, and its position."""

    entries = fields.List(fields.Nested(EntryOut), data_key="logs")
    position = fields.Nested(PlaceOut, data_key="pagination")


class CleanedOut(Out):
    """How many entries were deleted, or with `dryRun` would be."""

    success = fields.Boolean(metadata=SOMETIMES)
    deleted_count = fields.Integer(data_key="deletedCount", metadata=SOMETIMES)
    is_dry_run = fields.Boolean(data_key="dryRun", metadata=SOMETIMES)
    would_delete_count = fields.Integer(data_key="wouldDeleteCount", metadata=SOMETIMES)
    cutoff_on = fields.Date(data_key="cutoffDate", metadata=SOMETIMES)
    oldest_remaining_at = DatabaseTime(data_key="oldestRemaining")
    days = fields.Integer(data_key="retentionDays")


CSV_COLUMNS = {
    "ID": "id",
    "Timestamp": "timestamp",
    "User ID": "userId",
    "Username": "username",
    "Action": "action",
    "Category": "category",
    "Target Type": "targetType",
    "Target ID": "targetId",
    "Status": "status",
    "IP Address": "ipAddress",
    "User Agent": "userAgent",
    "Details": "details",
    "Error Message": "errorMessage",
}

_entry_out, _words_out, _time = EntryOut(), WordsOut(), DatabaseTime()


def dump_page(entries: Sequence[AuditEntry], total: int, *, limit: int, offset: int) -> dict[str, Any]:
    """Return a page of the list, and its position."""
    position = {"page": offset // limit + 1, "limit": limit, "total": total, "totalPages": -(-total // limit)}
    return {"logs": dump_entries(entries), "pagination": position}


def dump_entries(entries: Sequence[AuditEntry]) -> list[dict[str, Any]]:
    """Return entries as in the list."""
    return _entry_out.dump(entries, many=True)


def dump_filter_values(words: AuditFilterValues) -> dict[str, Any]:
    """Return the values available for the filters."""
    return _words_out.dump(words)


def dump_csv(entries: Sequence[AuditEntry]) -> str:
    """Return entries as CSV, without a final newline; no cell is a formula."""
    rows = ([_cell(entry[name]) for name in CSV_COLUMNS.values()] for entry in dump_entries(entries))
    return "\n".join(csv_line(row) for row in ([*CSV_COLUMNS], *rows))


def database_time(instant: datetime | None) -> str | None:
    """Return an instant in the format of the list."""
    return _time._serialize(instant, None, None)


def _cell(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, Mapping | list) else value


def _checked_days(days: float) -> int:
    least, most = AUDIT_RETENTION.minimum or 0, AUDIT_RETENTION.maximum or 0
    if not least <= days <= most:
        raise ValidationError(f"Retention days must be between {least} and {most}")
    if days != int(days):
        raise ValidationError("retentionDays must be a whole number")
    return int(days)


def _number(text: str) -> int | None:
    """Parse a whole number; None for anything else, also for 0 and overlong numbers."""
    digits = text.strip().removeprefix("-")
    return int(text) if digits.isdecimal() and len(digits) < 10 else None


# Views of the audit log

audit_bp = Blueprint("audit", __name__, url_prefix="/audit-log")


@audit_bp.get("")
@described({200: PageOut}, query=(FilterQuery, PageQuery))
def index() -> ResponseReturnValue:
    """List matching entries, newest first, in pages."""
    wanted, part = wanted_entries(), PageQuery().load(request.args)
    entries = log.list_entries(wanted, **part)
    return dump_page(entries, log.count_entries(wanted), **part)


@audit_bp.get("/download")
@described({200: AnyOf([EntryOut], Content("text/csv"))}, query=(FilterQuery, FormatQuery))
def download() -> ResponseReturnValue:
    """Export the newest 10,000 matching entries as CSV, or as JSON with `format=json`."""
    entries = log.list_entries(wanted_entries(), limit=log.MOST_EXPORTED)
    if request.args.get("format") == "json":
        return attached(jsonify(dump_entries(entries)), "json")
    if not entries:
        raise Refused("no_logs_to_export")
    return attached(Response(dump_csv(entries), mimetype="text/csv"), "csv")


@audit_bp.get("/filters")
@described({200: WordsOut})
def filters() -> ResponseReturnValue:
    """List the actions, categories and statuses in use."""
    return dump_filter_values(log.read_filter_values(AuditFilter(own_user_id=limited_to())))


@audit_bp.get("/retention")
@described({200: {"retentionDays": fields.Integer()}})
def show_retention() -> ResponseReturnValue:
    """Get the retention period in days."""
    return {"retentionDays": retention.audit_retention_days()}


@audit_bp.patch("/retention")
@guarded(Access.ADMIN)
@described({200: {"success": fields.Boolean(), "retentionDays": fields.Integer()}}, body=RetentionIn)
def save_retention() -> ResponseReturnValue:
    """Set the retention period in days: 30 to 365."""
    days = RetentionIn().load(json_body())["days"]
    retention.save_audit_retention(days, actor=actor(), now=runtime.now())
    return {"success": True, "retentionDays": days}


@audit_bp.post("/cleanup")
@guarded(Access.ADMIN)
@described({200: CleanedOut}, body=CleanupIn, is_body_optional=True)
def cleanup() -> ResponseReturnValue:
    """Delete entries older than the given days (default: the retention period); with `dryRun` only count them."""
    wanted = CleanupIn().load(json_body(optional=True))
    days, now = wanted["days"] or retention.audit_retention_days(), runtime.now()
    if wanted["is_dry_run"]:
        count = retention.count_old_audit_entries(days, now)
        result: dict[str, Any] = {"dryRun": True, "wouldDeleteCount": count}
        result["cutoffDate"] = (now - timedelta(days=days)).date().isoformat()
    else:
        result = {"success": True, "deletedCount": retention.purge_audit_log(days, now=now, actor=actor())}
    oldest = database_time(log.oldest_remaining_at(days, now))
    return result | {"oldestRemaining": oldest, "retentionDays": days}


def wanted_entries() -> AuditFilter:
    """Return the filter of the query, limited to what the account may see."""
    return replace(FilterQuery().load(request.args), own_user_id=limited_to())


def attached(answer: Response, suffix: str) -> Response:
    """Send the response as a file with today's date in its name."""
    name = f"audit-log-{runtime.now():%Y-%m-%d}.{suffix}"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


audit_group = ApiGroup(name="audit", blueprint=audit_bp, summary="The audit log: list, export, clean-up, retention")


# Schemas of the log files

USUAL_LINES, MOST_LINES = 1000, 10_000


class TailQuery(Schema):
    """Number of lines and file name; without a file only the list of files is returned."""

    class Meta:
        unknown = EXCLUDE

    line_limit = fields.Integer(data_key="tail", load_default=USUAL_LINES, allow_none=True)
    name = fields.String(data_key="file", load_default="")

    @pre_load
    def check(self, data: Any, **_options: Any) -> dict[str, Any]:
        """Clamp the number of lines; an invalid number means the whole file."""
        text = (data.get("tail") or str(USUAL_LINES)).strip()
        is_number = text.removeprefix("-").isdecimal() and len(text) < 10
        if is_number and not 1 <= int(text) <= MOST_LINES:
            raise ValidationError("Invalid tail parameter")
        return {"tail": int(text) if is_number else None, "file": data.get("file", "")}


class ExportQuery(Schema):
    """File and filters of lines."""

    class Meta:
        unknown = EXCLUDE

    name = fields.String(data_key="file", load_default="")
    levels = fields.String(data_key="logLevels", load_default="")
    wanted = fields.String(data_key="search", load_default="", validate=validate.Length(max=LONGEST_SEARCH))

    @pre_load
    def check(self, data: Any, **_options: Any) -> Any:
        """Reject a query without a file."""
        if not data.get("file"):
            raise ValidationError("File parameter is required")
        return data


class ExcerptOut(Out):
    """The end of a file."""

    text = fields.String(data_key="logs")
    size_bytes = fields.Integer(data_key="fileSize")
    modified_at = IsoInstant(data_key="lastModified")
    line_count = fields.Integer(data_key="lineCount")
    name = fields.String(data_key="currentFile")


class LogOut(Out):
    """The end of a file and the list of files; for a missing file an error instead of time and lines."""

    text = fields.String(data_key="logs")
    size_bytes = fields.Integer(data_key="fileSize")
    modified_at = IsoInstant(data_key="lastModified", metadata=SOMETIMES)
    line_count = fields.Integer(data_key="lineCount", metadata=SOMETIMES)
    name = fields.String(data_key="currentFile", metadata=SOMETIMES)
    files = fields.List(fields.String(), data_key="availableFiles")
    error = fields.String(metadata=SOMETIMES)


_excerpt_out = ExcerptOut()


def dump_excerpt(excerpt: LogExcerpt | None, files: Sequence[str]) -> dict[str, Any]:
    """Return the end of a file, or an error if it is missing, and the list of files."""
    if excerpt is None:  # wire: a missing file is answered with 200
        return {"logs": "", "fileSize": 0, "availableFiles": list(files), "error": "Log file not found"}
    return _excerpt_out.dump(excerpt) | {"availableFiles": list(files)}


def dump_files(files: Sequence[str], now: datetime) -> dict[str, Any]:
    """Return the list of files, in the shape of an empty excerpt."""
    nothing = {"logs": "", "fileSize": 0, "lastModified": iso(now), "lineCount": 0, "currentFile": ""}
    return nothing | {"availableFiles": list(files)}


# Views of the log files

logs_bp = Blueprint("logs", __name__, url_prefix="/application-logs")


@logs_bp.get("")
@described({200: LogOut}, query=TailQuery)
def show() -> ResponseReturnValue:
    """Get the last lines of a log file, or the list of files without `file`."""
    query, files = TailQuery().load(request.args), application_logs.list_files()
    if not query["name"]:
        return dump_files(files, runtime.now())
    return dump_excerpt(application_logs.read_end(**query), files)


@logs_bp.get("/export")
@described({200: Content("text/plain")}, query=ExportQuery, errors=(500,))
def export() -> ResponseReturnValue:
    """Export matching lines of a log file as text."""
    query = ExportQuery().load(request.args)
    text = application_logs.search(query["name"], query["levels"].split(","), query["wanted"])
    answer = Response(text, mimetype="text/plain")
    name = f"duplistatus-logs-{runtime.now():%Y-%m-%dT%H-%M-%S}.txt"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


# The application's own log files

logs_group = ApiGroup(name="logs", blueprint=logs_bp, access=Access.ADMIN, summary="The application's log files")
