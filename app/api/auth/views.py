"""Views of the auth group."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user, logout_user
from marshmallow import fields

from app.api.auth.schemas import (
    Credentials,
    MeOut,
    PasswordChange,
    PolicyOut,
    SignedInOut,
    dump_policy,
    dump_user,
)
from app.api.client import actor, json_body, visitor
from app.api.errors import name_errors
from app.api.guards import check_login_token
from app.api.wire import (
    DONE,
)
from app.contracts import (
    AppError,
    Guard,
    described,
    guarded,
)
from app.services import audit, clock, passwords, sessions, users
from app.services.login import login as sign_in

bp = Blueprint("auth", __name__, url_prefix="/auth")
# wire: programs tell the errors of this family apart by these words
name_errors(bp, {400: "INVALID_REQUEST", 500: "INTERNAL_ERROR", 503: "DATABASE_NOT_READY"})
name_errors(bp, {500: "POLICY_RETRIEVE_FAILED"}, "password_policy")


@bp.post("/login")
@guarded(Guard.OPEN, csrf=False)
@described({200: SignedInOut}, body=Credentials, errors=(401, 403, 429))
def login() -> ResponseReturnValue:
    """Sign in; the session goes over to a new id."""
    check_login_token()
    result = sign_in(**Credentials().load(json_body()), actor=visitor(), now=clock.now())
    login_user(result.user)
    return {"success": True, "user": dump_user(result.user), "keyChanged": result.is_key_changed}


@bp.post("/logout")
@described({200: {**DONE, "successCode": fields.String()}}, errors=(400,))
def logout() -> ResponseReturnValue:
    """End the session, signed in or not."""
    if sessions.SESSION_COOKIE not in request.cookies:
        raise AppError("There is no active session", errorCode="NO_ACTIVE_SESSION")
    end_session()
    return {"success": True, "message": "Logged out successfully", "successCode": "LOGGED_OUT"}


@bp.get("/me")
@described({200: MeOut})
def me() -> ResponseReturnValue:
    """Who is signed in, if anybody."""
    user = dump_user(current_user) if current_user.is_authenticated else None
    return {"authenticated": user is not None, "user": user}


@bp.post("/change-password")
@guarded(Guard.LOGIN, before_password_change=True)
@described({200: {**DONE, "successCode": fields.String()}}, body=PasswordChange, errors=(403, 404, 429))
def change_password() -> ResponseReturnValue:
    """Choose a new password; the user's other sessions end."""
    change = PasswordChange().load(json_body())
    kept = sessions.current().id_hash
    users.change_password(current_user.id, **change, actor=actor(), now=clock.now(), kept_session=kept)
    return {"success": True, "message": "Password changed successfully", "successCode": "PASSWORD_CHANGED"}


@bp.get("/password-policy")
@guarded(Guard.OPEN)
@described({200: PolicyOut})
def password_policy() -> ResponseReturnValue:
    """What a password has to be."""
    return dump_policy(passwords.policy())


@bp.get("/admin-must-change-password")
@guarded(Guard.OPEN)
@described({200: {"mustChangePassword": fields.Boolean()}})
def admin_must_change_password() -> ResponseReturnValue:
    """Whether the first administrator still has the documented password."""
    return {"mustChangePassword": users.must_admin_change_password()}


def end_session() -> None:
    """Sign out: record it where somebody was signed in, and end the session."""
    if current_user.is_authenticated:
        audit.record_entry("logout", "auth", now=clock.now(), actor=actor(), details={})
        logout_user()
    sessions.current().end()
