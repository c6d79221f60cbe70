"""The audit log as people read it: filtered, page by page, newest first."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Text, false, func, select, type_coerce

from app.contracts.errors import NotFound
from app.extensions import db
from app.models import AuditEntry
from app.services.searching import holds

MOST_EXPORTED = 10_000
STATUSES = frozenset({"success", "failure", "error"})
EXACT = ("user_id", "username", "action", "category", "status")
# Where a text is looked for.
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
    """What to look for; None is no condition.

    `before` is the first instant that no longer counts; `search` is part of a name, target, address or detail, in any
    case. `own_user_id` holds a limited account to its own deeds, since
    entries tell of servers that it may not see. With `matches_nothing` a condition cannot be met at all.
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
class AuditWords:
    """What a filter can be set to, ascending: the words that occur in the log, and every status that there is."""

    actions: list[str]
    categories: list[str]
    statuses: list[str]


def list_entries(wanted: AuditFilter, *, limit: int, offset: int = 0) -> list[AuditEntry]:
    """The entries that match, newest first."""
    statement = select(AuditEntry).where(*_conditions(wanted)).order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
    return list(db.session.scalars(statement.limit(limit).offset(offset)))


def find_entry(entry_id: int, own_user_id: str | None) -> AuditEntry:
    """One entry. Raises NotFound, also for one that a limited account may not see."""
    entry = db.session.get(AuditEntry, entry_id)
    if entry is None or own_user_id not in (None, entry.user_id):
        raise NotFound("Audit entry not found")
    return entry


def count_entries(wanted: AuditFilter) -> int:
    """How many entries match."""
    return db.session.scalar(select(func.count()).select_from(AuditEntry).where(*_conditions(wanted))) or 0


def read_words(wanted: AuditFilter) -> AuditWords:
    """The words of the entries that match."""
    found = [
        sorted(word for word in db.session.scalars(select(column).where(*_conditions(wanted)).distinct()) if word)
        for column in (AuditEntry.action, AuditEntry.category, AuditEntry.status)
    ]
    actions, categories, statuses = found
    return AuditWords(actions, categories, sorted(STATUSES.union(statuses)))


def oldest_remaining_at(days: int, now: datetime) -> datetime | None:
    """The oldest entry that a clean-up leaves; None when it leaves nothing."""
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
