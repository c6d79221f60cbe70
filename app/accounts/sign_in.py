"""Sign-in, and limits of wrong passwords.

Wrong passwords are counted by name and network, which are locked for a while after too many. A lock stops sign-ins
with one name from one network only, not sessions or other networks, so that an attacker cannot lock out a user. Names
that exist and names that do not are treated alike.

Two rates apply as well, in the memory of the process. They count wrong passwords: of each network, for any name, and
of each name, which slows down guessing from many networks. The second one excludes networks that have signed in with
the name before.
"""

import logging
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, delete, func, or_, select, update
from sqlalchemy.orm import Session

from app.accounts import passwords
from app.accounts.models import SignInNetwork, User
from app.accounts.network_access import rate_key
from app.audit.log import Actor, record_entry
from app.core.db.faults import DATABASE_ERRORS, Fault, fault_of
from app.core.db.orm import db, writing
from app.core.errors import Refused
from app.core.instants import iso
from app.core.rate_limits import Limiter, limiter
from app.database import secrets

log = logging.getLogger(__name__)

TRIES = 5
LOCK_TIME = timedelta(minutes=15)
FAILURES_KEPT, SUCCESSES_KEPT = timedelta(days=1), timedelta(days=90)
# Maximum of rows of networks that never signed in; the oldest are deleted.
MOST_FAILING = 10_000
# Wrong passwords per minute and at once; also of log lines about them.
RATES = {"network": (6, 30), "name": (2, 60), "logged": (1, 1)}


@dataclass(frozen=True, slots=True)
class Guess:
    """A counted attempt.

    How many there were, whether the password may be checked, and until when the lock lasts.
    """

    name: str
    network: str
    count: int
    is_checked: bool
    locked_until: datetime | None


class PasswordRefused(Exception):
    """A rejected password: the error to answer with, and the reason for the audit log."""

    def __init__(self, error: Refused, reason: str, **details: object) -> None:
        super().__init__(error.message)
        self.error = error
        self.audit_details = {"reason": reason, **details}


def check_password(
    name: str,
    password: str,
    stored_hash: str,
    wrong: PasswordRefused,
    *,
    address: str | None,
    now: datetime,
    is_sign_in: bool = True,
) -> None:
    """Check a password that was sent from an address, and count a wrong one.

    Every wrong password counts for the lock; the account shows only those of sign-ins, as the compatibility rules
    say. Raise `wrong` for a wrong one, another PasswordRefused while locked, and Refused (429).
    """
    guess = _count_try(name, address, now, is_sign_in=is_sign_in)
    if guess.is_checked and passwords.is_right(password, stored_hash):
        return _note_right_password(guess, now)
    if guess.locked_until is None:
        wrong.audit_details["failed_attempts"] = guess.count
        raise wrong
    minutes = max(1, math.ceil((guess.locked_until - now) / timedelta(minutes=1)))
    body = {"lockedUntil": guess.locked_until, "minutesRemaining": minutes}
    error = Refused("account_locked", body=body, num=minutes)
    if not guess.is_checked:
        raise PasswordRefused(error, "Account locked", minutes_remaining=minutes)
    until = iso(guess.locked_until)
    raise PasswordRefused(error, "Too many failed attempts", failed_attempts=guess.count, locked_until=until)


def limit_network(address: str | None, now: datetime) -> None:
    """Count a failure of a network, which a right password takes back.

    Raise Refused (429).
    """
    _limit("network", _network_of(address), now)


def unlock_name(name: str) -> None:
    """Delete all wrong passwords of a name; joins the open transaction."""
    _limiter("name").forget(name)
    with writing() as session:
        cleared = update(SignInNetwork).where(SignInNetwork.username == name)
        session.execute(cleared.values(failed_count=0, failed_at=None, locked_until=None))
        _update_account(session, name, failed_login_attempts=0)


def purge_networks(now: datetime) -> int:
    """Delete rows that are too old to count and return their number."""
    has_no_failures = or_(SignInNetwork.failed_at.is_(None), SignInNetwork.failed_at < now - FAILURES_KEPT)
    is_unknown = or_(SignInNetwork.signed_in_at.is_(None), SignInNetwork.signed_in_at < now - SUCCESSES_KEPT)
    with writing() as session:
        result = session.execute(delete(SignInNetwork).where(has_no_failures, is_unknown))
    assert isinstance(result, CursorResult)  # noqa: S101 (tells the type checker what a DELETE returns)
    return result.rowcount


def _count_try(name: str, address: str | None, now: datetime, *, is_sign_in: bool) -> Guess:
    """Count an attempt before its password is checked, and lock at the last one.

    An expired lock starts again. So a hundred attempts at once are not a hundred guesses: five are checked, and the
    rest find the name locked.

    Raise Refused (429) if the network has tried too often, or if too many networks have tried the name and this one
    has never signed in with it.
    """
    network = _network_of(address)
    limit_network(address, now)
    known = _find(db.session(), name, network)
    if known is not None and known.is_locked(now):
        return _guess(known, is_checked=False)
    if known is None or known.signed_in_at is None:
        _limit("name", name, now)
    with writing() as session:
        row = _find(session, name, network) or _add(session, name, network)
        if row.is_locked(now):
            return _guess(row, is_checked=False)
        before: Any = User.failed_login_attempts
        if row.locked_until is not None:
            row.failed_count, row.locked_until, before = 0, None, 0
        row.failed_count, row.failed_at = row.failed_count + 1, now
        if row.failed_count >= TRIES:
            row.locked_until = now + LOCK_TIME
        _update_account(session, name, failed_login_attempts=before + 1 if is_sign_in else User.failed_login_attempts)
        return _guess(row, is_checked=True)


def _note_right_password(guess: Guess, now: datetime) -> None:
    """Take back a counted attempt whose password was right.

    The network is known from now on.
    """
    for what, key in (("network", guess.network), ("name", guess.name)):
        _limiter(what).give_back(key)
    with writing() as session:
        row = _find(session, guess.name, guess.network) or _add(session, guess.name, guess.network)
        row.failed_count, row.failed_at, row.locked_until, row.signed_in_at = 0, None, None, now
        _update_account(session, guess.name, failed_login_attempts=0)


def _find(session: Session, name: str, network: str) -> SignInNetwork | None:
    wanted = select(SignInNetwork).where(SignInNetwork.username == name, SignInNetwork.network == network)
    return session.scalars(wanted.execution_options(populate_existing=True)).one_or_none()


def _add(session: Session, name: str, network: str) -> SignInNetwork:
    failing = select(SignInNetwork.id).where(SignInNetwork.signed_in_at.is_(None))
    surplus = failing.order_by(SignInNetwork.failed_at.desc()).offset(MOST_FAILING - 1)
    session.execute(delete(SignInNetwork).where(SignInNetwork.id.in_(session.scalars(surplus).all())))
    row = SignInNetwork(username=name, network=network, failed_count=0)
    session.add(row)
    return row


def _guess(row: SignInNetwork, *, is_checked: bool) -> Guess:
    return Guess(row.username, row.network, row.failed_count, is_checked, row.locked_until)


def _update_account(session: Session, name: str, failed_login_attempts: Any) -> None:
    """Store wrong passwords and the last lock in the account, if it exists.

    Lists of accounts show them.
    """
    last_lock = select(func.max(SignInNetwork.locked_until)).where(SignInNetwork.username == name).scalar_subquery()
    values = {"failed_login_attempts": failed_login_attempts, "locked_until": last_lock}
    changed = update(User).where(User.username == name).values(**values)
    session.flush()
    session.execute(changed, execution_options={"synchronize_session": "fetch"})


def _limit(what: str, key: str, now: datetime) -> None:
    retry_after_s = _limiter(what).allow(key, now)
    if retry_after_s is None:
        return
    if _limiter("logged").allow(what, now) is None:
        log.warning("too many wrong passwords for one %s (%s); further attempts are rejected for a while", what, key)
    raise Refused("too_many_attempts", retry_after_s=retry_after_s)


def _network_of(address: str | None) -> str:
    """Return the key that attempts are counted by.

    The address, or the /64 network of an IPv6 address.
    """
    return rate_key(address or "unknown")


def _limiter(what: str) -> Limiter:
    return limiter(f"sign-in {what}", *RATES[what])


# Signing in: check, record, replace old hashes, and detect a changed master key

# Maximum length of a name; longer ones are truncated before anything is searched or recorded.
LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The user who signed in.

    Also whether stored secrets were dropped because the master key has changed.
    """

    user: User
    is_key_changed: bool


def sign_in_user(username: str, password: str, *, actor: Actor, now: datetime) -> SignedIn:
    """Check a name and a password and record the sign-in.

    The caller creates the session. Raise Refused with the `errorCode` of the API: missing credentials (400), wrong
    ones (401), locked (403), too many attempts (429), database unavailable (503). Every result is recorded except too
    many attempts, which are logged.
    """
    try:
        return _login(username, password, actor, now)
    except DATABASE_ERRORS as error:
        if fault_of(error) in (None, Fault.DAMAGED):  # the first is a bug, the second has its own response
            raise
        log.error("sign-in failed because the database cannot be used: %s", error)
        raise Refused("database_not_ready") from error


def _login(username: str, password: str, actor: Actor, now: datetime) -> SignedIn:
    name = username[:LONGEST_NAME]
    if not name or not password:
        limit_network(actor.ip_address, now)
        _record_failure(actor, name or None, now, reason="Missing credentials")
        raise Refused("required_credentials")
    user = db.session.scalars(select(User).where(User.username == name)).one_or_none()
    known = Actor(user.id if user else None, name, actor.ip_address, actor.user_agent)
    # Checking this hash takes as long as checking that of an account.
    checked_hash = user.password_hash if user else passwords.dummy_hash()
    error = Refused("invalid_credentials")
    wrong = PasswordRefused(error, "Invalid password" if user else "Invalid credentials")
    try:
        check_password(name, password, checked_hash, wrong, address=actor.ip_address, now=now)
    except PasswordRefused as refusal:
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
