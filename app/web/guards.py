"""Access rules: one check before every view.

Rules are looked up by endpoint, so that views contain no access checks. `register` registers a blueprint together with
its rules. A route without a rule is rejected, so a forgotten rule cannot open a route. The order of the checks is
that of docs/compatibility/conventions.md#guards: address, session, CSRF token, sign-in, pending password change,
administrator. A script with a key of scope `admin` counts as an administrator, without session and token, everywhere
except on pages.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from flask import Blueprint, Flask, Request, Response, current_app, g, redirect, request, session
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user
from flask_wtf import CSRFProtect
from werkzeug.exceptions import HTTPException

from app import runtime
from app.accounts import network_access, sessions
from app.accounts.api_keys import KeyStatus, check_key, key_status
from app.accounts.models import is_limited
from app.accounts.network_access import Zone, allow_lists, is_loopback, known_lists, rate_key
from app.core.db.faults import DATABASE_ERRORS
from app.core.errors import Refused
from app.core.rate_limits import limiter
from app.core.settings import store as settings_store
from app.plugin import Access
from app.runtime import runtime_of, settings
from app.web.errors import redirect_without_slash
from app.web.http import client_address, is_behind_untrusted_proxy, path_as_sent

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# Allow lists of networks, and rate limits of probes from other networks

log = logging.getLogger(__name__)

# Per minute and per hour, for clients that are on no list.
PROBE_RATES = {"monitoring.ping": (60, 600), "monitoring.show": (30, 120)}
REFUSALS_LOGGED_PER_MINUTE = 1


def check_network(zone: Zone) -> None:
    """Check that the client may use the zone. Raise Refused (403) or Refused (429)."""
    address = client_address()
    if is_behind_untrusted_proxy():
        network_access.note_untrusted(runtime.now())
    if _is_admitted(zone, address):
        return
    now = runtime.now()
    if zone is Zone.PROBES:
        _limit_probe(address, now)
        return
    refusals = limiter("logged refusals", REFUSALS_LOGGED_PER_MINUTE, REFUSALS_LOGGED_PER_MINUTE)
    if refusals.allow(rate_key(address), now) is None:
        log.warning("%s is not on an allow list and was rejected at %s", address, request.path)
    raise Refused("client_address_unknown" if is_behind_untrusted_proxy() else "ip_not_allowed")


def _is_admitted(zone: Zone, address: str) -> bool:
    """Whether a list contains the address.

    False for a probe, which is then rate-limited, if the lists are unreadable.
    """
    try:
        lists = known_lists() if zone is Zone.PROBES else allow_lists()
        return lists.admit(zone, address)
    except DATABASE_ERRORS:
        if zone is Zone.PROBES:
            return False
        raise


def _limit_probe(address: str, now: datetime) -> None:
    for minutes, most in zip((1, 60), PROBE_RATES.get(request.endpoint or "", ()), strict=False):
        name = f"{request.endpoint} in {minutes} minutes"
        retry_after_s = limiter(name, most / minutes, most).allow(rate_key(address), now)
        if retry_after_s is not None:
            raise Refused("probe_rate_limited", retry_after_s=retry_after_s)


# API keys where they are required, and rate limits of each address

# Requests per minute, and at once. Those of reports are deployment settings.
RATES = {"session": (60, 60), "read": (1200, 300), "failed_key": (10, 20)}


class ApiKeyUser:
    """A program with a key of scope `admin`, treated as an administrator.

    It has no account, so `id` is None; the audit log shows the name of its key.
    """

    id = None
    is_authenticated = is_active = is_admin = sees_all_servers = True
    is_anonymous = must_change_password = False

    def __init__(self, key_name: str) -> None:
        self.username = f"API key {key_name}"
        self.preferences: dict[str, Any] = {}

    def get_id(self) -> None:
        """Return None, so that Flask-Login stores nothing in a session."""


def authenticate_api_key(scope: str, *, always_needs_key: bool = False) -> None:
    """Check the API key of a request for `upload` or `read`.

    Raise Refused (401), Refused (403) or Refused (429). With `always_needs_key` a key is required even if the setting
    does not require one.
    """
    now = runtime.now()
    address = client_address()
    limit_rate(scope, address, now)
    needs_key = always_needs_key or settings_store.get("requires_api_keys")
    secret = _sent_key()
    if secret is None and not needs_key:
        return
    status = key_status(secret, scope, now=now, ip_address=address)
    if status is KeyStatus.GOOD or not needs_key:
        return  # an invalid key that is not required must not reject a report
    if secret is not None:
        limit_rate("failed_key", address, now)
    raise _refusal(status, scope)


def limit_rate(what: str, address: str, now: datetime) -> None:
    """Count one event of an address. Raise Refused (429).

    This machine is never limited.
    """
    if is_loopback(address):
        return
    settings = runtime.settings()
    rate = (settings.uploads_per_minute, settings.upload_burst) if what == "upload" else RATES[what]
    retry_after_s = limiter(f"program {what}", *rate).allow(rate_key(address), now)
    if retry_after_s is not None:
        raise Refused("too_many_requests", retry_after_s=retry_after_s)


def find_api_key_user() -> ApiKeyUser | None:
    """Return the script whose key is in a header.

    None without a valid key, see `api_key_error`. Keys of scope `admin` are not accepted in the URL, which is stored
    in logs and histories.
    """
    secret = _key_in_header()
    if secret is None:
        return None
    now, address = runtime.now(), client_address()
    try:
        check = check_key(secret, "admin", now=now, ip_address=address)
        if check.key is not None:
            return ApiKeyUser(check.key.name)
        limit_rate("failed_key", address, now)
        g.api_key_error = _refusal(check.status, "admin")
    except Refused as refusal:
        g.api_key_error = refusal
    return None


def api_key_error() -> Refused | None:
    """Return the error of the key that was sent; None if it is valid or missing."""
    found: Refused | None = g.get("api_key_error")
    return found


def _refusal(status: KeyStatus, scope: str) -> Refused:
    if status is KeyStatus.WRONG_SCOPE:
        return Refused("api_key_without_scope", scope=scope)
    return Refused("api_key_required")


def _sent_key() -> str | None:
    in_query = request.args.get("api_key") if request.environ.get("QUERY_STRING") else None
    return in_query or _key_in_header()


def _key_in_header() -> str | None:
    environment = request.environ
    scheme, _, bearer = environment.get("HTTP_AUTHORIZATION", "").partition(" ")
    return environment.get("HTTP_X_API_KEY") or (bearer.strip() if scheme.lower() == "bearer" else None) or None


# Limits of request bodies unless a route sets its own: on public routes, and for signed-in users. Our largest ones,
# settings of thousands of jobs, are far below.
PUBLIC_BODY_BYTES = 64 * 1024
USER_BODY_BYTES = 4 * 1024 * 1024
# Set by the server to ask, before it receives a large body, whether the request would be accepted.
ACCESS_CHECK = "duplistatus.asks"


# Sign-in and CSRF protection by Flask-Login and Flask-WTF, with our sessions; bound in the factory


class QuietLoginManager(LoginManager):
    """Flask-Login without its remember-me cookie.

    Its hook would load the session in every public request. A cookie of that name can only be forged and is ignored:
    checking it needs a signing key, which we do not have since sessions are stored on the server.
    """

    def __init__(self) -> None:
        super().__init__()
        self.session_protection = None  # a changing address, as on a train, signs nobody out

    def _update_remember_cookie(self, response: Response) -> Response:
        return response

    def _load_user_from_remember_cookie(self, cookie: str) -> None:
        return None


class SessionCsrf(CSRFProtect):
    """Flask-WTF's protection with the token of our session.

    For API and pages, in place of its signed tokens.
    """

    def sent_token(self) -> str | None:
        """Return the token of the request: from the header, else from the form."""
        return request.headers.get("X-CSRF-Token") or self._get_csrf_token()

    def protect(self, apply_exemptions: bool = False) -> None:
        """Reject a changing request without the session's token.

        Forms need not check again.
        """
        if request.method not in ("GET", "HEAD", "OPTIONS", "TRACE"):
            own: Any = session  # ours, of app.accounts.sessions
            if not own.accepts_token(self.sent_token()):
                raise Refused("csrf_token_invalid")
            g.csrf_valid = True


login_manager = QuietLoginManager()
csrf = SessionCsrf()


@dataclass(frozen=True, slots=True)
class Rule:
    """The access rule of one endpoint."""

    access: Access
    csrf: bool = True
    before_password_change: bool = False
    needs_all_servers: bool = False
    zone: Zone | None = None
    is_page: bool = False
    most_bytes: int | Callable[[], int] | None = None

    @property
    def needs_sign_in(self) -> bool:
        """Whether it requires a signed-in user."""
        return self.access in (Access.USER, Access.ADMIN)

    @property
    def body_limit(self) -> int:
        """The limit of the body in bytes."""
        if self.most_bytes is None:
            return USER_BODY_BYTES if self.needs_sign_in else PUBLIC_BODY_BYTES
        return self.most_bytes if isinstance(self.most_bytes, int) else self.most_bytes()


class Rules(dict[str, Rule]):
    """The rule of each endpoint of the application."""


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """The limit of the body of a route, and whether it requires a signed-in user."""

    most_bytes: int
    needs_sign_in: bool = False


def install_guards(app: Flask) -> None:
    """Check the access rule before every view of the application."""
    runtime_of(app).part(Rules)["static"] = Rule(Access.PUBLIC)
    app.before_request(check_request)


def register(
    app: Flask,
    blueprint: Blueprint,
    *,
    access: Access,
    csrf: bool = True,
    url_prefix: str = "",
    zone: Zone | None = Zone.ADMINISTRATION,
    is_page: bool = False,
) -> None:
    """Register a blueprint below the base path, with the rules of its views.

    `@guarded` on a view overrides them. With `is_page` a visitor is redirected to the sign-in page instead of getting
    an error.
    """
    known = set(app.view_functions)
    base_path, rules = runtime_of(app).config.base_path, runtime_of(app).part(Rules)
    app.register_blueprint(blueprint, url_prefix=f"{base_path}{url_prefix}{blueprint.url_prefix or ''}")
    for endpoint in app.view_functions.keys() - known:
        view = app.view_functions[endpoint]
        own = getattr(view, "access", None)
        rules[endpoint] = Rule(
            own.access if own else access,
            csrf and (own.csrf if own else True),
            own.before_password_change if own else False,
            own.needs_all_servers if own else False,
            zone,
            is_page,
            getattr(view, "most_bytes", None),
        )


def check_request() -> ResponseReturnValue | None:
    """Check the access rule of the request. Public routes do not read the session."""
    endpoint = request.endpoint
    if endpoint is None:
        return None  # not found or method not allowed: reported by the error handlers
    if path_as_sent(request.environ).endswith("/") and request.url_rule and not request.url_rule.rule.endswith("/"):
        return redirect_without_slash()  # otherwise the last parameter would include the slash
    if b"%00" in request.query_string:
        raise Refused("query_with_nul")
    if request.method == "OPTIONS":
        answer = current_app.make_default_options_response()
        answer.status_code = 204
        return answer
    rule = runtime.part(Rules).get(endpoint)
    if rule is None:
        raise Refused("no_access_rule")
    request.max_content_length = rule.body_limit
    if rule.zone is not None:
        check_network(rule.zone)
    if rule.access is Access.PUBLIC:
        return None
    try:
        _check_user(rule)
    except Refused as refusal:
        if not rule.is_page:
            raise
        return _redirect_to_help(refusal)
    if ACCESS_CHECK in request.environ:
        request.environ[ACCESS_CHECK].append(endpoint)
        return "", 204
    return None


def find_limit(app: Flask, method: str, path: str) -> BodyLimit:
    """Return the limit of the body for a method and path.

    A small one if there is no such route. Called in the thread that receives everything, so it only reads memory.
    """
    try:
        endpoint, _values = app.url_map.bind("").match("/" + path.strip("/"), method)
    except HTTPException:
        return BodyLimit(PUBLIC_BODY_BYTES)
    rule = runtime_of(app).part(Rules).get(endpoint, Rule(Access.PUBLIC))
    with app.app_context():
        return BodyLimit(rule.body_limit, rule.needs_sign_in)


def would_admit(app: Flask, environ: "WSGIEnvironment") -> bool:
    """Whether a request would be accepted, as far as that is known without its body."""
    admitted: list[str] = []
    Response.from_app(app, {**environ, ACCESS_CHECK: admitted}, buffered=True)
    return bool(admitted)


def load_api_key_user(_request: Request) -> ApiKeyUser | None:
    """Return the script of an `admin` key for Flask-Login.

    None on pages, which keys cannot open.
    """
    rule = runtime.part(Rules).get(request.endpoint or "")
    return find_api_key_user() if rule is not None and not rule.is_page else None


def check_login_token() -> None:
    """Check the token of a sign-in, which needs no session.

    Source: docs/compatibility/conventions.md#rule-l. In a live session the token must be its own; without one any
    text is valid, since there is nothing to protect: other sites cannot send the header.
    """
    sent = csrf.sent_token()
    if not sent:
        raise Refused("csrf_token_required")
    session = sessions.current()
    if session.is_live and not session.accepts_token(sent):
        raise Refused("csrf_token_invalid")


def _check_user(rule: Rule) -> None:
    # Browsers do not send a key in a header on their own, so no token is needed.
    if rule.access is not Access.SESSION and isinstance(current_user._get_current_object(), ApiKeyUser):
        if rule.before_password_change:
            raise Refused("api_key_without_account")
        return
    if not sessions.current().is_live:
        raise api_key_error() or Refused("session_invalid")
    if rule.csrf and ACCESS_CHECK not in request.environ:  # the token of a form is in its body
        csrf.protect()
    if rule.access is Access.SESSION:
        return
    if not current_user.is_authenticated:
        raise api_key_error() or Refused("authentication_required")
    if current_user.must_change_password and not rule.before_password_change:
        raise Refused("password_change_required")
    if rule.access is Access.ADMIN and not current_user.is_admin:
        raise Refused("administrator_required")
    if rule.needs_all_servers and is_limited(current_user):
        raise Refused("selected_servers_only")


def _wanted_page() -> str:
    """Return the URL to return to after signing in.

    The requested page, or the page that requested a part.
    """
    if "HX-Request" in request.headers:
        try:
            there = urlsplit(request.headers.get("HX-Current-URL", ""))
        except ValueError:  # invalid URL, not from a browser
            return ""
        path, query = there.path, there.query
    elif request.method in ("GET", "HEAD"):
        path = quote(request.script_root + request.path)
        query = quote(request.query_string, safe="=&%+/:,;")
    else:
        return ""
    return f"{path}?{query}" if query else path


def _redirect_to_help(refusal: Refused) -> ResponseReturnValue:
    """Redirect a user to the page that helps: signing in, or changing the password.

    Re-raise other errors.
    """
    root = f"{request.script_root}{settings().base_path}"
    if refusal.status == 401:
        wanted = _wanted_page()
        address = f"{root}/login" + (f"?redirect={quote(wanted)}" if wanted else "")
    elif refusal.code == "password_change_required":
        address = f"{root}/change-password"
    else:
        raise refusal
    if "HX-Request" in request.headers:  # htmx would insert the target of a redirect into a part of the page
        return "", 401, {"HX-Redirect": address}
    return redirect(address, 303)


# Headers of every response: what a browser may do with it, and who may cache it

# Nothing from other sites, no inline script and style, no embedding in frames.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
)
NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
PAGE_HEADERS = {
    **NO_SNIFFING,
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# A year: browsers that have seen it use only HTTPS for this host.
STRICT_TRANSPORT = {"Strict-Transport-Security": "max-age=31536000"}


def install_headers(app: Flask) -> None:
    """Complete the headers of every response, also of plugins and of errors."""
    app.after_request(complete_headers)


def add_page_headers(response: Response) -> Response:
    """Add the headers of pages: content security policy, and no storing."""
    response.headers.update(PAGE_HEADERS)
    return response


def complete_headers(answer: Response) -> Response:
    """Add headers that a view has not set.

    Caching of protected responses is not for the view to decide.
    """
    _set_cache_headers(answer)
    added = PAGE_HEADERS if answer.mimetype == "text/html" else NO_SNIFFING
    if settings().secure_cookies and request.is_secure:
        added = added | STRICT_TRANSPORT
    for name, value in added.items():
        answer.headers.setdefault(name, value)
    return answer


def _set_cache_headers(answer: Response) -> None:
    rule = runtime.part(Rules).get(request.endpoint or "")
    is_guarded = rule is not None and rule.access is not Access.PUBLIC
    if is_guarded and "no-store" not in answer.headers.get("Cache-Control", ""):
        answer.headers["Cache-Control"] = "no-store"
    elif "Cache-Control" not in answer.headers:
        answer.headers["Cache-Control"] = "private, no-cache" if "ETag" in answer.headers else "no-store"
    if "no-store" in answer.headers["Cache-Control"] and answer.headers.get("Expires") != "0":
        answer.headers.pop("Expires", None)
