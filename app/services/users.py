"""Accounts: the first administrator, passwords, and the way back in for those who lost theirs."""

import logging
import secrets
from datetime import datetime

from sqlalchemy import select

from app.contracts import AppError
from app.contracts.errors import NotFound, Unauthorized
from app.extensions import db
from app.models import User
from app.services import guesses, passwords, session_store
from app.services.audit import SYSTEM, Actor, record_entry
from app.services.guesses import PasswordRefused
from app.services.transaction import writing
from app.settings import DEFAULT_PASSWORD, Settings

log = logging.getLogger(__name__)

ADMIN_NAME = "admin"


def ensure_admin(chosen: Settings, *, now: datetime) -> None:
    """Create the administrator `admin` in a database without any account.

    The password is ADMIN_PASSWORD, else the documented one. It has to be changed at the first sign-in unless it fits
    the policy, which the documented one never does. Later starts touch no account, so that an administrator who was
    renamed or deleted does not come back with a known password.
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
    log.info("made the account %r", ADMIN_NAME)


def find_by_name(username: str) -> User | None:
    """The account with exactly this name."""
    return db.session.scalars(select(User).where(User.username == username)).one_or_none()


def must_admin_change_password() -> bool:
    """Whether the account `admin` still waits for its first own password."""
    admin = find_by_name(ADMIN_NAME)
    return admin is not None and admin.must_change_password


def change_password(
    user_id: str, current: str | None, new: str, *, actor: Actor, now: datetime, kept_session: str | None = None
) -> None:
    """Let a user choose a new password; all sessions of the user but `kept_session` (its hash) end.

    The current password has to be right, unless the change was forced; wrong ones count as at a sign-in. Raises
    AppError, NotFound, Unauthorized and Forbidden, each with the contract's `errorCode`, and records them; and
    TooManyRequests.
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
        error = AppError("New password is required", errorCode="NEW_PASSWORD_REQUIRED")
        raise PasswordRefused(error, "Missing new password")
    violations = passwords.policy().find_violations(new)
    if violations:
        sentence = "New password does not meet policy requirements"
        error = AppError(sentence, errorCode="POLICY_NOT_MET", validationErrors=violations)
        raise PasswordRefused(error, "Password policy violation", errors=violations)
    user = db.session.get(User, user_id)
    if user is None:
        raise PasswordRefused(NotFound("User not found", errorCode="USER_NOT_FOUND"), "User not found")
    was_forced = user.must_change_password
    if not was_forced:
        _compare_with_current(user, current, new, actor, now)
    new_hash = passwords.hash_password(new)
    with writing() as session:
        session.refresh(user)
        user.password_hash, user.must_change_password, user.updated_at = new_hash, False, now
        session_store.delete_of_user(user.id, keep=kept_session)
        record_entry("change_password", "auth", now=now, actor=actor, details={"was_forced": was_forced})


def _compare_with_current(user: User, current: str | None, new: str, actor: Actor, now: datetime) -> None:
    error = Unauthorized("Current password is incorrect", errorCode="CURRENT_PASSWORD_INCORRECT")
    wrong = PasswordRefused(error, "Invalid current password")
    if not current:
        raise wrong
    guesses.check_password(
        user.username, current, user.password_hash, wrong, address=actor.ip_address, now=now, is_sign_in=False
    )
    if new == current:
        sentence = "The new password has to differ from the current one"
        same = AppError(sentence, errorCode="NEW_PASSWORD_SAME_AS_CURRENT")
        raise PasswordRefused(same, "New password same as current")


def recover_account(username: str, password: str, *, now: datetime) -> None:
    """Give an account a new password from the shell, and open it if it is locked. Its sessions end.

    Raises AppError for a password that does not fit and NotFound for an unknown name. Held to the standard policy,
    whatever PWD_MIN_LEN and PWD_ENFORCE say, since it is the way back in.
    """
    details = {"targetUser": username, "method": "cli"}
    violations = passwords.policy_of(Settings()).find_violations(password)
    if violations:
        raise AppError(". ".join(violations))
    user = find_by_name(username)
    if user is None:
        details["error"] = "User not found"
        record_entry("admin_password_reset_cli", "system", now=now, status="failure", details=details)
        raise NotFound(f"There is no user {username!r}")
    new_hash = passwords.hash_password(password)
    with writing() as session:
        session.refresh(user)
        user.password_hash, user.must_change_password, user.updated_at = new_hash, False, now
        guesses.unlock(username)
        session_store.delete_of_user(user.id)
        record_entry("admin_password_reset_cli", "system", now=now, actor=SYSTEM, details=details)


def unlock_account(username: str, *, now: datetime) -> None:
    """Open an account from the shell that too many wrong passwords have locked. Raises NotFound."""
    with writing():
        user = find_by_name(username)
        if user is None:
            raise NotFound(f"There is no user {username!r}")
        guesses.unlock(username)
        user.updated_at = now
        details = {"targetUser": username, "method": "cli"}
        record_entry("account_unlocked_cli", "system", now=now, actor=SYSTEM, details=details)
