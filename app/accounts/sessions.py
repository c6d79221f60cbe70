"""Stored and anonymous sessions, and Flask's session that uses them."""

import hashlib
import hmac
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from flask import Flask, Request, Response
from flask import session as flask_session
from flask.sessions import SessionInterface, SessionMixin
from marshmallow import fields, validate
from sqlalchemy import CursorResult, delete, select, update

from app import runtime
from app.accounts.models import Session, User
from app.core.db.orm import cache, db, writing
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, declare
from app.runtime import settings

# Of the signatures of anonymous sessions.
ANONYMOUS_KEY = declare(
    Setting(
        "anonymous_session_key",
        str,
        default="",
        shape=fields.String(validate=validate.Regexp(r"(?:[0-9a-f]{64})?\Z")),
    )
)


LIFETIME = timedelta(hours=24)
TOKEN_LIFETIME = timedelta(minutes=30)
# A token that expires sooner than this is replaced when requested, so that it stays valid while a form is filled in.
TOKEN_RESERVE = timedelta(minutes=5)
# The time of the last use is stored to the minute: a write for each read would cost more than the read.
TOUCH_INTERVAL = timedelta(minutes=1)
# Maximum of rows without an account, for each address.
ANONYMOUS_ROWS = 50


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A live session with its user (None for an anonymous one).

    If not `is_stored`, it has no row: the cookie holds everything.
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
    """Address and user agent of the client of a session."""

    ip_address: str | None = None
    user_agent: str | None = None


def hash_of(session_id: str) -> str:
    """Return the key under which a session is stored."""
    return hashlib.sha256(session_id.encode()).hexdigest()


def find_stored(session_id: str, now: datetime) -> StoredSession | None:
    """Return a session with its user, for reading only.

    None if it is unknown or has expired.
    """
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
        db.session.expunge(row.User)  # shared by later requests, so it must not belong to a transaction
    return StoredSession(*row)


def create_stored(
    now: datetime,
    browser: Browser,
    *,
    user_id: str | None = None,
    data: Mapping[str, Any] | None = None,
    replaces: StoredSession | None = None,
) -> str:
    """Create a session that lasts a day and return the value of its cookie.

    A session that it `replaces` ends, but its CSRF token is kept, so that a page or script with the token can
    continue after signing in. Expired sessions are deleted at the same time.
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
    """Create a session without an account, as `create_stored` does.

    The newest of each address are kept.
    """
    with writing() as session:
        session_id = create_stored(now, browser)
        is_older = Session.user_id.is_(None) & (Session.id_hash != hash_of(session_id))
        older = select(Session.id_hash).where(is_older, Session.ip_address == browser.ip_address)
        surplus = older.order_by(Session.created_at.desc()).offset(ANONYMOUS_ROWS - 1)
        session.execute(delete(Session).where(Session.id_hash.in_(session.scalars(surplus).all())))
    return session_id


def delete_by_hash(id_hash: str) -> None:
    """Delete one session."""
    with writing() as session:
        session.execute(delete(Session).where(Session.id_hash == id_hash))


def delete_of_user(user_id: str, *, keep: str | None = None) -> None:
    """Delete all sessions of a user except the one with the hash `keep`."""
    with writing() as session:
        session.execute(delete(Session).where(Session.user_id == user_id, Session.id_hash != (keep or "")))


def touch_stored(id_hash: str, now: datetime, data: Mapping[str, Any]) -> None:
    """Record that a session was used, and store its data."""
    with writing() as session:
        session.execute(update(Session).where(Session.id_hash == id_hash).values(last_accessed_at=now, data=dict(data)))


def purge_expired(now: datetime) -> int:
    """Delete expired sessions and return their number."""
    with writing() as session:
        result = session.execute(delete(Session).where(Session.expires_at <= now))
    assert isinstance(result, CursorResult)  # noqa: S101 (tells the type checker what a DELETE returns)
    return result.rowcount


def issue_token(id_hash: str, now: datetime) -> tuple[str, datetime]:
    """Return the CSRF token of the session and when it expires.

    A new one if the old one expires soon. Done in one writing transaction, so that two pages that ask at the same
    time get the same token.
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
    """Whether a token may be issued again."""
    return expires_at is not None and expires_at - now > TOKEN_RESERVE


def is_token_valid(stored: StoredSession, sent: str | None, now: datetime) -> bool:
    """Whether `sent` is the session's token and has not expired.

    Compares in constant time.
    """
    if not sent or stored.csrf_token is None or stored.csrf_expires_at is None or stored.csrf_expires_at <= now:
        return False
    return hmac.compare_digest(stored.csrf_token.encode(), sent.encode())


# Anonymous sessions: the cookie holds everything, so that a visit stores nothing
#
# The id has the form of a stored session's, 32 bytes in hex: its start, random bytes, and a signature of both. A CSRF
# token is a signature of the id and of a period; a period is as long as tokens are issued.

KEY_SETTING = "anonymous_session_key"
BEGAN_BYTES, RANDOM_BYTES, SIGNATURE_BYTES = 4, 12, 16
PERIOD = TOKEN_LIFETIME - TOKEN_RESERVE


def ensure_key(now: datetime) -> None:
    """Create the key of the signatures if there is none. All processes share it."""
    if not settings_store.get(KEY_SETTING):
        settings_store.save(KEY_SETTING, secrets.token_hex(32), now=now)


def begin_anonymous(now: datetime) -> str:
    """Return a new id for the cookie."""
    content = int(now.timestamp()).to_bytes(BEGAN_BYTES) + secrets.token_bytes(RANDOM_BYTES)
    return (content + _sign(content)).hex()


def find_anonymous(session_id: str, now: datetime) -> StoredSession | None:
    """Return the session of an id with a fresh token.

    None for an invalid or expired id.
    """
    return next(with_tokens(session_id, now), None)


def with_tokens(session_id: str, now: datetime) -> Iterator[StoredSession]:
    """Yield the session with each token that is still valid, newest first."""
    began_at = _read_beginning(session_id)
    if began_at is None or abs(now - began_at) >= LIFETIME:
        return
    period = max(0, (now - began_at) // PERIOD)
    for number in (period, period - 1):
        expires_at = began_at + number * PERIOD + TOKEN_LIFETIME
        if number >= 0 and expires_at > now:
            token = _sign(f"token {number} {session_id}".encode(), size=32).hex()
            yield StoredSession(
                id_hash=hash_of(session_id),
                user=None,
                last_accessed_at=now,
                csrf_token=token,
                csrf_expires_at=expires_at,
                expires_at=began_at + LIFETIME,
                data={},
                is_stored=False,
            )


def _read_beginning(session_id: str) -> datetime | None:
    """Return when the session of an id began; None unless we signed it."""
    try:
        sent = bytes.fromhex(session_id)
    except ValueError:
        return None
    content, signature = sent[:-SIGNATURE_BYTES], sent[-SIGNATURE_BYTES:]
    if len(content) != BEGAN_BYTES + RANDOM_BYTES or not hmac.compare_digest(signature, _sign(content)):
        return None
    return datetime.fromtimestamp(int.from_bytes(content[:BEGAN_BYTES]), UTC)


def _sign(content: bytes, *, size: int = SIGNATURE_BYTES) -> bytes:
    # Hashed first: a restored database may hold a key of any length, or none until the next start.
    key = hashlib.sha256(str(settings_store.get(KEY_SETTING)).encode()).digest()
    return hashlib.blake2b(content, key=key, digest_size=size).digest()


# Flask's session, stored in the database; used by Flask-Login, the CSRF protection and flashed messages
#
# It is lazy: nothing is read until a view or an access rule uses the session, so public endpoints cost nothing; and
# nothing is written unless something changed or a minute has passed.

SESSION_COOKIE = "sessionId"
# wire: `POST /api/session` sets a second kind of cookie, which never signs anyone in
PLAIN_COOKIE = "session"
ID_LENGTH = 64
# Flask-Login stores the user id under this key; we store it in a column.
USER_KEY = "_user_id"


class ServerSession(SessionMixin):
    """The session of one request. A row is created when a value is set.

    A CSRF token needs only a cookie.
    """

    modified = False

    def __init__(self, request: Request) -> None:
        self._request = request
        self._is_loaded = False
        self._stored: StoredSession | None = None
        self._session_id: str | None = None
        self._data: dict[str, Any] = {}
        self._signs_in = False
        self._ends = False
        self._is_left = False
        self._cookie_lifetime: timedelta | None = None

    @property
    def is_live(self) -> bool:
        """Whether the cookie names a session that has not ended."""
        return self._load()._stored is not None

    @property
    def session_id(self) -> str | None:
        """The value of the cookie, if it names a live session."""
        return self._session_id if self.is_live else None

    @property
    def id_hash(self) -> str | None:
        """The key of the session's row."""
        stored = self._load()._stored
        return None if stored is None else stored.id_hash

    @property
    def user(self) -> User | None:
        """The account of this session."""
        stored = self._load()._stored
        return None if stored is None else stored.user

    def csrf_token(self) -> str:
        """The token that changing requests must send; creates a session if there is none."""
        now = runtime.now()
        stored = self._load()._stored
        if stored is None or not stored.is_stored:
            return self._anonymous_token(now)
        if stored.csrf_token is not None and is_fresh(stored.csrf_expires_at, now):
            return stored.csrf_token
        token, expires_at = issue_token(stored.id_hash, now)
        self._stored = replace(stored, csrf_token=token, csrf_expires_at=expires_at)
        return token

    def accepts_token(self, sent: str | None) -> bool:
        """Whether `sent` is a valid token of this session."""
        now, stored = runtime.now(), self._load()._stored
        if stored is None:
            return False
        known = (stored,) if stored.is_stored else with_tokens(self._session_id or "", now)
        accepted = next((session for session in known if is_token_valid(session, sent, now)), None)
        self._stored = accepted or stored
        return accepted is not None

    def send_cookie(self, lifetime: timedelta = LIFETIME) -> None:
        """Send the cookie with this response, new or not."""
        self._cookie_lifetime = lifetime

    def discard(self) -> None:
        """End the session; the browser keeps a cookie that is no longer valid."""
        self._delete_row()
        if self._stored is not None and not self._stored.is_stored:
            self._session_id = secrets.token_hex(ID_LENGTH // 2)
            self.send_cookie()
        self._stored, self._data = None, {}

    def end(self) -> None:
        """End the session and delete the cookie."""
        self._delete_row()
        self._stored, self._session_id, self._data = None, None, {}
        self._signs_in, self._ends, self._cookie_lifetime = False, True, None

    def skip_writing(self) -> None:
        """Write nothing at the end of this request, not even the last use.

        For requests during which the database cannot be written.
        """
        self._is_left = True

    def save(self, now: datetime) -> None:
        """Write changes.

        Signing in always changes the id, so that an id set by an attacker is useless.
        """
        if not self._is_loaded or self._is_left:
            return
        stored = self._stored
        if self._signs_in or (self._data and (stored is None or not stored.is_stored)):
            self._begin(now)
        elif stored is not None and stored.is_stored:
            is_due = stored.user is not None and now - stored.last_accessed_at >= TOUCH_INTERVAL
            if self.modified or is_due:
                touch_stored(stored.id_hash, now, self._kept_data())

    def write_cookie(self, app: Flask, interface: SessionInterface, response: Response) -> None:
        """Set or delete the cookie if required."""
        attributes: dict[str, Any] = {
            "path": interface.get_cookie_path(app),
            "secure": settings().secure_cookies,
            "httponly": True,
            "samesite": "Lax",
        }
        if self._cookie_lifetime is not None and self._session_id is not None:
            response.set_cookie(SESSION_COOKIE, self._session_id, max_age=self._cookie_lifetime, **attributes)
        elif self._ends:
            response.delete_cookie(SESSION_COOKIE, **attributes)

    def _load(self) -> "ServerSession":
        if self._is_loaded:
            return self
        self._is_loaded = True
        cookies = self._request.cookies
        name = SESSION_COOKIE if cookies.get(SESSION_COOKIE) else PLAIN_COOKIE
        session_id = cookies.get(name, "")
        stored = _find(session_id, runtime.now()) if len(session_id) == ID_LENGTH else None
        if stored is not None:
            self._stored, self._session_id, self._data = stored, session_id, dict(stored.data)
            if stored.user is not None and name == SESSION_COOKIE:
                self._data[USER_KEY] = stored.user.id
        return self

    def _anonymous_token(self, now: datetime) -> str:
        if self._stored is None:
            self._session_id = begin_anonymous(now)
            self.send_cookie()
        self._stored = find_anonymous(self._session_id or "", now)
        assert self._stored is not None  # noqa: S101 (it was live, or has just begun)
        return cast(str, self._stored.csrf_token)

    def _delete_row(self) -> None:
        stored = self._load()._stored
        if stored is not None and stored.is_stored:
            delete_by_hash(stored.id_hash)

    def _begin(self, now: datetime) -> None:
        browser = Browser(self._request.remote_addr, self._request.user_agent.string)
        user_id = self._data.get(USER_KEY)
        data = self._kept_data()
        self._session_id = create_stored(now, browser, user_id=user_id, data=data, replaces=self._stored)
        self._stored = find_stored(self._session_id, now)
        self._signs_in = False
        self.send_cookie()

    def _kept_data(self) -> dict[str, Any]:
        return {key: value for key, value in self._data.items() if key != USER_KEY}

    def __getitem__(self, key: str) -> Any:
        return self._load()._data[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._load()._data[key] = value
        self.modified = True
        self._signs_in = self._signs_in or key == USER_KEY

    def __delitem__(self, key: str) -> None:
        del self._load()._data[key]
        self.modified = True
        if key == USER_KEY:  # signing out ends the whole session
            self.end()

    def __iter__(self) -> Iterator[str]:
        return iter(self._load()._data)

    def __len__(self) -> int:
        return len(self._load()._data)

    def __repr__(self) -> str:
        return "<ServerSession>"  # neither reads the database nor shows the content


class ServerSessionInterface(SessionInterface):
    """Opens and saves sessions for Flask."""

    def open_session(self, app: Flask, request: Request) -> ServerSession:
        """Return a session that has not read anything yet."""
        return ServerSession(request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Write changes and set the cookie; does nothing for an unused session."""
        assert isinstance(session, ServerSession)  # noqa: S101 (the one kind that open_session gives)
        if session.accessed:
            response.vary.add("Cookie")
        session.save(runtime.now())
        session.write_cookie(app, self, response)


def _find(session_id: str, now: datetime) -> StoredSession | None:
    """Return the session of a cookie.

    Anonymous ones are tried first, which needs no database.
    """
    return find_anonymous(session_id, now) or find_stored(session_id, now)


def current() -> ServerSession:
    """Return the session of the current request."""
    return cast(ServerSession, flask_session)


def load_user(user_id: str) -> User | None:
    """Return the signed-in user for Flask-Login, read with the session.

    A lock does not end a session.
    """
    user = current().user
    return user if user is not None and user.id == user_id else None
