"""Wire forms of the notifications group."""

from typing import Any

from marshmallow import EXCLUDE, Schema, fields, post_load

from app.api.wire import SOMETIMES, Out
from app.contracts import AppError, validate_one_line
from app.domain.templates import Template
from app.services import trials


def lenient_text() -> fields.String:
    """A text that may be missing or null."""
    return fields.String(load_default="", allow_none=True)


class NtfyIn(Schema):
    """An ntfy destination that was typed; a masked token counts as none given."""

    class Meta:
        unknown = EXCLUDE

    url = lenient_text()
    topic = lenient_text()
    token = fields.String(data_key="accessToken", load_default=None, allow_none=True)

    @post_load
    def unmask(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Leave out a token that consists of asterisks: it is what we show instead of the stored one."""
        token = data["token"]
        return data | {"token": None if token and not token.strip("*") else token}


class TemplateIn(Schema):
    """A template that was typed."""

    class Meta:
        unknown = EXCLUDE

    title = lenient_text()
    message = lenient_text()
    priority = lenient_text()
    tags = lenient_text()

    @post_load
    def make(self, data: dict[str, Any], **_options: Any) -> Template:
        """The template as a domain value."""
        return Template(**{name: text or "" for name, text in data.items()})


class StatisticsOut(Out):
    """What an overdue check found."""

    settings_count = fields.Integer(data_key="totalBackupConfigs")
    checked_count = fields.Integer(data_key="checkedBackups")
    overdue_count = fields.Integer(data_key="overdueBackupsFound")
    told_count = fields.Integer(data_key="notificationsSent")


class TestIn(Schema):
    """What to try: a push or a template to the destination that was typed, or a mail through the stored server."""

    class Meta:
        unknown = EXCLUDE

    kind = fields.String(data_key="type", metadata={"enum": [trials.SIMPLE, trials.TEMPLATE, trials.EMAIL]})
    ntfy = fields.Nested(NtfyIn, data_key="ntfyConfig")
    template = fields.Nested(TemplateIn)
    to_email = fields.String(data_key="toEmail")


class MailTestIn(Schema):
    """To whom a test mail goes; blank is the usual recipients."""

    class Meta:
        unknown = EXCLUDE

    to_email = fields.String(data_key="toEmail", load_default=None, allow_none=True, validate=validate_one_line)


class TestOut(Out):
    """What was sent; a template also tells by which channels."""

    message = fields.String()
    success = fields.Boolean(metadata=SOMETIMES)
    channels = fields.List(fields.String(), metadata=SOMETIMES)


class ToldOut(Out):
    """What the check by hand found, in words and numbers."""

    message = fields.String()
    statistics = fields.Nested(StatisticsOut)


def read_ntfy(body: dict[str, Any]) -> dict[str, Any]:
    """The ntfy destination of a test. Raises AppError when there is none, or when it lacks address or topic."""
    given = body.get("ntfyConfig")
    if not given or not isinstance(given, dict):
        raise AppError("NTFY configuration is required")
    ntfy: dict[str, Any] = NtfyIn().load(given)
    if not (ntfy["url"] or "").strip() or not (ntfy["topic"] or "").strip():
        raise AppError("NTFY URL and topic are required")
    return ntfy


def read_template(body: dict[str, Any]) -> Template:
    """The template of a test. Raises AppError when there is none."""
    given = body.get("template")
    if not isinstance(given, dict):
        raise AppError("Template is required for template type")
    template: Template = TemplateIn().load(given)
    return template
