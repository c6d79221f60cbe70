"""Views of the session group."""

from datetime import timedelta
from typing import Any

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.client import client_address, user_agent
from app.api.program_access import limit_rate
from app.api.wire import (
    MESSAGE,
)
from app.contracts import (
    described,
)
from app.contracts.errors import Unauthorized
from app.domain.addresses import rate_key
from app.services import clock, session_store, sessions
from app.services.deployment import settings
from app.services.sessions import PLAIN_COOKIE, SESSION_COOKIE

bp = Blueprint("session", __name__)

# wire: longer than the session itself lives
CSRF_COOKIE_LIFETIME = timedelta(days=7)


@bp.get("/csrf")
@described({200: {"token": fields.String(), **MESSAGE}})
def csrf() -> ResponseReturnValue:
    """The CSRF token of the session, which begins here where there is none."""
    session = sessions.current()
    token = session.csrf_token()
    session.send_cookie(CSRF_COOKIE_LIFETIME)
    return {"token": token, "message": "CSRF token generated successfully"}


@bp.post("/session")
@described({200: {"sessionId": fields.String(), **MESSAGE}}, errors=(429,))
def create() -> ResponseReturnValue:
    """Begin an anonymous session of its own, named by a second cookie."""
    now, address = clock.now(), client_address()
    limit_rate("session", address, now)
    session_id = session_store.create_anonymous(now, session_store.Browser(rate_key(address), user_agent()))
    answer = current_app.json.response({"sessionId": session_id, "message": "Session created successfully"})
    lifetime = session_store.LIFETIME
    answer.set_cookie(PLAIN_COOKIE, session_id, max_age=lifetime, **_cookie_place())
    return answer


@bp.get("/session")
@described({200: {"valid": fields.Boolean(), "sessionId": fields.String(allow_none=True)}}, errors=(401,))
def show() -> ResponseReturnValue:
    """Whether the session of the cookie is live; 401 without any cookie for it."""
    if not request.cookies:
        raise Unauthorized("No session cookie", valid=False)
    if not any(request.cookies.get(name) for name in (SESSION_COOKIE, PLAIN_COOKIE)):
        raise Unauthorized("No session id", valid=False)
    session_id = sessions.current().session_id
    return {"valid": session_id is not None, "sessionId": session_id}


@bp.delete("/session")
@described({200: MESSAGE})
def delete() -> ResponseReturnValue:
    """End the session of the cookie, if there is one."""
    session = sessions.current()
    if not session.is_live:
        return {"message": "There was no session to delete"}
    session.discard()
    answer = current_app.json.response({"message": "Session deleted successfully"})
    answer.delete_cookie(PLAIN_COOKIE, **_cookie_place())
    return answer


def _cookie_place() -> dict[str, Any]:
    return {
        "path": settings().base_path or "/",
        "secure": settings().secure_cookies,
        "httponly": True,
        "samesite": "Lax" if settings().debug else "Strict",
    }
