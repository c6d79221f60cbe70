"""Import accounts with their passwords, and the audit log."""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts import sessions
from app.accounts.models import User
from app.accounts.passwords import is_checkable
from app.accounts.users import ADMIN_NAME
from app.audit.log import AuditEntry, redact
from app.core.db.orm import db, writing
from app.core.errors import Refused
from app.legacy_import.source import ImportReport, OldDatabase, OldRow, read_json
from app.legacy_import.stored_forms import read_time
from app.reports.decoding import clean_text

ACCOUNTS_KIND = "accounts"
LONGEST_ID, LONGEST_NAME, LONGEST_ADDRESS = 64, 255, 64


def import_accounts(old: OldDatabase, report: ImportReport, *, now: datetime) -> dict[str, str]:
    """Import all accounts in one transaction; return our ids by the old ones.

    An unused account `admin` here is replaced by the old one. A used one keeps its password.
    """
    rows = [row for row in old.users() if _is_usable(row, report)]
    with writing() as session:
        own = {user.username: user for user in session.scalars(select(User))}
        _remove_initial_admin(session, own, rows, report)
        return {row["id"]: _take(session, row, own, report, now) for row in rows}


def _is_usable(row: OldRow, report: ImportReport) -> bool:
    report.count(ACCOUNTS_KIND).found += 1
    name, password_hash = row["username"], row["password_hash"]
    if not isinstance(row["id"], str) or not isinstance(name, str) or not 0 < len(clean_text(name)) <= LONGEST_NAME:
        report.leave(ACCOUNTS_KIND, Refused("account_without_name"))
        return False
    if not isinstance(password_hash, str) or not is_checkable(password_hash):
        report.leave(ACCOUNTS_KIND, Refused("account_without_password_hash"))
        return False
    return True


def _remove_initial_admin(session: Session, own: dict[str, User], rows: list[OldRow], report: ImportReport) -> None:
    """Delete the initial administrator if unused and the old database has administrators.

    Its password is the documented one or set in the environment; neither should give access to an installation that has
    administrators of its own.
    """
    admin = own.get(ADMIN_NAME)
    if admin is None or admin.last_login_at is not None or admin.updated_at != admin.created_at:
        return
    has_same_name = any(row["username"] == ADMIN_NAME and row["id"] != admin.id for row in rows)
    has_others = any(row["is_admin"] == 1 for row in rows)
    if has_same_name or (has_others and admin.must_change_password):
        sessions.delete_of_user(admin.id)
        session.delete(admin)
        session.flush()
        del own[ADMIN_NAME]
        report.remark(Refused("default_admin_replaced"))


def _take(session: Session, row: OldRow, own: Mapping[str, User], report: ImportReport, now: datetime) -> str:
    count = report.count(ACCOUNTS_KIND)
    existing = own.get(clean_text(row["username"]))
    if existing is not None:
        count.known += 1
        if existing.id != row["id"]:
            report.remark(Refused("account_known", name=repr(existing.username[:60])))
        return existing.id
    user = User(**_columns(session, row, now))
    session.add(user)
    session.flush()
    count.taken += 1
    return user.id


def _columns(session: Session, row: OldRow, now: datetime) -> dict[str, Any]:
    user_id = clean_text(row["id"])
    if not 0 < len(user_id) <= LONGEST_ID or session.get(User, user_id) is not None:
        user_id = str(uuid.uuid4())
    address = row.get("last_login_ip")
    failures = row.get("failed_login_attempts")
    created_at = read_time(row.get("created_at")) or now
    return {
        "id": user_id,
        "username": clean_text(row["username"]),
        "password_hash": row["password_hash"],
        "is_admin": row["is_admin"] == 1,
        "must_change_password": row.get("must_change_password") == 1,
        "failed_login_attempts": failures if isinstance(failures, int) and 0 <= failures < 1000 else 0,
        "locked_until": read_time(row.get("locked_until")),
        "last_login_at": read_time(row.get("last_login_at")),
        "last_login_ip": address[:LONGEST_ADDRESS] if isinstance(address, str) else None,
        "created_at": created_at,
        "updated_at": read_time(row.get("updated_at")) or created_at,
    }


# Import of the audit log
#
# Our entries do not store the old ids, so existing ones are detected by content: among entries of the same second and
# content, only the missing number is added.

AUDIT = AuditEntry.__table__
AUDIT_KIND = "audit entries"
ENTRIES_A_BATCH = 500
# A batch ends only between two seconds; no real installation has that many entries in one second.
MOST_A_BATCH = 20_000
LIMITS = {
    "action": 64,
    "category": 32,
    "status": 16,
    "username": 255,
    "target_type": 64,
    "target_id": 2_000,
    "ip_address": 64,
    "user_agent": 2_000,
    "error_message": 20_000,
}
NEEDED = ("action", "category", "status")
CONTENT = (AUDIT.c.at, AUDIT.c.details, *(AUDIT.c[name] for name in LIMITS))


def import_audit_entries(old: OldDatabase, user_ids: Mapping[str, str], report: ImportReport) -> None:
    """Import missing audit entries; `user_ids` are our account ids by the old ones."""
    count = report.count(AUDIT_KIND)
    for batch in _batches(_entries(old.audit_entries(), user_ids, report)):
        with writing() as session:
            missing = _missing(batch)
            if missing:
                session.connection().execute(AUDIT.insert(), missing)
        count.taken += len(missing)
        count.known += len(batch) - len(missing)


def _entries(rows: Iterable[OldRow], user_ids: Mapping[str, str], report: ImportReport) -> Iterator[dict[str, Any]]:
    for row in rows:
        report.count(AUDIT_KIND).found += 1
        at = read_time(row["timestamp"])
        texts = {name: _text(row.get(name), longest) for name, longest in LIMITS.items()}
        if at is None or not all(texts[name] for name in NEEDED):
            report.leave(AUDIT_KIND, Refused("audit_entry_incomplete"))
            continue
        user_id = row.get("user_id")
        known_id = user_ids.get(user_id) if isinstance(user_id, str) else None
        yield {"at": at, "user_id": known_id, "details": _details(row.get("details")), **texts}


def _batches(entries: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield entries in batches of whole seconds."""
    batch: list[dict[str, Any]] = []
    for entry in entries:
        is_full = len(batch) >= ENTRIES_A_BATCH and entry["at"] != batch[-1]["at"]
        if is_full or len(batch) >= MOST_A_BATCH:
            yield batch
            batch = []
        batch.append(entry)
    if batch:
        yield batch


def _missing(batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries of a batch of which we have fewer than the old database."""
    times = [entry["at"] for entry in batch]
    rows = db.session.execute(select(*CONTENT).where(AUDIT.c.at.between(min(times), max(times))))
    known = Counter(_content(row._mapping) for row in rows)
    missing = []
    for entry in batch:
        content = _content(entry)
        if known[content]:
            known[content] -= 1
        else:
            missing.append(entry)
    return missing


def _content(entry: Mapping[Any, Any]) -> tuple[Any, ...]:
    details = orjson.dumps(entry["details"], option=orjson.OPT_SORT_KEYS)
    return (entry["at"], details, *(entry[name] for name in LIMITS))


def _text(value: object, longest: int) -> str | None:
    return clean_text(value)[:longest] if isinstance(value, str) else None


def _details(text: object) -> dict[str, Any] | None:
    """Return the details of an entry with secrets masked.

    Text that is not an object is stored as `text`.
    """
    if not isinstance(text, str) or not text:
        return None
    value = read_json(clean_text(text))
    masked: dict[str, Any] = redact(value if isinstance(value, dict) else {"text": clean_text(text)})
    return masked
