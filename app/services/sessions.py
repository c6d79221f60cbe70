"""Flask's session kept in the database: Flask-Login, the CSRF protection and flashed messages all stand on it.

It is lazy. Until a view or a guard looks into the session nothing is read, so open endpoints pay nothing for it; and
nothing is written unless something changed or a minute has passed.
"""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

from flask import Flask, Request, Response
from flask import session as flask_session
from flask.sessions import SessionInterface, SessionMixin

from app.models import User
from app.services import anonymous_sessions, clock, session_store
from app.services.deployment import settings
from app.services.session_store import Browser, StoredSession, purge_expired

__all__ = [
    "PLAIN_COOKIE",
    "SESSION_COOKIE",
    "ServerSession",
    "ServerSessionInterface",
    "current",
    "load_user",
    "purge_expired",
]

SESSION_COOKIE = "sessionId"
# wire: `POST /api/session` hands out a second kind of cookie, which never signs anybody in
PLAIN_COOKIE = "session"
ID_LENGTH = 64
# Flask-Login keeps the id of the user under this key; we keep it in a column of its own.
USER_KEY = "_user_id"


class ServerSession(SessionMixin):
    """The session of one request. It is stored when something is put in; a CSRF token needs only a cookie."""

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
        """Whether the browser's cookie names a session that has not ended."""
        return self._load()._stored is not None

    @property
    def session_id(self) -> str | None:
        """The value of the cookie that was sent, if it names a live session."""
        return self._session_id if self.is_live else None

    @property
    def id_hash(self) -> str | None:
        """The key of the session's row."""
        stored = self._load()._stored
        return None if stored is None else stored.id_hash

    @property
    def user(self) -> User | None:
        """The account that this session belongs to."""
        stored = self._load()._stored
        return None if stored is None else stored.user

    def csrf_token(self) -> str:
        """The token that changing requests have to carry; begins a session where there is none."""
        now = clock.now()
        stored = self._load()._stored
        if stored is None or not stored.is_stored:
            return self._anonymous_token(now)
        if stored.csrf_token is not None and session_store.is_fresh(stored.csrf_expires_at, now):
            return stored.csrf_token
        token, expires_at = session_store.issue_token(stored.id_hash, now)
        self._stored = replace(stored, csrf_token=token, csrf_expires_at=expires_at)
        return token

    def accepts_token(self, sent: str | None) -> bool:
        """Whether `sent` is this session's token and still good."""
        now, stored = clock.now(), self._load()._stored
        if stored is None:
            return False
        known = (stored,) if stored.is_stored else anonymous_sessions.with_tokens(self._session_id or "", now)
        accepted = next((session for session in known if session_store.is_token_valid(session, sent, now)), None)
        self._stored = accepted or stored
        return accepted is not None

    def send_cookie(self, lifetime: timedelta = session_store.LIFETIME) -> None:
        """Send the cookie with this answer, new or not."""
        self._cookie_lifetime = lifetime

    def discard(self) -> None:
        """End the session; the browser keeps a cookie, which names nothing any more."""
        self._delete_row()
        if self._stored is not None and not self._stored.is_stored:
            self._session_id = secrets.token_hex(ID_LENGTH // 2)
            self.send_cookie()
        self._stored, self._data = None, {}

    def end(self) -> None:
        """End the session and have the browser forget it."""
        self._delete_row()
        self._stored, self._session_id, self._data = None, None, {}
        self._signs_in, self._ends, self._cookie_lifetime = False, True, None

    def leave_unwritten(self) -> None:
        """Write nothing at the end of this request, not even that somebody came: the database cannot be written."""
        self._is_left = True

    def save(self, now: datetime) -> None:
        """Write what changed. Signing in always moves to a new id, so that an id planted before is worth nothing."""
        if not self._is_loaded or self._is_left:
            return
        stored = self._stored
        if self._signs_in or (self._data and (stored is None or not stored.is_stored)):
            self._begin(now)
        elif stored is not None and stored.is_stored:
            is_due = stored.user is not None and now - stored.last_accessed_at >= session_store.TOUCH_INTERVAL
            if self.modified or is_due:
                session_store.touch(stored.id_hash, now, self._kept_data())

    def write_cookie(self, app: Flask, interface: SessionInterface, response: Response) -> None:
        """Set the cookie where one is due, or clear it."""
        place: dict[str, Any] = {
            "path": interface.get_cookie_path(app),
            "secure": settings().secure_cookies,
            "httponly": True,
            "samesite": "Lax",
        }
        if self._cookie_lifetime is not None and self._session_id is not None:
            response.set_cookie(SESSION_COOKIE, self._session_id, max_age=self._cookie_lifetime, **place)
        elif self._ends:
            response.delete_cookie(SESSION_COOKIE, **place)

    def _load(self) -> "ServerSession":
        if self._is_loaded:
            return self
        self._is_loaded = True
        cookies = self._request.cookies
        name = SESSION_COOKIE if cookies.get(SESSION_COOKIE) else PLAIN_COOKIE
        session_id = cookies.get(name, "")
        stored = _find(session_id, clock.now()) if len(session_id) == ID_LENGTH else None
        if stored is not None:
            self._stored, self._session_id, self._data = stored, session_id, dict(stored.data)
            if stored.user is not None and name == SESSION_COOKIE:
                self._data[USER_KEY] = stored.user.id
        return self

    def _anonymous_token(self, now: datetime) -> str:
        if self._stored is None:
            self._session_id = anonymous_sessions.begin(now)
            self.send_cookie()
        self._stored = anonymous_sessions.find(self._session_id or "", now)
        assert self._stored is not None  # noqa: S101 (it was live, or has just begun)
        return cast(str, self._stored.csrf_token)

    def _delete_row(self) -> None:
        stored = self._load()._stored
        if stored is not None and stored.is_stored:
            session_store.delete_by_hash(stored.id_hash)

    def _begin(self, now: datetime) -> None:
        browser = Browser(self._request.remote_addr, self._request.user_agent.string)
        user_id = self._data.get(USER_KEY)
        data = self._kept_data()
        self._session_id = session_store.create(now, browser, user_id=user_id, data=data, replaces=self._stored)
        self._stored = session_store.find(self._session_id, now)
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
        if key == USER_KEY:  # signing out ends the session as a whole
            self.end()

    def __iter__(self) -> Iterator[str]:
        return iter(self._load()._data)

    def __len__(self) -> int:
        return len(self._load()._data)

    def __repr__(self) -> str:
        return "<ServerSession>"  # neither reads the database nor shows what is inside


class ServerSessionInterface(SessionInterface):
    """How Flask opens and saves our sessions."""

    def open_session(self, app: Flask, request: Request) -> ServerSession:
        """Give a session that reads nothing yet."""
        return ServerSession(request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Write what changed and set the cookie; an untouched session costs nothing."""
        assert isinstance(session, ServerSession)  # noqa: S101 (the one kind that open_session gives)
        if session.accessed:
            response.vary.add("Cookie")
        session.save(clock.now())
        session.write_cookie(app, self, response)


def _find(session_id: str, now: datetime) -> StoredSession | None:
    """The session that a cookie names. One that was not stored is looked at first, which asks no database."""
    return anonymous_sessions.find(session_id, now) or session_store.find(session_id, now)


def current() -> ServerSession:
    """The session of the request that is being answered."""
    return cast(ServerSession, flask_session)


def load_user(user_id: str) -> User | None:
    """Tell Flask-Login who is signed in: the session's user, read along with it. A lock ends no session."""
    user = current().user
    return user if user is not None and user.id == user_id else None
