"""Accounts with the passwords they had: whoever could sign in to the old installation can sign in here."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.old_settings import read_time
from app.domain.reported_values import clean_text
from app.models import User
from app.services import session_store
from app.services.passwords import is_checkable
from app.services.transaction import writing
from app.services.transfer.reports import ImportReport
from app.services.transfer.source import OldDatabase, OldRow
from app.services.users import ADMIN_NAME

KIND = "accounts"
LONGEST_ID, LONGEST_NAME, LONGEST_ADDRESS = 64, 255, 64


def import_accounts(old: OldDatabase, report: ImportReport, *, now: datetime) -> dict[str, str]:
    """Take all accounts, in one transaction; gives our ids by theirs.

    An administrator `admin` who has never signed in here makes room for the old one. One of the same name who has
    keeps the password that is used here.
    """
    rows = [row for row in old.users() if _is_usable(row, report)]
    with writing() as session:
        own = {user.username: user for user in session.scalars(select(User))}
        _make_room(session, own, rows, report)
        return {row["id"]: _take(session, row, own, report, now) for row in rows}


def _is_usable(row: OldRow, report: ImportReport) -> bool:
    report.count(KIND).found += 1
    name, password_hash = row["username"], row["password_hash"]
    if not isinstance(row["id"], str) or not isinstance(name, str) or not 0 < len(clean_text(name)) <= LONGEST_NAME:
        report.leave(KIND, "An account without a name that we can store was left")
        return False
    if not isinstance(password_hash, str) or not is_checkable(password_hash):
        report.leave(KIND, "An account whose password hash is none was left")
        return False
    return True


def _make_room(session: Session, own: dict[str, User], rows: list[OldRow], report: ImportReport) -> None:
    """Remove the administrator of the first start, whom nobody has used, when the old file brings its own.

    Its password is the documented one, or stands in the environment; neither should open an installation that has
    administrators of its own.
    """
    admin = own.get(ADMIN_NAME)
    if admin is None or admin.last_login_at is not None or admin.updated_at != admin.created_at:
        return
    has_same_name = any(row["username"] == ADMIN_NAME and row["id"] != admin.id for row in rows)
    has_others = any(row["is_admin"] == 1 for row in rows)
    if has_same_name or (has_others and admin.must_change_password):
        session_store.delete_of_user(admin.id)
        session.delete(admin)
        session.flush()
        del own[ADMIN_NAME]
        report.remark(
            "The administrator of the first start, not used so far, gave way to those of the old installation"
        )


def _take(session: Session, row: OldRow, own: Mapping[str, User], report: ImportReport, now: datetime) -> str:
    count = report.count(KIND)
    existing = own.get(clean_text(row["username"]))
    if existing is not None:
        count.known += 1
        if existing.id != row["id"]:
            report.remark(f"The account {existing.username[:60]!r} exists here already and keeps its password")
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
