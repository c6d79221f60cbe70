"""Filter of the audit log, read from the query of an API request or a page."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flask_login import current_user
from marshmallow import EXCLUDE, Schema, fields, post_load

from app.audit.log import AuditFilter
from app.web.http import visible_server_ids


class FilterQuery(Schema):
    """Filter of the audit log. Days are in UTC; `endDate` is included.

    An invalid date matches nothing. `search` is part of a name, action, target, address, error or detail, ignoring
    case; the others match exactly.
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
        """Return the filter for the service; empty text means no condition."""
        start, end = values.pop("start"), values.pop("end")
        words: dict[str, Any] = {name: text or None for name, text in values.items()}
        try:
            since = _instant(start) if start else None
            before = _next_midnight(_instant(end)) if end else None
        except (ValueError, OverflowError):
            return AuditFilter(**words, matches_nothing=True)
        return AuditFilter(**words, since=since, before=before)


def limited_to() -> str | None:
    """Return the id of a limited account; None for other accounts.

    A limited account sees only its own actions.
    """
    return None if visible_server_ids() is None else str(current_user.id)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text.strip())
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _next_midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
