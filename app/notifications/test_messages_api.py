"""API of test messages and of the manual overdue check."""

from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue
from flask_login import current_user
from marshmallow import EXCLUDE, Schema, fields, post_load

from app import runtime
from app.core.errors import Refused
from app.notifications import test_messages
from app.notifications.templates import Template
from app.plugin import Access, ApiGroup, described, guarded, validate_one_line
from app.schedules import overdue_check
from app.web.http import MESSAGE, SOMETIMES, Out, actor, json_body, visible_server_ids

# Schemas


def lenient_text() -> fields.String:
    """Return a field for a text that may be missing or null."""
    return fields.String(load_default="", allow_none=True)


class NtfyIn(Schema):
    """An unsaved ntfy destination; a masked token is ignored."""

    class Meta:
        unknown = EXCLUDE

    url = lenient_text()
    topic = lenient_text()
    token = fields.String(data_key="accessToken", load_default=None, allow_none=True)

    @post_load
    def unmask(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Remove a token that consists of asterisks, the placeholder for the stored one."""
        token = data["token"]
        return data | {"token": None if token and not token.strip("*") else token}


class TemplateIn(Schema):
    """An unsaved template."""

    class Meta:
        unknown = EXCLUDE

    title = lenient_text()
    message = lenient_text()
    priority = lenient_text()
    tags = lenient_text()

    @post_load
    def make(self, data: dict[str, Any], **_options: Any) -> Template:
        """Return the template as a domain value."""
        return Template(**{name: text or "" for name, text in data.items()})


class StatisticsOut(Out):
    """Results of an overdue check."""

    settings_count = fields.Integer(data_key="totalBackupConfigs")
    checked_count = fields.Integer(data_key="checkedBackups")
    overdue_count = fields.Integer(data_key="overdueBackupsFound")
    notified_count = fields.Integer(data_key="notificationsSent")


class TestIn(Schema):
    """The test: a push or a template to the given destination, or an email through the stored server."""

    class Meta:
        unknown = EXCLUDE

    kind = fields.String(
        data_key="type", metadata={"enum": [test_messages.SIMPLE, test_messages.TEMPLATE, test_messages.EMAIL]}
    )
    ntfy = fields.Nested(NtfyIn, data_key="ntfyConfig")
    template = fields.Nested(TemplateIn)
    to_email = fields.String(data_key="toEmail")


class MailTestIn(Schema):
    """Recipients of a test email; blank for the default recipients."""

    class Meta:
        unknown = EXCLUDE

    to_email = fields.String(data_key="toEmail", load_default=None, allow_none=True, validate=validate_one_line)


class TestOut(Out):
    """The result of a test; for a template with its channels."""

    message = fields.String()
    success = fields.Boolean(metadata=SOMETIMES)
    channels = fields.List(fields.String(), metadata=SOMETIMES)


class CheckResultOut(Out):
    """Results of the manual check, as text and statistics."""

    message = fields.String()
    statistics = fields.Nested(StatisticsOut)


def read_ntfy(body: dict[str, Any]) -> dict[str, Any]:
    """Return the ntfy destination of a test.

    Raises Refused if it, its URL or topic is missing.
    """
    given = body.get("ntfyConfig")
    if not given or not isinstance(given, dict):
        raise Refused("ntfy_configuration_missing", "ntfy_config")
    ntfy: dict[str, Any] = NtfyIn().load(given)
    if not (ntfy["url"] or "").strip() or not (ntfy["topic"] or "").strip():
        raise Refused("ntfy_url_or_topic_missing", "ntfy_config")
    return ntfy


def read_template(body: dict[str, Any]) -> Template:
    """Return the template of a test. Raises Refused if there is none."""
    given = body.get("template")
    if not isinstance(given, dict):
        raise Refused("template_missing", "template")
    template: Template = TemplateIn().load(given)
    return template


# Views

bp = Blueprint("notifications", __name__, url_prefix="/notifications")


@bp.post("/test")
@guarded(Access.USER, needs_all_servers=True)
@described({200: TestOut}, body=TestIn, errors=(429, 500))
def test() -> ResponseReturnValue:
    """Send a test notification of the given type; an unknown type sends a simple one.

    429 after too many tests. Not allowed for accounts that can see selected servers only.
    """
    body = json_body()
    test_messages.count_test(current_user, runtime.now())
    return TESTS.get(str(body.get("type")), test_simple)(body)


def test_simple(body: dict[str, Any]) -> ResponseReturnValue:
    """Send a short push to the given destination."""
    test_messages.send_simple(test_messages.open_ntfy(**read_ntfy(body)), actor=actor(), now=runtime.now())
    return {"message": "Test notification sent successfully"}


def test_template(body: dict[str, Any]) -> ResponseReturnValue:
    """Send the given template by push and email."""
    ntfy, template = read_ntfy(body), read_template(body)
    taken = test_messages.send_template(test_messages.open_ntfy(**ntfy), template, actor=actor(), now=runtime.now())
    return {"success": True, "message": f"Template test sent via {' and '.join(taken)}", "channels": taken}


def test_email(body: dict[str, Any]) -> ResponseReturnValue:
    """Send an email through the stored mail server."""
    test_messages.send_email(MailTestIn().load(body)["to_email"] or None, actor=actor(), now=runtime.now())
    return {"message": "Test email sent successfully"}


TESTS = {test_messages.TEMPLATE: test_template, test_messages.EMAIL: test_email}


@bp.post("/check-overdue")
@described({200: CheckResultOut})
def check_overdue() -> ResponseReturnValue:
    """Update the schedules of all jobs visible to the account, check for overdue jobs and queue alerts."""
    found = overdue_check.check_now(visible_server_ids(), actor=actor(), now=runtime.now())
    message = "Overdue backup check completed with next run times recalculated"
    return {"message": message, "statistics": StatisticsOut().dump(found)}


@bp.post("/clear-overdue-timestamps")
@described({200: MESSAGE})
def clear_overdue_timestamps() -> ResponseReturnValue:
    """Reset overdue alerts, so that the next check alerts again for all overdue jobs visible to the account."""
    return {"message": overdue_check.clear_notification_times(visible_server_ids(), actor=actor(), now=runtime.now())}


# Test messages and the manual overdue check.

group = ApiGroup(name="notifications", blueprint=bp, summary="Test messages and the overdue check")
