"""Create, change, enable and delete channels, with audit entries."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy import select

from app.audit.log import Actor, record_entry
from app.core.db.orm import writing
from app.core.errors import Refused
from app.database import secrets
from app.notifications import channels
from app.notifications.channels import EMAIL, NTFY
from app.notifications.models import Channel

NAME_LENGTH = 64


def create_channel(
    kind: str, name: str, values: Mapping[str, Any], *, is_enabled: bool, actor: Actor, now: datetime
) -> Channel:
    """Create another channel of a kind.

    Raises Refused (404) for a kind that is not installed, Refused with `field="name"` for a bad name, Conflict with the
    same when it is taken, and Refused with `fields` for settings that do not fit.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= NAME_LENGTH:
        raise Refused("channel_name_length", "name", most=NAME_LENGTH)
    with writing() as session:
        if session.scalars(select(Channel.id).where(Channel.kind == kind, Channel.name == name)).first() is not None:
            raise Refused("channel_name_taken", "name")
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
    """Change the settings in `values` and remove those in `cleared`.

    Omitted ones are kept.

    Undecryptable settings are removed too, unless the right key file may still be restored. Raises Refused (404), and
    Refused with `fields` for invalid settings.
    """
    with writing():
        row = channels.find_channel(channel_id)
        before = channels.visible_settings(row) | {"is_enabled": row.is_enabled}
        lost = set() if secrets.find_key_problem() else channels.unreadable_settings(row) - values.keys()
        forgotten = {*cleared, *lost}
        channels.save_settings(row.kind, row.name, values, now=now, is_enabled=is_enabled, cleared=forgotten)
        after = channels.visible_settings(row) | {"is_enabled": row.is_enabled}
        changes = {
            name: {"old": before.get(name), "new": after.get(name)}
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        }
        replaced = sorted(name for name in values if f"has_{name}" in after)
        _record("channel_saved", row, {"isNew": False, "changes": changes, "replaced": replaced}, actor, now)
    return row


def switch_channel(channel_id: int, *, is_enabled: bool, actor: Actor, now: datetime) -> None:
    """Enable or disable a channel, even if its settings are incomplete.

    Raises Refused (404).
    """
    with writing():
        row = channels.find_channel(channel_id)
        if row.is_enabled == is_enabled:
            return
        row.is_enabled, row.updated_at = is_enabled, now
        changes = {"is_enabled": {"old": not is_enabled, "new": is_enabled}}
        _record("channel_saved", row, {"isNew": False, "changes": changes, "replaced": []}, actor, now)


def remove_channel(channel_id: int, *, actor: Actor, now: datetime) -> None:
    """Delete a channel with its history and pending deliveries. Raises Refused (404)."""
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


# The standard email account in the terms of the original's settings; stored like every channel.

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
class EmailSettings:
    """An email account without its password."""

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


def find_email_account() -> EmailSettings | None:
    """Return the standard account; None if missing, incomplete or not decryptable."""
    row = channels.standard(EMAIL)
    if row is None or not channels.is_configured(row):
        return None
    try:
        stored = channels.load_settings(row)
    except channels.UNREADABLE:
        return None
    return _without_password(stored, is_enabled=row.is_enabled)


def save_email_account(values: Mapping[str, Any], *, actor: Actor, now: datetime) -> None:
    """Save the account.

    Values that are not in `values`, such as the password, are kept. Raises Refused.
    """
    with writing():
        before = find_email_account()
        channels.save_settings(EMAIL, EMAIL, values, now=now)
        changes = _email_changes(before, find_email_account())
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


def store_email_password(
    password: str, account: Mapping[str, Any], extras: Mapping[str, Any], *, actor: Actor, now: datetime
) -> None:
    """Save a new password and `extras`.

    If there is no account yet, `account` is stored as a whole. Raises Refused when there is none and `account` is
    incomplete.
    """
    with writing():
        is_known = _email_row() is not None
        if not is_known and not all(account.get(name) for name in NEEDED):
            raise Refused("email_not_configured_or_given")
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


def remove_email_account(*, actor: Actor, now: datetime) -> None:
    """Delete the account. Raises Refused (404)."""
    with writing():
        row = _email_row()
        if row is None:
            raise Refused("no_smtp_to_delete")
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


def _email_row() -> Channel | None:
    row = channels.standard(EMAIL)
    return row if row is not None and channels.is_configured(row) else None


def _without_password(stored: Mapping[str, Any], *, is_enabled: bool) -> EmailSettings:
    shown = {name: stored[name] for name in AUDIT_NAMES if name != "has_password"}
    return EmailSettings(**shown, has_password=bool(stored["password"]), is_enabled=is_enabled)


def _email_changes(before: EmailSettings | None, after: EmailSettings | None) -> dict[str, Any]:
    pairs = {name: (getattr(before, name, None), getattr(after, name, None)) for name in AUDIT_NAMES}
    return {AUDIT_NAMES[name]: {"old": old, "new": new} for name, (old, new) in pairs.items() if old != new}


# The standard ntfy destination in the terms of the original's settings; stored like every channel.


@dataclass(frozen=True, slots=True)
class NtfySettings:
    """Server, topic, and whether a token is stored; never the token itself."""

    url: str
    topic: str
    has_token: bool


def read_ntfy() -> NtfySettings:
    """Return the standard destination.

    If it was deleted: the public server and a blank topic.
    """
    row = channels.standard(NTFY)
    stored = {} if row is None else row.settings
    url = str(stored.get("url") or channels.DEFAULT_NTFY_URL)
    return NtfySettings(url, str(stored.get("topic") or ""), bool(stored.get("token")))


def topic_address() -> str | None:
    """Return the URL of the topic of the standard destination; None without a topic."""
    stored = read_ntfy()
    return f"{stored.url.rstrip('/')}/{quote(stored.topic, safe='')}" if stored.topic else None


def save_ntfy(values: Mapping[str, Any], *, actor: Actor, now: datetime) -> NtfySettings:
    """Save server, topic and token.

    Omitted values are kept, a blank topic becomes a random one.

    Raises Refused for an invalid server or topic.
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
