"""Signing in: counts failures, locks, brings old hashes up to date, and looks whether the master key was exchanged.

A try is counted before the password is checked, under the write lock. So a hundred tries at once are not a hundred
guesses: five are checked, and the rest find the account locked.
"""

import logging
import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from app.contracts import AppError
from app.contracts.errors import Forbidden, Unauthorized, Unavailable
from app.domain.instants import iso
from app.models import User
from app.services import passwords, secrets
from app.services.audit import Actor, record_entry
from app.services.database_faults import DATABASE_ERRORS, Fault, fault_of
from app.services.transaction import writing

log = logging.getLogger(__name__)

TRIES = 5
LOCK_TIME = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who signed in, and whether stored secrets were dropped because the master key is another one."""

    user: User
    is_key_changed: bool


@dataclass(frozen=True, slots=True)
class Try:
    """A counted try: the account as it stood, how many tries there were, and whether this one may be checked."""

    user: User
    password_hash: str
    count: int
    is_checked: bool
    locked_until: datetime | None


def login(username: str, password: str, *, actor: Actor, now: datetime) -> SignedIn:
    """Check a name and a password and note the sign-in. The session is the caller's business.

    Raises AppError with the contract's `errorCode`: missing credentials (400), wrong ones (401), a locked account
    (403), a database out of reach (503). Every outcome is recorded.
    """
    try:
        return _login(username, password, actor, now)
    except DATABASE_ERRORS as error:
        if fault_of(error) in (None, Fault.DAMAGED):  # the first is a mistake of ours, the second has its own answer
            raise
        log.error("nobody can sign in, the database cannot be used: %s", error)
        raise Unavailable("The database is not ready", errorCode="DATABASE_NOT_READY") from error


def _login(username: str, password: str, actor: Actor, now: datetime) -> SignedIn:
    if not username or not password:
        _record_failure(actor, username or None, now, reason="Missing credentials")
        raise AppError("Username and password are required", errorCode="REQUIRED_CREDENTIALS")
    counted = _count_try(username, now)
    if counted is None:
        passwords.waste_time(password)
        _record_failure(actor, username, now, reason="Invalid credentials")
        raise _wrong_credentials()
    user = counted.user
    known = Actor(user.id, user.username, actor.ip_address, actor.user_agent)
    if not counted.is_checked:
        assert counted.locked_until is not None  # noqa: S101 (that is why it is not checked)
        minutes = _minutes_until(counted.locked_until, now)
        _record_failure(known, user.username, now, reason="Account locked", minutes_remaining=minutes)
        raise _locked(counted.locked_until, now)
    if not passwords.is_right(password, counted.password_hash):
        _refuse_password(counted, known, now)
    new_hash = passwords.hash_password(password) if passwords.needs_new_hash(counted.password_hash) else None
    _note_success(user, known, now, new_hash, counted.password_hash)
    return SignedIn(user, secrets.check_key(user.id, user.username, now=now))


def _count_try(username: str, now: datetime) -> Try | None:
    """Count a try and lock with the last one; None for an unknown name. A lock that has passed starts afresh."""
    with writing() as session:
        query = select(User).where(User.username == username).with_for_update()
        user = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
        if user is None:
            return None
        if user.is_locked(now):
            return Try(user, user.password_hash, user.failed_login_attempts, False, user.locked_until)
        if user.locked_until is not None:
            user.failed_login_attempts, user.locked_until = 0, None
        user.failed_login_attempts += 1
        if user.failed_login_attempts >= TRIES:
            user.locked_until = now + LOCK_TIME
        return Try(user, user.password_hash, user.failed_login_attempts, True, user.locked_until)


def _refuse_password(counted: Try, known: Actor, now: datetime) -> None:
    count = counted.count
    if counted.locked_until is None:
        _record_failure(known, known.username, now, reason="Invalid password", failed_attempts=count)
        raise _wrong_credentials()
    until = iso(counted.locked_until)
    _record_failure(
        known, known.username, now, reason="Too many failed attempts", failed_attempts=count, locked_until=until
    )
    raise _locked(counted.locked_until, now)


def _note_success(user: User, known: Actor, now: datetime, new_hash: str | None, checked_hash: str) -> None:
    with writing() as session:
        session.refresh(user)
        if new_hash is not None and user.password_hash == checked_hash:
            user.password_hash = new_hash
        user.failed_login_attempts, user.locked_until = 0, None
        user.last_login_at, user.last_login_ip = now, known.ip_address
        details = {"is_admin": user.is_admin, "must_change_password": user.must_change_password}
        record_entry("login", "auth", now=now, actor=known, details=details)


def _record_failure(actor: Actor, username: str | None, now: datetime, **details: object) -> None:
    who = Actor(actor.user_id, username, actor.ip_address, actor.user_agent)
    record_entry("login", "auth", now=now, actor=who, status="failure", details=details)


def _wrong_credentials() -> AppError:
    return Unauthorized("Invalid username or password", errorCode="INVALID_CREDENTIALS")


def _locked(until: datetime, now: datetime) -> AppError:
    minutes = _minutes_until(until, now)
    sentence = f"The account is locked after too many wrong passwords; try again in {minutes} minutes"
    return Forbidden(sentence, errorCode="ACCOUNT_LOCKED", lockedUntil=until, minutesRemaining=minutes)


def _minutes_until(until: datetime, now: datetime) -> int:
    return max(1, math.ceil((until - now) / timedelta(minutes=1)))
