"""Setting channels up, switching and deleting them; each with its entry in the audit log, in one transaction."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy import select

from app.audit.log import Actor, record_entry
from app.core.db.transaction import writing
from app.database import secrets
from app.notifications import channels
from app.notifications.channels import EMAIL, NTFY
from app.notifications.models import Channel
from app.plugin import AppError
from app.plugin.errors import Conflict, NotFound

NAME_LENGTH = 64


def create_channel(
    kind: str, name: str, values: Mapping[str, Any], *, is_enabled: bool, actor: Actor, now: datetime
) -> Channel:
    """Set up another channel of a kind.

    Raises NotFound for a kind that is not installed, AppError with `field="name"` for a bad name, Conflict with the
    same when it is taken, and AppError with `fields` for settings that do not fit.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= NAME_LENGTH:
        raise AppError(f"Enter a name of at most {NAME_LENGTH} characters.", field="name")
    with writing() as session:
        if session.scalars(select(Channel.id).where(Channel.kind == kind, Channel.name == name)).first() is not None:
            raise Conflict("Another channel has this name. Choose a different one.", field="name")
        row = channels.save_settings(kind, name, values, now=now, is_enabled=is_enabled)
        _record("channel_saved", row, {"isNew": True, "isEnabled": is_enabled}, actor, now)
    return row


def change_channel(
    channel_id: int,
    values: Mapping[str, Any],
    *,
    cleared: Collection[str] = (),
    is_enabled: bool,
    actor: Actor,
    now: datetime,
) -> Channel:
    """Change the settings that `values` names and forget those that `cleared` names; an absent one stays.

    What cannot be read any more is forgotten too, unless the right key file may still come back. Raises NotFound, and
    AppError with `fields` for settings that do not fit.
    """
    with writing():
        row = channels.find_channel(channel_id)
        before = channels.shown_settings(row) | {"is_enabled": row.is_enabled}
        lost = set() if secrets.find_trouble() else channels.unreadable_settings(row) - values.keys()
        forgotten = {*cleared, *lost}
        channels.save_settings(row.kind, row.name, values, now=now, is_enabled=is_enabled, cleared=forgotten)
        after = channels.shown_settings(row) | {"is_enabled": row.is_enabled}
        changes = {
            name: {"old": before.get(name), "new": after.get(name)}
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        }
        replaced = sorted(name for name in values if f"has_{name}" in after)
        _record("channel_saved", row, {"isNew": False, "changes": changes, "replaced": replaced}, actor, now)
    return row


def switch_channel(channel_id: int, *, is_enabled: bool, actor: Actor, now: datetime) -> None:
    """Switch a channel on or off, whatever the state of its settings. Raises NotFound."""
    with writing():
        row = channels.find_channel(channel_id)
        if row.is_enabled == is_enabled:
            return
        row.is_enabled, row.updated_at = is_enabled, now
        changes = {"is_enabled": {"old": not is_enabled, "new": is_enabled}}
        _record("channel_saved", row, {"isNew": False, "changes": changes, "replaced": []}, actor, now)


def remove_channel(channel_id: int, *, actor: Actor, now: datetime) -> None:
    """Delete a channel with its history and what still waits to be sent. Raises NotFound."""
    with writing():
        row = channels.find_channel(channel_id)
        _record("channel_deleted", row, {}, actor, now)
        channels.delete_channel(channel_id)


def _record(action: str, row: Channel, details: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    record_entry(
        action,
        "config",
        now=now,
        actor=actor,
        target_type="channel",
        target_id=row.name,
        details={"kind": row.kind, "name": row.name, **details},
    )


# The standard mail account, as the reference's settings speak of it; stored like every channel.

NEEDED = ("host", "port", "username", "mailto")
AUDIT_NAMES = {
    "host": "host",
    "port": "port",
    "connection_type": "connectionType",
    "username": "username",
    "mailto": "mailto",
    "sender_name": "senderName",
    "from_address": "fromAddress",
    "requires_login": "requireAuth",
    "has_password": "hasPassword",
}


@dataclass(frozen=True, slots=True)
class MailSettings:
    """A mail account without its password."""

    host: str
    port: int
    connection_type: str
    username: str
    mailto: str
    sender_name: str
    from_address: str
    requires_login: bool
    has_password: bool
    is_enabled: bool


def find_mail() -> MailSettings | None:
    """The standard account; None when there is none, when it is incomplete, or of another master key."""
    row = channels.standard(EMAIL)
    if row is None or not channels.is_configured(row):
        return None
    try:
        stored = channels.load_settings(row)
    except channels.UNREADABLE:
        return None
    return _without_password(stored, is_enabled=row.is_enabled)


def save_mail(values: Mapping[str, Any], *, actor: Actor, now: datetime) -> None:
    """Store the account; what `values` does not name, the password for one, stays. Raises AppError."""
    with writing():
        before = find_mail()
        channels.save_settings(EMAIL, EMAIL, values, now=now)
        changes = _mail_changes(before, find_mail())
        if changes:
            record_entry(
                "email_config_updated",
                "config",
                now=now,
                actor=actor,
                target_type="configuration",
                target_id="smtp_config",
                details={"changes": changes},
            )


def save_mail_password(
    password: str, account: Mapping[str, Any], extras: Mapping[str, Any], *, actor: Actor, now: datetime
) -> None:
    """Store another password, and `extras` with it; where there is no account yet, `account` is stored whole.

    Raises AppError when there is none and `account` is not complete.
    """
    with writing():
        is_known = _mail_row() is not None
        if not is_known and not all(account.get(name) for name in NEEDED):
            raise AppError("Email is not configured, and no configuration was given")
        values = dict(extras) if is_known else {**account, **extras}
        channels.save_settings(EMAIL, EMAIL, {**values, "password": password}, now=now)
        record_entry(
            "email_password_updated",
            "config",
            now=now,
            actor=actor,
            target_type="configuration",
            target_id="smtp_password",
            details={"hasPassword": bool(password)},
        )


def remove_mail(*, actor: Actor, now: datetime) -> None:
    """Delete the account. Raises NotFound."""
    with writing():
        row = _mail_row()
        if row is None:
            raise NotFound("No SMTP configuration found to delete")
        channels.delete_channel(row.id)
        record_entry(
            "email_config_deleted",
            "config",
            now=now,
            actor=actor,
            target_type="configuration",
            target_id="smtp_config",
            details={},
        )


def _mail_row() -> Channel | None:
    row = channels.standard(EMAIL)
    return row if row is not None and channels.is_configured(row) else None


def _without_password(stored: Mapping[str, Any], *, is_enabled: bool) -> MailSettings:
    shown = {name: stored[name] for name in AUDIT_NAMES if name != "has_password"}
    return MailSettings(**shown, has_password=bool(stored["password"]), is_enabled=is_enabled)


def _mail_changes(before: MailSettings | None, after: MailSettings | None) -> dict[str, Any]:
    pairs = {name: (getattr(before, name, None), getattr(after, name, None)) for name in AUDIT_NAMES}
    return {AUDIT_NAMES[name]: {"old": old, "new": new} for name, (old, new) in pairs.items() if old != new}


# The standard ntfy destination, as the reference's settings speak of it; stored like every channel.


@dataclass(frozen=True, slots=True)
class NtfySettings:
    """Server and topic, and whether there is a token; the token itself stays where it is."""

    url: str
    topic: str
    has_token: bool


def read_ntfy() -> NtfySettings:
    """The standard destination; the public server and no topic where somebody deleted it."""
    row = channels.standard(NTFY)
    stored = {} if row is None else row.settings
    url = str(stored.get("url") or channels.DEFAULT_NTFY_URL)
    return NtfySettings(url, str(stored.get("topic") or ""), bool(stored.get("token")))


def topic_address() -> str | None:
    """Where the messages of the standard destination can be read; None while it has no topic."""
    stored = read_ntfy()
    return f"{stored.url.rstrip('/')}/{quote(stored.topic, safe='')}" if stored.topic else None


def save_ntfy(values: Mapping[str, Any], *, actor: Actor, now: datetime) -> NtfySettings:
    """Store server, topic and token; one that is not named stays, and a blank topic becomes a random one.

    Raises AppError for a server or topic that cannot be right.
    """
    with writing():
        before = read_ntfy()
        topic = (values.get("topic", before.topic) or "").strip() or channels.random_topic()
        channels.save_settings(NTFY, NTFY, {"url": before.url, **values, "topic": topic}, now=now)
        after = read_ntfy()
        if before != after:
            record_entry(
                "ntfy_config_updated",
                "config",
                now=now,
                actor=actor,
                target_type="configuration",
                target_id="ntfy_config",
                details={"changes": _ntfy_changes(before, after)},
            )
    return after


def _ntfy_changes(before: NtfySettings, after: NtfySettings) -> dict[str, Any]:
    names = {"url": "url", "topic": "topic", "has_token": "hasAccessToken"}
    pairs = {wire: (getattr(before, name), getattr(after, name)) for name, wire in names.items()}
    return {wire: {"old": old, "new": new} for wire, (old, new) in pairs.items() if old != new}
