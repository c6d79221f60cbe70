"""Signing in: checks and records, brings old hashes up to date, and looks whether the master key was exchanged."""

import logging
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.contracts import AppError
from app.contracts.errors import Unauthorized, Unavailable
from app.extensions import db
from app.models import User
from app.services import guesses, passwords, secrets
from app.services.audit import Actor, record_entry
from app.services.database_faults import DATABASE_ERRORS, Fault, fault_of
from app.services.transaction import writing

log = logging.getLogger(__name__)

# What a name can have; longer ones are cut before anything is looked for or recorded.
LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who signed in, and whether stored secrets were dropped because the master key is another one."""

    user: User
    is_key_changed: bool


def login(username: str, password: str, *, actor: Actor, now: datetime) -> SignedIn:
    """Check a name and a password and note the sign-in. The session is the caller's business.

    Raises AppError with the contract's `errorCode`: missing credentials (400), wrong ones (401), a lock (403), too many
    attempts (429), a database out of reach (503). Every outcome is recorded but too many attempts, which are logged.
    """
    try:
        return _login(username, password, actor, now)
    except DATABASE_ERRORS as error:
        if fault_of(error) in (None, Fault.DAMAGED):  # the first is a mistake of ours, the second has its own answer
            raise
        log.error("nobody can sign in, the database cannot be used: %s", error)
        raise Unavailable("The database is not ready", errorCode="DATABASE_NOT_READY") from error


def _login(username: str, password: str, actor: Actor, now: datetime) -> SignedIn:
    name = username[:LONGEST_NAME]
    if not name or not password:
        guesses.limit_network(actor.ip_address, now)
        _record_failure(actor, name or None, now, reason="Missing credentials")
        raise AppError("Username and password are required", errorCode="REQUIRED_CREDENTIALS")
    user = db.session.scalars(select(User).where(User.username == name)).one_or_none()
    known = Actor(user.id if user else None, name, actor.ip_address, actor.user_agent)
    # The hash of nobody costs as much time to check as that of an account.
    checked_hash = user.password_hash if user else passwords.nobodys_hash()
    error = Unauthorized("Invalid username or password", errorCode="INVALID_CREDENTIALS")
    wrong = guesses.PasswordRefused(error, "Invalid password" if user else "Invalid credentials")
    try:
        guesses.check_password(name, password, checked_hash, wrong, address=actor.ip_address, now=now)
    except guesses.PasswordRefused as refusal:
        _record_failure(known, name, now, **refusal.audit_details)
        raise refusal.error from None
    assert user is not None  # noqa: S101 (nobody knows the password of nobody)
    new_hash = passwords.hash_password(password) if passwords.needs_new_hash(checked_hash) else None
    _note_success(user, known, now, new_hash, checked_hash)
    return SignedIn(user, secrets.check_key(user.id, user.username, now=now))


def _note_success(user: User, known: Actor, now: datetime, new_hash: str | None, checked_hash: str) -> None:
    with writing() as session:
        session.refresh(user)
        if new_hash is not None and user.password_hash == checked_hash:
            user.password_hash = new_hash
        user.last_login_at, user.last_login_ip = now, known.ip_address
        details = {"is_admin": user.is_admin, "must_change_password": user.must_change_password}
        record_entry("login", "auth", now=now, actor=known, details=details)


def _record_failure(actor: Actor, username: str | None, now: datetime, **details: object) -> None:
    who = Actor(actor.user_id, username, actor.ip_address, actor.user_agent)
    record_entry("login", "auth", now=now, actor=who, status="failure", details=details)
