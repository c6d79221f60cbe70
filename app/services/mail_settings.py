"""The standard mail account, as the reference's settings speak of it; stored like every channel."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.contracts.errors import AppError, NotFound
from app.models import Channel
from app.services import channels
from app.services.audit import Actor, record_entry
from app.services.channels import EMAIL
from app.services.transaction import writing

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


def find() -> MailSettings | None:
    """The standard account; None when there is none, when it is incomplete, or of another master key."""
    row = channels.standard(EMAIL)
    if row is None or not channels.is_configured(row):
        return None
    try:
        stored = channels.load_settings(row)
    except channels.UNREADABLE:
        return None
    return _without_password(stored, is_enabled=row.is_enabled)


def save(values: Mapping[str, Any], *, actor: Actor, now: datetime) -> None:
    """Store the account; what `values` does not name, the password for one, stays. Raises AppError."""
    with writing():
        before = find()
        channels.save_settings(EMAIL, EMAIL, values, now=now)
        changes = _changes(before, find())
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


def save_password(
    password: str, account: Mapping[str, Any], extras: Mapping[str, Any], *, actor: Actor, now: datetime
) -> None:
    """Store another password, and `extras` with it; where there is no account yet, `account` is stored whole.

    Raises AppError when there is none and `account` is not complete.
    """
    with writing():
        is_known = _row() is not None
        if not is_known and not all(account.get(name) for name in NEEDED):
            raise AppError("There is no mail configuration yet, and none was given")
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


def remove(*, actor: Actor, now: datetime) -> None:
    """Delete the account. Raises NotFound."""
    with writing():
        row = _row()
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


def _row() -> Channel | None:
    row = channels.standard(EMAIL)
    return row if row is not None and channels.is_configured(row) else None


def _without_password(stored: Mapping[str, Any], *, is_enabled: bool) -> MailSettings:
    shown = {name: stored[name] for name in AUDIT_NAMES if name != "has_password"}
    return MailSettings(**shown, has_password=bool(stored["password"]), is_enabled=is_enabled)


def _changes(before: MailSettings | None, after: MailSettings | None) -> dict[str, Any]:
    pairs = {name: (getattr(before, name, None), getattr(after, name, None)) for name in AUDIT_NAMES}
    return {AUDIT_NAMES[name]: {"old": old, "new": new} for name, (old, new) in pairs.items() if old != new}
