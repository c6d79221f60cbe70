"""Wire forms of the audit log."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, pre_load

from app.api.wire import SOMETIMES, TEXTS, DatabaseTime, Out
from app.domain.csv_tables import csv_line
from app.models import AuditEntry
from app.services.audit_reading import AuditFilter, AuditWords

FEWEST_DAYS, MOST_DAYS = 30, 365
USUAL_PAGE, LARGEST_PAGE = 50, 1000
MOST_PAGES = 10**9


class FilterQuery(Schema):
    """What to look for. Days are those of UTC; `endDate` counts as a whole; text that is no date matches nothing.

    `search` is part of a name, action, target, address, error or detail, in any case; the others are exact.
    """

    class Meta:
        unknown = EXCLUDE

    start = fields.String(data_key="startDate", load_default="")
    end = fields.String(data_key="endDate", load_default="")
    user_id = fields.String(data_key="userId", load_default="")
    username = fields.String(load_default="")
    action = fields.String(load_default="")
    category = fields.String(load_default="")
    status = fields.String(load_default="")
    search = fields.String(load_default="")

    @post_load
    def make(self, values: dict[str, Any], **_options: Any) -> AuditFilter:
        """The filter as the service takes it; empty text is no condition."""
        start, end = values.pop("start"), values.pop("end")
        words: dict[str, Any] = {name: text or None for name, text in values.items()}
        try:
            since = _instant(start) if start else None
            before = _next_midnight(_instant(end)) if end else None
        except (ValueError, OverflowError):
            return AuditFilter(**words, matches_nothing=True)
        return AuditFilter(**words, since=since, before=before)


class PageQuery(Schema):
    """Which part of the list; `offset` wins over `page`."""

    class Meta:
        unknown = EXCLUDE

    limit = fields.String(load_default="")
    page = fields.String(load_default="")
    offset = fields.String(load_default="")

    @post_load
    def make(self, values: dict[str, str], **_options: Any) -> dict[str, int]:
        """Limit and offset within bounds; what is no number counts as absent."""
        limit = min(max(_number(values["limit"]) or USUAL_PAGE, 1), LARGEST_PAGE)
        page = min(max(_number(values["page"]) or 1, 1), MOST_PAGES)
        offset = _number(values["offset"])
        return {"limit": limit, "offset": (page - 1) * limit if offset is None else min(max(offset, 0), MOST_PAGES)}


class FormatQuery(Schema):
    """In which form to save what was found."""

    format = fields.String(load_default="csv", metadata={"enum": ["csv", "json"]})


class RetentionIn(Schema):
    """How many days to keep."""

    class Meta:
        unknown = EXCLUDE

    days = fields.Integer(required=True, data_key="retentionDays")

    @pre_load
    def check(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Refuse what is no number, or out of bounds, in the contract's words."""
        days = data.get("retentionDays")
        if isinstance(days, bool) or not isinstance(days, int | float) or not days:
            raise ValidationError("retentionDays must be a number")
        return {"retentionDays": _checked_days(days)}


class CleanupIn(Schema):
    """What to delete: by default what is older than the setting says; with `dryRun` it is only counted."""

    class Meta:
        unknown = EXCLUDE

    days = fields.Integer(data_key="retentionDays", load_default=None)
    is_dry_run = fields.Boolean(data_key="dryRun", load_default=False)

    @pre_load
    def check(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Take digits for a number, and nothing for the setting."""
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
    """The words that a filter can be set to."""

    actions = fields.Raw(metadata=TEXTS)
    categories = fields.Raw(metadata=TEXTS)
    statuses = fields.Raw(metadata=TEXTS)


class PlaceOut(Out):
    """Where a page stands in the list."""

    page = fields.Integer()
    limit = fields.Integer()
    total = fields.Integer()
    page_count = fields.Integer(data_key="totalPages")


class PageOut(Out):
    """One part of the list, and where it stands."""

    entries = fields.List(fields.Nested(EntryOut), data_key="logs")
    place = fields.Nested(PlaceOut, data_key="pagination")


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
    """One part of the list, and where it stands."""
    place = {"page": offset // limit + 1, "limit": limit, "total": total, "totalPages": -(-total // limit)}
    return {"logs": dump_entries(entries), "pagination": place}


def dump_entries(entries: Sequence[AuditEntry]) -> list[dict[str, Any]]:
    """Entries as they are listed."""
    return _entry_out.dump(entries, many=True)


def dump_words(words: AuditWords) -> dict[str, Any]:
    """The words that a filter can be set to."""
    return _words_out.dump(words)


def dump_csv(entries: Sequence[AuditEntry]) -> str:
    """Entries as a table, without a final newline; no cell is a formula."""
    rows = ([_cell(entry[name]) for name in CSV_COLUMNS.values()] for entry in dump_entries(entries))
    return "\n".join(csv_line(row) for row in ([*CSV_COLUMNS], *rows))


def database_time(instant: datetime | None) -> str | None:
    """An instant as the list shows it."""
    return _time._serialize(instant, None, None)


def _cell(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, Mapping | list) else value


def _checked_days(days: float) -> int:
    if not FEWEST_DAYS <= days <= MOST_DAYS:
        raise ValidationError(f"Retention days must be between {FEWEST_DAYS} and {MOST_DAYS}")
    if days != int(days):
        raise ValidationError("retentionDays must be a whole number")
    return int(days)


def _number(text: str) -> int | None:
    """A whole number; None for anything else, nought as well as absurdly long ones included."""
    digits = text.strip().removeprefix("-")
    return int(text) if digits.isdecimal() and len(digits) < 10 else None


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text.strip())
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _next_midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
