"""Who may enter: one check before every view, looked up by endpoint, so that views carry no access rules.

`cover` registers a blueprint together with its rules. A route that no rule covers is refused, so forgetting one shuts
a door rather than leaving it open. The order of the checks is the contract's: address, session, CSRF token, sign-in,
pending password change, administrator. A script with a key of scope `admin` stands in for an administrator, without
session and token, everywhere but at pages.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from flask import Blueprint, Flask, Request, Response, current_app, redirect, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.exceptions import HTTPException

from app.api import network_rules
from app.api.errors import redirect_without_slash
from app.api.program_access import Script, find_script, script_refusal
from app.contracts import AppError, Guard
from app.contracts.errors import Forbidden, Unauthorized
from app.extensions import csrf
from app.routing import path_as_sent
from app.services import sessions
from app.services.deployment import settings
from app.services.network_access import Zone
from app.services.visibility import is_limited

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

RULES = "duplistatus.guards"
# How large a body may be where nothing else is said: of anybody, and of people who are signed in. Our largest ones,
# settings of thousands of jobs, stay far below.
STRANGERS_BYTES = 64 * 1024
PERSONS_BYTES = 4 * 1024 * 1024
# Set by the server that asks, before it receives a large body, whether the person would be let in.
ASKS = "duplistatus.asks"
PASSWORD_CHANGE_REQUIRED = "PASSWORD_CHANGE_REQUIRED"  # noqa: S105 (an error code)


@dataclass(frozen=True, slots=True)
class Rule:
    """What one endpoint asks for."""

    guard: Guard
    csrf: bool = True
    before_password_change: bool = False
    needs_all_servers: bool = False
    zone: Zone | None = None
    is_page: bool = False
    most_bytes: int | Callable[[], int] | None = None

    @property
    def needs_person(self) -> bool:
        """Whether somebody has to be signed in."""
        return self.guard in (Guard.LOGIN, Guard.ADMIN)

    @property
    def body_limit(self) -> int:
        """How large a body may be, in bytes."""
        if self.most_bytes is None:
            return PERSONS_BYTES if self.needs_person else STRANGERS_BYTES
        return self.most_bytes if isinstance(self.most_bytes, int) else self.most_bytes()


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """How large a body a route receives, and whether from people alone who are signed in."""

    most_bytes: int
    needs_person: bool = False


def install(app: Flask) -> None:
    """Put the guard before every view of the application."""
    app.extensions[RULES] = {"static": Rule(Guard.OPEN)}
    app.before_request(check_request)


def cover(
    app: Flask,
    blueprint: Blueprint,
    *,
    guard: Guard,
    csrf: bool = True,
    url_prefix: str = "",
    zone: Zone | None = Zone.ADMINISTRATION,
    is_page: bool = False,
) -> None:
    """Register a blueprint below the base path, and the rules of its views; `@guarded` on a view comes first.

    With `is_page` a visitor is sent to the sign-in page instead of being given an error.
    """
    known = set(app.view_functions)
    base_path = app.extensions["duplistatus.settings"].base_path
    app.register_blueprint(blueprint, url_prefix=f"{base_path}{url_prefix}{blueprint.url_prefix or ''}")
    for endpoint in app.view_functions.keys() - known:
        view = app.view_functions[endpoint]
        access = getattr(view, "access", None)
        app.extensions[RULES][endpoint] = Rule(
            access.guard if access else guard,
            csrf and (access.csrf if access else True),
            access.before_password_change if access else False,
            access.needs_all_servers if access else False,
            zone,
            is_page,
            getattr(view, "most_bytes", None),
        )


def check_request() -> ResponseReturnValue | None:
    """Let the request through, or refuse it. Open routes do not touch the session."""
    endpoint = request.endpoint
    if endpoint is None:
        return None  # not found, or a method that is not known there: said by the error handlers
    if path_as_sent(request.environ).endswith("/") and request.url_rule and not request.url_rule.rule.endswith("/"):
        return redirect_without_slash()  # the last part of the address would take the slash for its own
    if b"%00" in request.query_string:
        raise AppError("The query holds a NUL, which nothing can be looked for with")
    if request.method == "OPTIONS":
        answer = current_app.make_default_options_response()
        answer.status_code = 204
        return answer
    rule: Rule | None = current_app.extensions[RULES].get(endpoint)
    if rule is None:
        raise Forbidden("This address is not covered by an access rule")
    request.max_content_length = rule.body_limit
    if rule.zone is not None:
        network_rules.check(rule.zone)
    if rule.guard is Guard.OPEN:
        return None
    try:
        _check_person(rule)
    except AppError as refusal:
        if not rule.is_page:
            raise
        return _show_the_way(refusal)
    if ASKS in request.environ:
        request.environ[ASKS].append(endpoint)
        return "", 204
    return None


def find_limit(app: Flask, method: str, path: str) -> BodyLimit:
    """Find how large a body may be that is sent to an address; where there is none, it is small.

    Asked in the thread that receives everything, so it reads nothing but memory.
    """
    try:
        endpoint, _values = app.url_map.bind("").match("/" + path.strip("/"), method)
    except HTTPException:
        return BodyLimit(STRANGERS_BYTES)
    rule: Rule = app.extensions[RULES].get(endpoint, Rule(Guard.OPEN))
    with app.app_context():
        return BodyLimit(rule.body_limit, rule.needs_person)


def would_admit(app: Flask, environ: "WSGIEnvironment") -> bool:
    """Say whether the guard lets a request through, as far as that is known without its body."""
    admitted: list[str] = []
    Response.from_app(app, {**environ, ASKS: admitted}, buffered=True)
    return bool(admitted)


def load_script(_request: Request) -> Script | None:
    """Tell Flask-Login of a script with a key of scope `admin`; it may call the API, and sees no page."""
    rule: Rule | None = current_app.extensions[RULES].get(request.endpoint)
    return find_script() if rule is not None and not rule.is_page else None


def check_login_token() -> None:
    """Hold a sign-in to the contract's rule L, which asks for a token but not for a session.

    With a live session the token has to be its own; without one any text will do, since there is nothing to protect:
    what stops other sites is that they cannot send the header.
    """
    sent = csrf.sent_token()
    if not sent:
        raise Forbidden("CSRF token required")
    session = sessions.current()
    if session.is_live and not session.accepts_token(sent):
        raise Forbidden("Invalid CSRF token")


def _check_person(rule: Rule) -> None:
    # A key in a header is not sent by browsers on their own, so there is nothing for a token to protect.
    if rule.guard is not Guard.SESSION and isinstance(current_user._get_current_object(), Script):
        if rule.before_password_change:
            raise Forbidden("A script has no account and no password")
        return
    if not sessions.current().is_live:
        raise script_refusal() or Unauthorized("Invalid or expired session")
    if rule.csrf and ASKS not in request.environ:  # the token of a form comes with its body
        csrf.protect()
    if rule.guard is Guard.SESSION:
        return
    if not current_user.is_authenticated:
        raise script_refusal() or Unauthorized("Authentication required")
    if current_user.must_change_password and not rule.before_password_change:
        raise Forbidden("The password has to be changed first", errorCode=PASSWORD_CHANGE_REQUIRED)
    if rule.guard is Guard.ADMIN and not current_user.is_admin:
        raise Forbidden("Administrator access required")
    if rule.needs_all_servers and is_limited(current_user):
        raise Forbidden("This account may see chosen servers only")


def _wanted_page() -> str:
    """The address to come back to after signing in: the page that was asked for, or the one that asked for a part."""
    if "HX-Request" in request.headers:
        try:
            there = urlsplit(request.headers.get("HX-Current-URL", ""))
        except ValueError:  # no address: nobody's browser sent that
            return ""
        path, query = there.path, there.query
    elif request.method in ("GET", "HEAD"):
        path = quote(request.script_root + request.path)
        query = quote(request.query_string, safe="=&%+/:,;")
    else:
        return ""
    return f"{path}?{query}" if query else path


def _show_the_way(refusal: AppError) -> ResponseReturnValue:
    """Send a person to the page that helps: signing in, or changing the password. Other refusals stay errors."""
    root = f"{request.script_root}{settings().base_path}"
    if refusal.status == 401:
        wanted = _wanted_page()
        address = f"{root}/login" + (f"?redirect={quote(wanted)}" if wanted else "")
    elif refusal.extra.get("errorCode") == PASSWORD_CHANGE_REQUIRED:
        address = f"{root}/change-password"
    else:
        raise refusal
    if "HX-Request" in request.headers:  # htmx would put the target of a redirect into a part of the page
        return "", 401, {"HX-Redirect": address}
    return redirect(address, 303)
