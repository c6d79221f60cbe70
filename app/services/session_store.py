"""Session rows: one browser each. The cookie's value goes out once and is kept only as its SHA-256."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, delete, select, update

from app.extensions import db
from app.models import Session, User
from app.services.freshness import cache
from app.services.transaction import writing

LIFETIME = timedelta(hours=24)
TOKEN_LIFETIME = timedelta(minutes=30)
# A token that ends sooner than this is replaced when asked for, so that a form stays good while it is filled in.
TOKEN_RESERVE = timedelta(minutes=5)
# The time of the last use is kept to the minute: a write for every read would cost more than the read.
TOUCH_INTERVAL = timedelta(minutes=1)
# Of rows without an account, for each address.
ANONYMOUS_ROWS = 50


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A live session as it was read, together with its user (None for an anonymous one).

    One that is not `is_stored` has no row: the cookie holds all of it.
    """

    id_hash: str
    user: User | None
    last_accessed_at: datetime
    csrf_token: str | None
    csrf_expires_at: datetime | None
    expires_at: datetime
    data: Mapping[str, Any]
    is_stored: bool = True


@dataclass(frozen=True, slots=True)
class Browser:
    """From where a session is used."""

    ip_address: str | None = None
    user_agent: str | None = None


def hash_of(session_id: str) -> str:
    """The key under which a session's row is kept."""
    return hashlib.sha256(session_id.encode()).hexdigest()


def find(session_id: str, now: datetime) -> StoredSession | None:
    """A session and its user; None when it is unknown or has expired. The user is for reading only."""
    id_hash = hash_of(session_id)
    stored = cache().get(("session", id_hash), lambda: _read(id_hash))
    return stored if stored is not None and stored.expires_at > now else None


def _read(id_hash: str) -> StoredSession | None:
    columns = (
        Session.id_hash,
        User,
        Session.last_accessed_at,
        Session.csrf_token,
        Session.csrf_expires_at,
        Session.expires_at,
        Session.data,
    )
    query = select(*columns).outerjoin(User, User.id == Session.user_id).where(Session.id_hash == id_hash)
    row = db.session.execute(query).one_or_none()
    if row is None:
        return None
    if row.User is not None:
        db.session.expunge(row.User)  # shared by the requests to come, so it belongs to no transaction
    return StoredSession(*row)


def create(
    now: datetime,
    browser: Browser,
    *,
    user_id: str | None = None,
    data: Mapping[str, Any] | None = None,
    replaces: StoredSession | None = None,
) -> str:
    """Make a session that lives for a day and return the value for its cookie.

    A session that it `replaces` ends, but its CSRF token goes over, so that a page or a script that holds the token
    may go on after signing in. Expired sessions are cleared away in passing.
    """
    session_id = secrets.token_hex(32)
    with writing() as session:
        session.execute(delete(Session).where(Session.expires_at <= now))
        if replaces is not None:
            delete_by_hash(replaces.id_hash)
        session.add(
            Session(
                id_hash=hash_of(session_id),
                user_id=user_id,
                created_at=now,
                last_accessed_at=now,
                expires_at=now + LIFETIME,
                ip_address=browser.ip_address,
                user_agent=browser.user_agent,
                csrf_token=replaces.csrf_token if replaces else None,
                csrf_expires_at=replaces.csrf_expires_at if replaces else None,
                data=dict(data or {}),
            )
        )
    return session_id


def create_anonymous(now: datetime, browser: Browser) -> str:
    """Make a session that belongs to no account, as `create` does; the newest of an address stay."""
    with writing() as session:
        session_id = create(now, browser)
        is_older = Session.user_id.is_(None) & (Session.id_hash != hash_of(session_id))
        older = select(Session.id_hash).where(is_older, Session.ip_address == browser.ip_address)
        surplus = older.order_by(Session.created_at.desc()).offset(ANONYMOUS_ROWS - 1)
        session.execute(delete(Session).where(Session.id_hash.in_(session.scalars(surplus).all())))
    return session_id


def delete_by_hash(id_hash: str) -> None:
    """End one session."""
    with writing() as session:
        session.execute(delete(Session).where(Session.id_hash == id_hash))


def delete_of_user(user_id: str, *, keep: str | None = None) -> None:
    """End all sessions of a user, except the one whose hash is `keep`."""
    with writing() as session:
        session.execute(delete(Session).where(Session.user_id == user_id, Session.id_hash != (keep or "")))


def touch(id_hash: str, now: datetime, data: Mapping[str, Any]) -> None:
    """Note that a session was used, and keep its data."""
    with writing() as session:
        session.execute(update(Session).where(Session.id_hash == id_hash).values(last_accessed_at=now, data=dict(data)))


def purge_expired(now: datetime) -> int:
    """Delete expired sessions and return how many there were."""
    with writing() as session:
        result = session.execute(delete(Session).where(Session.expires_at <= now))
    assert isinstance(result, CursorResult)  # noqa: S101 (tells the type checker what a DELETE returns)
    return result.rowcount


def issue_token(id_hash: str, now: datetime) -> tuple[str, datetime]:
    """Return the session's CSRF token and when it ends; a new one when the old one ends soon.

    Decided within the writing transaction, so that two pages that ask at once are given the same token.
    """
    with writing() as session:
        query = select(Session.csrf_token, Session.csrf_expires_at).where(Session.id_hash == id_hash)
        token, expires_at = session.execute(query).one_or_none() or (None, None)
        if token is None or expires_at is None or not is_fresh(expires_at, now):
            token, expires_at = secrets.token_hex(32), now + TOKEN_LIFETIME
            session.execute(
                update(Session).where(Session.id_hash == id_hash).values(csrf_token=token, csrf_expires_at=expires_at)
            )
    return token, expires_at


def is_fresh(expires_at: datetime | None, now: datetime) -> bool:
    """Whether a token may be handed out once more."""
    return expires_at is not None and expires_at - now > TOKEN_RESERVE


def is_token_valid(stored: StoredSession, sent: str | None, now: datetime) -> bool:
    """Whether `sent` is the session's token and has not expired. Takes the same time wherever they differ."""
    if not sent or stored.csrf_token is None or stored.csrf_expires_at is None or stored.csrf_expires_at <= now:
        return False
    return hmac.compare_digest(stored.csrf_token.encode(), sent.encode())
