"""Who may enter: one check before every view, looked up by endpoint, so that views carry no access rules.

`cover` registers a blueprint together with its rules. A route that no rule covers is refused, so forgetting one shuts
a door rather than leaving it open. The order of the checks is the contract's: address, session, CSRF token, sign-in,
pending password change, administrator. A script with a key of scope `admin` stands in for an administrator, without
session and token, everywhere but at pages.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from flask import Blueprint, Flask, Request, Response, current_app, g, redirect, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.exceptions import HTTPException

from app import runtime
from app.accounts import network_access, sessions
from app.accounts.api_keys import KeyVerdict, judge, judge_key
from app.accounts.models import is_limited
from app.accounts.network_access import Zone, allow_lists, is_loopback, known_lists, rate_key
from app.core.db.extensions import csrf
from app.core.db.faults import DATABASE_ERRORS
from app.core.rate_limits import limiter
from app.core.settings import store as settings_store
from app.plugin import AppError, Guard
from app.plugin.errors import Forbidden, TooManyRequests, Unauthorized
from app.runtime import settings
from app.web.errors import redirect_without_slash
from app.web.request import client_address, is_behind_untrusted_proxy
from app.web.routing import path_as_sent

# Holds requests to the allow lists, and probes from elsewhere to a rate.

log = logging.getLogger(__name__)

# Per minute and per hour, for those whom no list names.
PROBE_RATES = {"monitoring.ping": (60, 600), "monitoring.show": (30, 120)}
REFUSALS_LOGGED_PER_MINUTE = 1
UNKNOWN_ADDRESS = "Your address is unknown: the proxy on the host of duplistatus is not listed in IP_TRUSTED_PROXIES"


def check_network(zone: Zone) -> None:
    """Let the client into the zone. Raises Forbidden, or TooManyRequests."""
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
    sentence = UNKNOWN_ADDRESS if is_behind_untrusted_proxy() else "Your address is not allowed here"
    raise Forbidden(sentence, errorCode="IP_NOT_ALLOWED")


def _is_admitted(zone: Zone, address: str) -> bool:
    """Whether a list names the address; a probe has to be answered, slowly, where the lists cannot be read."""
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
            sentence = "Too many probes from this address, try again later"
            raise TooManyRequests(sentence, retry_after_s, errorCode="PROBE_RATE_LIMITED")


# How programs get in: keys where they are required, and rates for each address.

# How many may come each minute, and at once. The environment has those of uploads.
RATES = {"session": (60, 60), "read": (1200, 300), "failed_key": (10, 20)}


class ApiKeyUser:
    """A program with a key of scope `admin`, in the place of a signed-in administrator.

    It has no account, so `id` is None; the audit log knows it by the name of its key.
    """

    id = None
    is_authenticated = is_active = is_admin = sees_all_servers = True
    is_anonymous = must_change_password = False

    def __init__(self, key_name: str) -> None:
        self.username = f"API key {key_name}"
        self.preferences: dict[str, Any] = {}

    def get_id(self) -> None:
        """Give Flask-Login nothing to keep in a session."""


def authenticate_api_key(scope: str, *, always_needs_key: bool = False) -> None:
    """Let a program in to `upload` or `read`. Raises Unauthorized, Forbidden and TooManyRequests.

    With `always_needs_key` a key is asked for even where the setting asks for none.
    """
    now = runtime.now()
    address = client_address()
    limit_rate(scope, address, now)
    needs_key = always_needs_key or settings_store.get("requires_api_keys")
    secret = _sent_key()
    if secret is None and not needs_key:
        return
    verdict = judge_key(secret, scope, now=now, ip_address=address)
    if verdict is KeyVerdict.GOOD or not needs_key:
        return  # a bad key that nobody asked for must not cost a report
    if secret is not None:
        limit_rate("failed_key", address, now)
    raise _refusal(verdict, scope)


def limit_rate(what: str, address: str, now: datetime) -> None:
    """Count one event of an address. Raises TooManyRequests; this very machine is never limited."""
    if is_loopback(address):
        return
    settings = runtime.settings()
    rate = (settings.uploads_per_minute, settings.upload_burst) if what == "upload" else RATES[what]
    retry_after_s = limiter(f"program {what}", *rate).allow(rate_key(address), now)
    if retry_after_s is not None:
        raise TooManyRequests("Too many requests from this address, try again later", retry_after_s)


def find_script() -> ApiKeyUser | None:
    """The script whose key came in a header; None without a good key, and `script_refusal` then says why.

    Keys of scope `admin` are not taken from the address, which ends up in logs and histories.
    """
    secret = _key_in_header()
    if secret is None:
        return None
    now, address = runtime.now(), client_address()
    try:
        judgement = judge(secret, "admin", now=now, ip_address=address)
        if judgement.key is not None:
            return ApiKeyUser(judgement.key.name)
        limit_rate("failed_key", address, now)
        g.script_refusal = _refusal(judgement.verdict, "admin")
    except TooManyRequests as refusal:
        g.script_refusal = refusal
    return None


def script_refusal() -> AppError | None:
    """Why the key that was sent opened nothing; None where none was sent."""
    found: AppError | None = g.get("script_refusal")
    return found


def _refusal(verdict: KeyVerdict, scope: str) -> AppError:
    if verdict is KeyVerdict.WRONG_SCOPE:
        return Forbidden(f"This API key does not have the scope {scope!r}")
    return Unauthorized("A valid API key is required: ?api_key=…, X-Api-Key or Authorization: Bearer")


def _sent_key() -> str | None:
    in_query = request.args.get("api_key") if request.environ.get("QUERY_STRING") else None
    return in_query or _key_in_header()


def _key_in_header() -> str | None:
    environment = request.environ
    scheme, _, bearer = environment.get("HTTP_AUTHORIZATION", "").partition(" ")
    return environment.get("HTTP_X_API_KEY") or (bearer.strip() if scheme.lower() == "bearer" else None) or None


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


def install_guards(app: Flask) -> None:
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
        raise AppError("The query contains a NUL character, which cannot be searched for")
    if request.method == "OPTIONS":
        answer = current_app.make_default_options_response()
        answer.status_code = 204
        return answer
    rule: Rule | None = current_app.extensions[RULES].get(endpoint)
    if rule is None:
        raise Forbidden("No access rule covers this URL")
    request.max_content_length = rule.body_limit
    if rule.zone is not None:
        check_network(rule.zone)
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


def load_script(_request: Request) -> ApiKeyUser | None:
    """Tell Flask-Login of a script with a key of scope `admin`; it may call the API, and sees no page."""
    rule: Rule | None = current_app.extensions[RULES].get(request.endpoint)
    return find_script() if rule is not None and not rule.is_page else None


def check_login_token() -> None:
    """Hold a sign-in to docs/compatibility/conventions.md#rule-l: a token, but no session.

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
    if rule.guard is not Guard.SESSION and isinstance(current_user._get_current_object(), ApiKeyUser):
        if rule.before_password_change:
            raise Forbidden("API keys have no account and no password")
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
        raise Forbidden("The password must be changed first", errorCode=PASSWORD_CHANGE_REQUIRED)
    if rule.guard is Guard.ADMIN and not current_user.is_admin:
        raise Forbidden("Administrator access required")
    if rule.needs_all_servers and is_limited(current_user):
        raise Forbidden("This account can see selected servers only")


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


# Headers of every answer: what a browser may do with it, and who may keep it.

# Nothing from elsewhere, no script and no style within the page, nobody may frame it.
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
# A year: browsers that have seen it use HTTPS alone for this host.
STRICT_TRANSPORT = {"Strict-Transport-Security": "max-age=31536000"}


def install_headers(app: Flask) -> None:
    """Complete the headers of every answer, of plugins and of errors too."""
    app.after_request(complete_headers)


def complete_headers(answer: Response) -> Response:
    """Add what a view has not said itself; how long a guarded answer is kept is not for it to say."""
    _settle_caching(answer)
    added = PAGE_HEADERS if answer.mimetype == "text/html" else NO_SNIFFING
    if settings().secure_cookies and request.is_secure:
        added = added | STRICT_TRANSPORT
    for name, value in added.items():
        answer.headers.setdefault(name, value)
    return answer


def _settle_caching(answer: Response) -> None:
    rule: Rule | None = current_app.extensions[RULES].get(request.endpoint)
    is_guarded = rule is not None and rule.guard is not Guard.OPEN
    if is_guarded and "no-store" not in answer.headers.get("Cache-Control", ""):
        answer.headers["Cache-Control"] = "no-store"
    elif "Cache-Control" not in answer.headers:
        answer.headers["Cache-Control"] = "private, no-cache" if "ETag" in answer.headers else "no-store"
    if "no-store" in answer.headers["Cache-Control"] and answer.headers.get("Expires") != "0":
        answer.headers.pop("Expires", None)
