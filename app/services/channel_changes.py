"""Setting channels up, switching and deleting them; each with its entry in the audit log, in one transaction."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select

from app.contracts.errors import AppError, Conflict
from app.models import Channel
from app.services import channels, secrets
from app.services.audit import Actor, record_entry
from app.services.transaction import writing

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
        raise AppError(f"Give it a name of at most {NAME_LENGTH} characters.", field="name")
    with writing() as session:
        if session.scalars(select(Channel.id).where(Channel.kind == kind, Channel.name == name)).first() is not None:
            raise Conflict("There is a channel of this name already.", field="name")
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
