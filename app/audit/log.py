"""The audit log: who did what, when and from where; and groups of settings, whose changes are recorded."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Text, false, func, select, type_coerce
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db.orm import (
    USER_AGENT_LENGTH,
    Bounded,
    Instant,
    Json,
    Model,
    Recorded,
    RecordedText,
    RowId,
    db,
    holds,
    writing,
)
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.declarations import SettingGroup, check_values


class AuditEntry(Model):
    """One entry of the audit log; the username is kept when the account is deleted."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant, index=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    username: Mapped[str | None] = mapped_column(Recorded(255))
    action: Mapped[str] = mapped_column(Bounded(64), index=True)
    category: Mapped[str] = mapped_column(Bounded(32))
    status: Mapped[str] = mapped_column(Bounded(16))
    target_type: Mapped[str | None] = mapped_column(Recorded(64))
    target_id: Mapped[str | None] = mapped_column(Text)
    details: Mapped[dict[str, Any] | None] = mapped_column(Json)
    ip_address: Mapped[str | None] = mapped_column(Recorded(64))
    user_agent: Mapped[str | None] = mapped_column(RecordedText(USER_AGENT_LENGTH))
    error_message: Mapped[str | None] = mapped_column(Text)


# Writing entries, in the transaction of the action that they describe

REDACTED = "[REDACTED]"
SECRET_WORDS = ("password", "secret", "token", "apikey", "api_key", "sessionid", "session_id")
NOT_SECRET = frozenset({"must_change_password", "mustChangePassword", "hasPassword", "hasAccessToken"})


@dataclass(frozen=True, slots=True)
class Actor:
    """The user or program that acts, and its address."""

    user_id: str | None = None
    username: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None


SYSTEM = Actor(username="system")


def record_entry(
    action: str,
    category: str,
    *,
    now: datetime,
    actor: Actor = SYSTEM,
    status: str = "success",
    target_type: str | None = None,
    target_id: str | None = None,
    details: Mapping[str, Any] | None = None,
    error_message: str | None = None,
) -> None:
    """Add one entry in the open transaction, else in its own.

    Secrets in `details` are masked.
    """
    with writing() as session:
        session.add(
            AuditEntry(
                at=now,
                user_id=actor.user_id,
                username=actor.username,
                action=action,
                category=category,
                status=status,
                target_type=target_type,
                target_id=target_id,
                details=None if details is None else redact(details),
                ip_address=actor.ip_address,
                user_agent=actor.user_agent,
                error_message=error_message,
            )
        )


def record_setting(action: str, name: str, details: Mapping[str, Any], *, actor: Actor, now: datetime) -> None:
    """Add an entry about a changed setting."""
    record_entry(action, "config", now=now, actor=actor, target_type="configuration", target_id=name, details=details)


def redact(value: Any) -> Any:
    """Mask the values of keys that name a secret, at any depth."""
    if isinstance(value, Mapping):
        return {key: REDACTED if _is_secret(str(key)) else redact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return value


def _is_secret(key: str) -> bool:
    return key not in NOT_SECRET and any(word in key.lower() for word in SECRET_WORDS)


# Reading entries: filtered, in pages, newest first

MOST_EXPORTED = 10_000
STATUSES = frozenset({"success", "failure", "error"})
EXACT = ("user_id", "username", "action", "category", "status")
# Columns that are searched.
SEARCHED = (
    AuditEntry.username,
    AuditEntry.action,
    AuditEntry.target_id,
    AuditEntry.ip_address,
    AuditEntry.error_message,
    type_coerce(AuditEntry.details, Text),
)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Filter of entries; None means no condition.

    `before` is exclusive; `search` is part of a name, target, address or detail, ignoring case. `own_user_id` limits
    the result to the actions of one account, since entries contain names of servers that a limited account may not
    see. With `matches_nothing` a condition cannot be met.
    """

    since: datetime | None = None
    before: datetime | None = None
    user_id: str | None = None
    username: str | None = None
    action: str | None = None
    category: str | None = None
    status: str | None = None
    search: str | None = None
    own_user_id: str | None = None
    matches_nothing: bool = False


@dataclass(frozen=True, slots=True)
class AuditFilterValues:
    """Available values of the filters, ascending: those in the log, and all statuses."""

    actions: list[str]
    categories: list[str]
    statuses: list[str]


def list_entries(wanted: AuditFilter, *, limit: int, offset: int = 0) -> list[AuditEntry]:
    """Return the matching entries, newest first."""
    statement = select(AuditEntry).where(*_conditions(wanted)).order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
    return list(db.session.scalars(statement.limit(limit).offset(offset)))


def find_entry(entry_id: int, own_user_id: str | None) -> AuditEntry:
    """Return one entry.

    Raise Refused (404), also for one that a limited account may not see.
    """
    entry = db.session.get(AuditEntry, entry_id)
    if entry is None or own_user_id not in (None, entry.user_id):
        raise Refused("audit_entry_not_found")
    return entry


def count_entries(wanted: AuditFilter) -> int:
    """Return the number of matching entries."""
    return db.session.scalar(select(func.count()).select_from(AuditEntry).where(*_conditions(wanted))) or 0


def read_filter_values(wanted: AuditFilter) -> AuditFilterValues:
    """Return the values that occur in the matching entries."""
    found = [
        sorted(word for word in db.session.scalars(select(column).where(*_conditions(wanted)).distinct()) if word)
        for column in (AuditEntry.action, AuditEntry.category, AuditEntry.status)
    ]
    actions, categories, statuses = found
    return AuditFilterValues(actions, categories, sorted(STATUSES.union(statuses)))


def oldest_remaining_at(days: int, now: datetime) -> datetime | None:
    """Return when the oldest entry was made that a deletion keeps.

    None if it keeps none.
    """
    return db.session.scalar(select(func.min(AuditEntry.at)).where(AuditEntry.at >= now - timedelta(days=days)))


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    conditions = [getattr(AuditEntry, name) == getattr(wanted, name) for name in EXACT if getattr(wanted, name)]
    if wanted.since is not None:
        conditions.append(AuditEntry.at >= wanted.since)
    if wanted.before is not None:
        conditions.append(AuditEntry.at < wanted.before)
    if wanted.search:
        conditions.append(holds(wanted.search, *SEARCHED))
    if wanted.own_user_id is not None:
        conditions.append(AuditEntry.user_id == wanted.own_user_id)
    if wanted.matches_nothing:
        conditions.append(false())
    return conditions


# Read and change groups of settings; a change has one audit entry.


def read_group(group: SettingGroup) -> dict[str, Any]:
    """Return the values of a group by their names in schemas and forms."""
    values = settings_store.get_several(*(setting.name for setting in group))
    return {setting.key: value for setting, value in zip(group, values, strict=True)}


def save_group(group: SettingGroup, values: Mapping[str, Any], *, actor: Actor, now: datetime) -> None:
    """Store the values that are not None, and record them by their names in the API.

    Raise Refused for an invalid value; nothing is stored then.
    """
    check_values(group, values)
    given = [setting for setting in group if values.get(setting.key) is not None]
    with writing():
        for setting in given:
            settings_store.save(setting.name, values[setting.key], now=now)
        place = {"target_type": "configuration", "target_id": group.target_id}
        details = {setting.wire: values[setting.key] for setting in given if not setting.is_secret}
        record_entry(group.action, "config", now=now, actor=actor, details=details, **place)
