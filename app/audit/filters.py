"""What API and page look for in the audit log, read from a query."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flask_login import current_user
from marshmallow import EXCLUDE, Schema, fields, post_load

from app.audit.log import AuditFilter
from app.web.request import visible_server_ids


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


def limited_to() -> str | None:
    """The id of an account that is limited to some servers, and so to its own deeds; None for all others."""
    return None if visible_server_ids() is None else str(current_user.id)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text.strip())
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _next_midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
