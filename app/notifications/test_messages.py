"""Test messages: sent immediately and once, to verify settings."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marshmallow import ValidationError

from app.accounts.models import User
from app.audit.log import Actor, record_entry
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.rate_limits import limiter
from app.notifications import channels, templates
from app.notifications.delivery import shape_message
from app.notifications.messages import TITLE_LIMIT, date_text, language
from app.notifications.models import Channel
from app.notifications.templates import RUN_PLACEHOLDERS, Template, render_known
from app.plugin import DeliveryError, ForbiddenAddress, NotificationChannel, check_url
from app.reports.decoding import shorten

SIMPLE, TEMPLATE, EMAIL = "simple", "template", "email"
TITLE = "Test Notification"
SAMPLE_LOG = "first sample line of log_text\nsecond sample line of log_text\nthird sample line of log_text"


class NotificationTestFailed(Refused):
    """A test message failed; the message says why, `reason` is the cause alone."""

    def __init__(self, reason: str) -> None:
        super().__init__("notification_test_failed", reason=reason)
        self.reason = reason


def open_ntfy(url: str, topic: str, token: str | None) -> NotificationChannel:
    """Return an ntfy channel from unsaved values.

    Raises Refused if they are invalid.

    Without a token the stored one is used, but only for the server that it belongs to.
    """
    try:
        check_url(url.strip())
    except (ForbiddenAddress, ValueError) as error:
        raise Refused("ntfy_url_invalid", "url", reason=str(error)) from error
    if token is None:
        token = _stored_token(url)
    return channels.open_channel(channels.NTFY, {"url": url.strip(), "topic": topic.strip(), "token": token})


def send_simple(channel: NotificationChannel, *, actor: Actor, now: datetime) -> None:
    """Send a short message. Raises NotificationTestFailed."""
    text = f"duplistatus sends this test at {date_text(now, language())}. Notifications work."
    _send(channel, _payload(TITLE, text, tags=("test",)), SIMPLE, None, actor, now)


def send_through(channel_id: int, *, actor: Actor, now: datetime) -> None:
    """Send a short message through a stored channel, even if disabled.

    Raises Refused (404), NotificationTestFailed, and Refused if its settings are incomplete or cannot be read.
    """
    row = channels.find_channel(channel_id)
    if not channels.is_configured(row):
        raise Refused("channel_incomplete")
    if channels.unreadable_settings(row):
        raise Refused("channel_secrets_unreadable")
    try:
        channel = channels.open_stored(row.kind, row.settings)
    except ValidationError as error:
        raise Refused("channel_settings_outdated") from error
    send_simple(channel, actor=actor, now=now)
    with writing() as session:
        channels.record_success(session, row.id, now)


def send_template(ntfy: NotificationChannel, template: Template, *, actor: Actor, now: datetime) -> list[str]:
    """Send a template with placeholder names as values, by ntfy and email if configured.

    Returns the names of the channels that sent it. Raises NotificationTestFailed if one failed, after trying both.
    """
    values = {name: name for name in RUN_PLACEHOLDERS - {"server_id"}} | {"log_text": SAMPLE_LOG}
    title = render_known(template.title or "Template test", values)
    text = render_known(template.message or "This template has no message.", values)
    text += f"\n\nTest sent at {date_text(now, language())}"
    payload = _payload(title, text, template.tag_list, template.priority or "default")
    taken, failures = [], []
    mail = standard_email_channel()
    for channel in (ntfy, *([mail] if mail else [])):
        label = channels.audit_label(channel)
        try:
            _send(channel, payload, TEMPLATE, None, actor, now, cause=f"{label} test failed: ")
            taken.append(label)
        except NotificationTestFailed as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return taken


def send_email(to: str | None, *, actor: Actor, now: datetime) -> None:
    """Send an email that describes its mail settings.

    Raises Refused if email is not configured, and NotificationTestFailed.
    """
    channel = standard_email_channel()
    if channel is None:
        raise Refused("email_not_configured")
    _send(channel, _payload("Test email", _account(channel, to, now), ()), EMAIL, to or None, actor, now)


def standard_email_channel() -> NotificationChannel | None:
    """Return the stored standard email channel.

    None if missing, incomplete or unreadable.
    """
    row = channels.standard(channels.EMAIL)
    if row is None or not channels.is_configured(row):
        return None
    try:
        return channels.open_channel(row.kind, channels.load_settings(row))
    except channels.UNREADABLE:
        return None


def _stored_token(url: str) -> str:
    row = channels.standard(channels.NTFY)
    if row is None or not _is_same_server(row, url):
        return ""
    try:
        return str(channels.load_settings(row).get("token") or "")
    except channels.UNREADABLE:
        return ""


def _is_same_server(row: Channel, url: str) -> bool:
    return str(row.settings.get("url", "")).strip().rstrip("/") == url.strip().rstrip("/")


def _account(channel: NotificationChannel, to: str | None, now: datetime) -> str:
    settings = channel.settings
    lines = {
        "Server": f"{settings['host']}:{settings['port']}",
        "Connection": settings["connection_type"],
        "Certificate checked": "yes" if settings["verifies_certificate"] else "no",
        "Login": settings["username"] if settings["requires_login"] else "none",
        "To": to or settings["mailto"],
        "From": settings["from_address"] or settings["username"],
        "Sender's name": settings["sender_name"] or "duplistatus",
        "Sent at": date_text(now, language()),
    }
    account = "\n".join(f"{name}: {templates.escape(str(value))}" for name, value in lines.items())
    return f"This test email confirms that duplistatus can send email.\n\n{account}"


def _payload(title: str, text: str, tags: tuple[str, ...], priority: str = "default") -> dict[str, Any]:
    return {
        "title": shorten(" ".join(title.split()), TITLE_LIMIT),
        "text": text,
        "is_formatted": templates.has_formatting(text),
        "severity": "info",
        "priority": priority,
        "tags": tags,
        "link": None,
        "values": {},
    }


def _send(
    channel: NotificationChannel,
    payload: Mapping[str, Any],
    kind: str,
    target: str | None,
    actor: Actor,
    now: datetime,
    *,
    cause: str = "",
) -> None:
    """Send, and record the result.

    An entry of the channel and, after a failure, one of the request.
    """
    is_mail = channel.name == channels.EMAIL
    action = "test_email_sent" if is_mail else "test_notification_sent"
    details = {"type": kind, "channel": channels.audit_label(channel), **channel.audit_details(target)}
    if kind == TEMPLATE:
        details["templateType"] = "custom"
    try:
        channels.send_once(channel, shape_message(channel, payload, event=kind, target=target, sent_at=now))
    except DeliveryError as error:
        failed = NotificationTestFailed(f"{cause}{error}")
        common: dict[str, Any] = {"now": now, "actor": actor, "status": "error", "error_message": str(error)}
        record_entry(action, "system", details={**details, "error": str(error)}, **common)
        whole = "test_email_sent" if kind == EMAIL else "test_notification_sent"
        record_entry(whole, "system", details={"type": kind, "error": f"{cause}{error}"}, **common)
        raise failed from error
    record_entry(action, "system", now=now, actor=actor, details=details)


PER_MINUTE, BURST = 3, 5
ADMIN_PER_MINUTE, ADMIN_BURST = 60, 60


def count_test(user: User, now: datetime) -> None:
    """Count one test message of a user against the rate limit.

    Raises Refused (429).
    """
    is_admin = user.is_admin
    rate = (ADMIN_PER_MINUTE, ADMIN_BURST) if is_admin else (PER_MINUTE, BURST)
    name = f"test messages of {'administrators' if is_admin else 'others'}"
    retry_after_s = limiter(name, *rate).allow(user.username, now)
    if retry_after_s is not None:
        raise Refused("too_many_tests", retry_after_s=retry_after_s)
