"""Accounts: first administrator, passwords, recovery, and management."""

import logging
import secrets
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.accounts import passwords, sessions, sign_in
from app.accounts.models import ServerAccess, User
from app.accounts.sign_in import PasswordRefused
from app.audit.log import SYSTEM, Actor, record_entry
from app.backups.models import Server
from app.config import DEFAULT_PASSWORD, Settings
from app.core.db.orm import db, holds, writing
from app.core.errors import Refused

log = logging.getLogger(__name__)

ADMIN_NAME = "admin"


def ensure_admin(chosen: Settings, *, now: datetime) -> None:
    """Create the administrator `admin` in a database without any account.

    The password is ADMIN_PASSWORD, else the documented one. It must be changed at the first sign-in unless it fits
    the policy, which the documented one never does. Later starts change no account, so that an administrator who was
    renamed or deleted is not created again with a known password.
    """
    if db.session.scalar(select(User.id).limit(1)) is not None:
        return
    password = chosen.admin_password or DEFAULT_PASSWORD
    with writing() as session:
        session.add(
            User(
                id=f"admin-{secrets.token_hex(16)}",
                username=ADMIN_NAME,
                password_hash=passwords.hash_password(password),
                is_admin=True,
                must_change_password=bool(passwords.policy_of(chosen).find_violations(password)),
                created_at=now,
                updated_at=now,
            )
        )
        details = {"description": "A new database with its first administrator", "admin_user_created": True}
        record_entry("database_initialization", "system", now=now, details=details)
    log.info("created the account %r", ADMIN_NAME)


def find_by_name(username: str) -> User | None:
    """Return the account with exactly this name."""
    return db.session.scalars(select(User).where(User.username == username)).one_or_none()


def must_admin_change_password() -> bool:
    """Whether the account `admin` still has its initial password."""
    admin = find_by_name(ADMIN_NAME)
    return admin is not None and admin.must_change_password


def change_password(
    user_id: str, current: str | None, new: str, *, actor: Actor, now: datetime, kept_session: str | None = None
) -> None:
    """Change the password of a user.

    Ends all other sessions of the user except `kept_session` (a hash). The current password must be right unless the
    change was forced; wrong ones count as at a sign-in. Raise AppError, NotFound, Unauthorized and Forbidden, each
    with its `errorCode`, and record them; and TooManyRequests.
    """
    try:
        _change_password(user_id, current, new, actor, now, kept_session)
    except PasswordRefused as refusal:
        record_entry("change_password", "auth", now=now, actor=actor, status="failure", details=refusal.audit_details)
        raise refusal.error from None


def _change_password(
    user_id: str, current: str | None, new: str, actor: Actor, now: datetime, kept_session: str | None
) -> None:
    if not new:
        error = Refused("new_password_required", "new")
        raise PasswordRefused(error, "Missing new password")
    violations = passwords.policy().find_violations(new)
    if violations:
        told = [violation.message for violation in violations]
        error = Refused("policy_not_met", "new", body={"validationErrors": told}, problems=violations)
        raise PasswordRefused(error, "Password policy violation", errors=told)
    user = db.session.get(User, user_id)
    if user is None:
        raise PasswordRefused(Refused("user_not_found"), "User not found")
    was_forced = user.must_change_password
    if not was_forced:
        _compare_with_current(user, current, new, actor, now)
    new_hash = passwords.hash_password(new)
    with writing() as session:
        session.refresh(user)
        user.password_hash, user.must_change_password, user.updated_at = new_hash, False, now
        sessions.delete_of_user(user.id, keep=kept_session)
        record_entry("change_password", "auth", now=now, actor=actor, details={"was_forced": was_forced})


def _compare_with_current(user: User, current: str | None, new: str, actor: Actor, now: datetime) -> None:
    error = Refused("current_password_incorrect", "current")
    wrong = PasswordRefused(error, "Invalid current password")
    if not current:
        raise wrong
    sign_in.check_password(
        user.username, current, user.password_hash, wrong, address=actor.ip_address, now=now, is_sign_in=False
    )
    if new == current:
        same = Refused("new_password_same_as_current", "new")
        raise PasswordRefused(same, "New password same as current")


def recover_account(username: str, password: str, *, now: datetime) -> None:
    """Set the password of an account from the shell, unlock it, and end its sessions.

    Raise Refused for a password that does not fit and Refused (404) for an unknown name. Uses the standard policy and
    ignores PWD_MIN_LEN and PWD_ENFORCE, since it is the last way to recover an account.
    """
    details = {"targetUser": username, "method": "cli"}
    violations = passwords.policy_of(Settings()).find_violations(password)
    if violations:
        raise Refused("password_too_weak", problems=violations)
    user = find_by_name(username)
    if user is None:
        details["error"] = "User not found"
        record_entry("admin_password_reset_cli", "system", now=now, status="failure", details=details)
        raise Refused("username_unknown", "username", name=username)
    new_hash = passwords.hash_password(password)
    with writing() as session:
        session.refresh(user)
        user.password_hash, user.must_change_password, user.updated_at = new_hash, False, now
        sign_in.unlock_name(username)
        sessions.delete_of_user(user.id)
        record_entry("admin_password_reset_cli", "system", now=now, actor=SYSTEM, details=details)


def unlock_by_name(username: str, *, now: datetime) -> None:
    """Unlock an account from the shell. Raise Refused (404)."""
    with writing():
        user = find_by_name(username)
        if user is None:
            raise Refused("username_unknown", "username", name=username)
        sign_in.unlock_name(username)
        user.updated_at = now
        details = {"targetUser": username, "method": "cli"}
        record_entry("account_unlocked_cli", "system", now=now, actor=SYSTEM, details=details)


# Management by administrators: list, create, change and delete accounts, and the servers they may see

SHORTEST_NAME, LONGEST_NAME = 3, 50


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to create. A blank password means a generated one.

    `server_ids` count unless it sees all servers.
    """

    username: str
    password: str = ""
    is_admin: bool = False
    must_change_password: bool = True
    sees_all_servers: bool = True
    server_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AccountChange:
    """Changes of an account; None leaves a value unchanged."""

    username: str | None = None
    is_admin: bool | None = None
    must_change_password: bool | None = None
    resets_password: bool = False
    sees_all_servers: bool | None = None
    server_ids: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """An account, its servers, and the temporary password if one was just generated."""

    user: User
    server_ids: tuple[str, ...]
    temporary_password: str | None = None


@dataclass(frozen=True, slots=True)
class AccountPage:
    """A page of accounts by name, and their total number."""

    accounts: list[Account]
    total: int


def list_accounts(*, search: str = "", offset: int = 0, limit: int = 50) -> AccountPage:
    """Return the accounts whose names contain a text, ignoring case."""
    found = holds(search, User.username)
    wanted = select(User).where(found).order_by(User.username).offset(offset).limit(limit)
    users = list(db.session.scalars(wanted))
    total = db.session.scalar(select(func.count()).select_from(User).where(found)) or 0
    lists = _server_ids_of([user.id for user in users])
    return AccountPage([Account(user, lists.get(user.id, ())) for user in users], total)


def create_account(new: NewAccount, *, actor: Actor, now: datetime) -> Account:
    """Create an account.

    Raise Refused for an invalid name or password, Refused (409) for a name in use.
    """
    username = normalise_name(new.username)
    if not SHORTEST_NAME <= len(new.username) <= LONGEST_NAME:  # wire: as sent, with its blanks
        raise Refused("username_length", "username", least=SHORTEST_NAME, most=LONGEST_NAME)
    temporary = None if new.password.strip() else passwords.make_temporary(passwords.policy())
    password = temporary or new.password
    _check_password(password)
    user = User(
        id=str(uuid.uuid4()),
        username=username,
        password_hash=passwords.hash_password(password),
        is_admin=new.is_admin,
        must_change_password=new.must_change_password,
        sees_all_servers=new.sees_all_servers,
        created_at=now,
        updated_at=now,
    )
    with writing() as session:
        session.add(user)
        _flush_name(session)
        _replace_server_ids(session, user.id, new.server_ids)
        details = {
            "is_admin": user.is_admin,
            "must_change_password": user.must_change_password,
            "temp_password": temporary is not None,
            "created_by": actor.username,
            "targetUsername": username,
        }
        _record("user_created", user.id, details, actor=actor, now=now)
    return Account(user, tuple(sorted(new.server_ids)), temporary)


def change_account(
    user_id: str, change: AccountChange, *, actor: Actor, now: datetime, kept_session: str | None = None
) -> Account:
    """Change an account.

    A reset sets a temporary password and ends its sessions except `kept_session` (a hash). Raise NotFound, Conflict
    for a name in use, and Refused if no administrator would be left.
    """
    _existing(db.session(), user_id)
    temporary = passwords.make_temporary(passwords.policy()) if change.resets_password else None
    password_hash = passwords.hash_password(temporary) if temporary else None
    with writing() as session:
        user = _existing(session, user_id, for_update=True)
        if user.is_admin and change.is_admin is False:
            _check_other_admins(session, user, Refused("last_admin_demoted", "is_admin"))
        before = _audited_values(user)
        old_name = user.username
        _apply(session, user, change)
        user.updated_at = now
        if password_hash is not None:
            user.password_hash, user.must_change_password = password_hash, True
            sessions.delete_of_user(user.id, keep=kept_session)
        _flush_name(session)
        if temporary:
            details = {"reset_by": actor.username, "temp_password": True, "targetUsername": old_name}
            _record("password_reset", user.id, details, actor=actor, now=now)
        else:
            differences = _differences(before, _audited_values(user))
            _record("user_updated", user.id, {**differences, "targetUsername": old_name}, actor=actor, now=now)
        server_ids = _server_ids_of([user.id]).get(user.id, ())
    return Account(user, server_ids, temporary)


def find_account(user_id: str) -> Account:
    """Return one account with its servers. Raise Refused (404)."""
    user = _existing(db.session(), user_id)
    return Account(user, _server_ids_of([user.id]).get(user.id, ()))


def unlock_account(user_id: str, *, actor: Actor, now: datetime) -> None:
    """Unlock an account that was locked after too many wrong passwords.

    Raise Refused (404).
    """
    with writing() as session:
        user = _existing(session, user_id, for_update=True)
        sign_in.unlock_name(user.username)
        user.updated_at = now
        _record("account_unlocked", user.id, {"targetUsername": user.username}, actor=actor, now=now)


def delete_account(user_id: str, *, actor: Actor, now: datetime) -> None:
    """Delete an account with its sessions.

    Raise Refused (404), and Refused for the actor's own account and the last administrator.
    """
    with writing() as session:
        user = _existing(session, user_id, for_update=True)
        if user.id == actor.user_id:
            raise Refused("own_account_kept")
        if user.is_admin:
            _check_other_admins(session, user, Refused("last_admin_kept"))
        details = {
            "deleted_username": user.username,
            "was_admin": user.is_admin,
            "deleted_by": actor.username,
            "targetUsername": user.username,
        }
        _record("user_deleted", user.id, details, actor=actor, now=now)
        session.flush()
        session.delete(user)


def normalise_name(text: str) -> str:
    """Return a name as it is stored: without surrounding blanks, in lower case."""
    return text.strip().lower()


def _existing(session: Session, user_id: str, *, for_update: bool = False) -> User:
    user = session.get(User, user_id, with_for_update=for_update, populate_existing=for_update)
    if user is None:
        raise Refused("user_not_found")
    return user


def _check_password(password: str) -> None:
    violations = passwords.policy().find_violations(password)
    if violations:
        told = [violation.message for violation in violations]
        raise Refused("password_policy_not_met", "password", body={"validationErrors": told}, problems=violations)


def _check_other_admins(session: Session, user: User, refusal: Refused) -> None:
    """Raise the refusal unless there is another administrator.

    All of them are locked, so that two cannot be removed at the same time.
    """
    admins = session.scalars(select(User.id).where(User.is_admin).with_for_update()).all()
    if set(admins) <= {user.id}:
        raise refusal


def _flush_name(session: Session) -> None:
    try:
        session.flush()
    except IntegrityError as error:  # only names can collide here
        raise Refused("username_taken", "username") from error


def _apply(session: Session, user: User, change: AccountChange) -> None:
    user.username = normalise_name(change.username or "") or user.username
    if change.is_admin is not None:
        user.is_admin = change.is_admin
    if change.must_change_password is not None:
        user.must_change_password = change.must_change_password
    if change.sees_all_servers is not None:
        user.sees_all_servers = change.sees_all_servers
    if change.server_ids is not None:
        _replace_server_ids(session, user.id, change.server_ids)


def _replace_server_ids(session: Session, user_id: str, server_ids: frozenset[str]) -> None:
    known = set(session.scalars(select(Server.id).where(Server.id.in_(server_ids))))
    unknown = sorted(server_ids - known)
    if unknown:
        raise Refused("account_server_unknown", "server_ids", server=unknown[0])
    session.execute(delete(ServerAccess).where(ServerAccess.user_id == user_id))
    session.add_all(ServerAccess(user_id=user_id, server_id=server_id) for server_id in sorted(server_ids))
    session.flush()


def _server_ids_of(user_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    wanted = select(ServerAccess).where(ServerAccess.user_id.in_(user_ids)).order_by(ServerAccess.server_id)
    lists: dict[str, tuple[str, ...]] = {}
    for access in db.session.scalars(wanted):
        lists[access.user_id] = (*lists.get(access.user_id, ()), access.server_id)
    return lists


def _audited_values(user: User) -> dict[str, Any]:
    """Return the fields of a user that the audit log records when they change."""
    return {
        "username": user.username,
        "is_admin": user.is_admin,
        "must_change_password": user.must_change_password,
        "all_servers": user.sees_all_servers,
        "server_ids": list(_server_ids_of([user.id]).get(user.id, ())),
    }


def _differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {name: {"from": before[name], "to": after[name]} for name in before if before[name] != after[name]}


def _record(action: str, user_id: str, details: dict[str, Any], *, actor: Actor, now: datetime) -> None:
    record_entry(action, "user", now=now, actor=actor, target_type="user", target_id=user_id, details=details)
