"""API of signing in and out, passwords, sessions and CSRF tokens."""

from datetime import timedelta
from typing import Any

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user
from marshmallow import EXCLUDE, Schema, fields, post_load

from app import runtime
from app.accounts import passwords, sessions, users
from app.accounts.models import User
from app.accounts.network_access import rate_key
from app.accounts.passwords import PasswordPolicy
from app.accounts.sessions import PLAIN_COOKIE, SESSION_COOKIE
from app.accounts.sign_in import sign_in_user as sign_in
from app.core.errors import Refused
from app.plugin import Access, ApiGroup, described, guarded
from app.runtime import settings
from app.web.errors import name_errors
from app.web.guards import check_login_token, limit_rate
from app.web.http import DONE, MESSAGE, Out, actor, client_address, end_session, json_body, user_agent, visitor

# Schemas


class Credentials(Schema):
    """Username and password; missing values are reported by the sign-in."""

    class Meta:
        unknown = EXCLUDE

    username = fields.String(load_default="", allow_none=True)
    password = fields.String(load_default="", allow_none=True)

    @post_load
    def fill_in(self, values: dict[str, Any], **_options: Any) -> dict[str, str]:
        """Treat null as missing."""
        return {name: value or "" for name, value in values.items()}


class PasswordChange(Schema):
    """Current and new password."""

    class Meta:
        unknown = EXCLUDE

    current = fields.String(data_key="currentPassword", load_default=None, allow_none=True)
    new = fields.String(data_key="newPassword", load_default="", allow_none=True)

    @post_load
    def fill_in(self, values: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Treat a null `newPassword` as missing."""
        return {**values, "new": values["new"] or ""}


class UserOut(Out):
    """The account of the current user."""

    id = fields.String()
    username = fields.String()
    is_admin = fields.Boolean(data_key="isAdmin")
    must_change_password = fields.Boolean(data_key="mustChangePassword")


class SignedInOut(Out):
    """The user, and whether stored secrets were dropped because the master key has changed."""

    success = fields.Boolean()
    user = fields.Nested(UserOut)
    is_key_changed = fields.Boolean(data_key="keyChanged")


class MeOut(Out):
    """The current user; null if not signed in."""

    authenticated = fields.Boolean()
    user = fields.Nested(UserOut, allow_none=True)


class PolicyOut(Out):
    """Get the password policy."""

    min_length = fields.Integer(data_key="minLength")
    requires_uppercase = fields.Boolean(data_key="requireUppercase")
    requires_lowercase = fields.Boolean(data_key="requireLowercase")
    requires_numbers = fields.Boolean(data_key="requireNumbers")
    requires_special_characters = fields.Boolean(data_key="requireSpecialChars")


_user_out = UserOut()


def dump_user(user: User) -> dict[str, Any]:
    """Return the signed-in account."""
    return _user_out.dump(user)


def dump_policy(policy: PasswordPolicy) -> dict[str, Any]:
    """Return the password policy, for forms that show it in advance."""
    return {
        "minLength": policy.min_length,
        "requireUppercase": policy.are_classes_enforced,
        "requireLowercase": policy.are_classes_enforced,
        "requireNumbers": policy.are_classes_enforced,
        "requireSpecialChars": False,
    }


# Views of the group `auth`

auth_bp = Blueprint("auth", __name__, url_prefix="/auth")
# wire: programs distinguish the errors of these views by these words
name_errors(auth_bp, {400: "INVALID_REQUEST", 500: "INTERNAL_ERROR", 503: "DATABASE_NOT_READY"})
name_errors(auth_bp, {500: "POLICY_RETRIEVE_FAILED"}, "password_policy")


@auth_bp.post("/login")
@guarded(Access.PUBLIC, csrf=False)
@described({200: SignedInOut}, body=Credentials, errors=(401, 403, 429))
def login() -> ResponseReturnValue:
    """Sign in; the session gets a new id."""
    check_login_token()
    result = sign_in(**Credentials().load(json_body()), actor=visitor(), now=runtime.now())
    login_user(result.user)
    return {"success": True, "user": dump_user(result.user), "keyChanged": result.is_key_changed}


@auth_bp.post("/logout")
@described({200: {**DONE, "successCode": fields.String()}}, errors=(400,))
def logout() -> ResponseReturnValue:
    """End the session."""
    if sessions.SESSION_COOKIE not in request.cookies:
        raise Refused("no_active_session")
    end_session()
    return {"success": True, "message": "Logged out successfully", "successCode": "LOGGED_OUT"}


@auth_bp.get("/me")
@described({200: MeOut})
def me() -> ResponseReturnValue:
    """Get the current user, if any."""
    user = dump_user(current_user) if current_user.is_authenticated else None
    return {"authenticated": user is not None, "user": user}


@auth_bp.post("/change-password")
@guarded(Access.USER, before_password_change=True)
@described({200: {**DONE, "successCode": fields.String()}}, body=PasswordChange, errors=(403, 404, 429))
def change_password() -> ResponseReturnValue:
    """Change the password; other sessions of the user are ended."""
    change = PasswordChange().load(json_body())
    session_hash = sessions.current().id_hash
    users.change_password(current_user.id, **change, actor=actor(), now=runtime.now(), kept_session=session_hash)
    return {"success": True, "message": "Password changed successfully", "successCode": "PASSWORD_CHANGED"}


@auth_bp.get("/password-policy")
@guarded(Access.PUBLIC)
@described({200: PolicyOut})
def password_policy() -> ResponseReturnValue:
    """Get the password policy."""
    return dump_policy(passwords.policy())


@auth_bp.get("/admin-must-change-password")
@guarded(Access.PUBLIC)
@described({200: {"mustChangePassword": fields.Boolean()}})
def admin_must_change_password() -> ResponseReturnValue:
    """Check whether the first administrator still has the default password."""
    return {"mustChangePassword": users.must_admin_change_password()}


auth_group = ApiGroup(name="auth", blueprint=auth_bp, access=Access.SESSION, summary="Sign-in, sign-out and passwords")


# Views of the group `session`

session_bp = Blueprint("session", __name__)

# wire: longer than the session itself lasts
CSRF_COOKIE_LIFETIME = timedelta(days=7)


@session_bp.get("/csrf")
@described({200: {"token": fields.String(), **MESSAGE}})
def csrf() -> ResponseReturnValue:
    """Get the CSRF token of the session; creates a session if there is none."""
    session = sessions.current()
    token = session.csrf_token()
    session.send_cookie(CSRF_COOKIE_LIFETIME)
    return {"token": token, "message": "CSRF token generated successfully"}


@session_bp.post("/session")
@described({200: {"sessionId": fields.String(), **MESSAGE}}, errors=(429,))
def create() -> ResponseReturnValue:
    """Create an anonymous session, identified by a separate cookie."""
    now, address = runtime.now(), client_address()
    limit_rate("session", address, now)
    session_id = sessions.create_anonymous(now, sessions.Browser(rate_key(address), user_agent()))
    answer = current_app.json.response({"sessionId": session_id, "message": "Session created successfully"})
    lifetime = sessions.LIFETIME
    answer.set_cookie(PLAIN_COOKIE, session_id, max_age=lifetime, **_cookie_attributes())
    return answer


@session_bp.get("/session")
@described({200: {"valid": fields.Boolean(), "sessionId": fields.String(allow_none=True)}}, errors=(401,))
def show() -> ResponseReturnValue:
    """Check whether the session of the cookie is valid; 401 without a cookie."""
    if not request.cookies:
        raise Refused("session_cookie_missing", body={"valid": False})
    if not any(request.cookies.get(name) for name in (SESSION_COOKIE, PLAIN_COOKIE)):
        raise Refused("session_id_missing", body={"valid": False})
    session_id = sessions.current().session_id
    return {"valid": session_id is not None, "sessionId": session_id}


@session_bp.delete("/session")
@described({200: MESSAGE})
def delete() -> ResponseReturnValue:
    """End the session of the cookie, if any."""
    session = sessions.current()
    if not session.is_live:
        return {"message": "There was no session to delete"}
    session.discard()
    answer = current_app.json.response({"message": "Session deleted successfully"})
    answer.delete_cookie(PLAIN_COOKIE, **_cookie_attributes())
    return answer


def _cookie_attributes() -> dict[str, Any]:
    return {
        "path": settings().base_path or "/",
        "secure": settings().secure_cookies,
        "httponly": True,
        "samesite": "Lax" if settings().debug else "Strict",
    }


# Anonymous sessions and CSRF tokens: what a script or a page fetches before it signs in.

session_group = ApiGroup(
    name="session", blueprint=session_bp, access=Access.PUBLIC, csrf=False, summary="Sessions and CSRF tokens"
)
