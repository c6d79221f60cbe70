"""The client and the content of a request; nothing else reads them from Flask."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson
from flask import request
from flask_login import current_user, logout_user

from app import runtime
from app.accounts import network_access, sessions
from app.accounts.models import servers_visible_to
from app.accounts.network_access import Network
from app.audit import log
from app.audit.log import Actor
from app.core.errors import InputTooLarge, Refused
from app.reports.decoding import check_extent

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Key in the WSGI environment of requests from an untrusted proxy on this machine.
UNTRUSTED_PROXY = "duplistatus.untrusted_proxy"


def client_address() -> str:
    """Return the client's address.

    Behind a trusted proxy the one that the proxy reports.
    """
    return request.remote_addr or network_access.UNKNOWN_CLIENT


def is_behind_untrusted_proxy() -> bool:
    """Whether the request came through an untrusted proxy on this machine."""
    return UNTRUSTED_PROXY in request.environ


def user_agent() -> str:
    """Return the user agent of the client."""
    return request.user_agent.string or "unknown"


def actor() -> Actor:
    """Return the actor of this request, for the audit log."""
    if current_user.is_authenticated:
        return Actor(current_user.id, current_user.username, client_address(), user_agent())
    return visitor()


def visitor() -> Actor:
    """Return the client as an unknown actor; does not read the session."""
    return Actor(ip_address=client_address(), user_agent=user_agent())


def visible_server_ids() -> frozenset[str] | None:
    """Return the ids of servers that the signed-in user may see; None means all."""
    return servers_visible_to(current_user)


def json_body(*, optional: bool = False) -> dict[str, Any]:
    """Return the JSON object of the body, whatever its content type.

    Raise Refused: 400 for anything else, 413. With `optional` an empty body counts as an empty object.
    """
    raw = request.get_data()
    if request.content_length is None and len(raw) == request.max_content_length:
        raise InputTooLarge("request_too_large")  # Werkzeug truncates a body without length
    if optional and not raw.strip():
        return {}
    check_extent(raw)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Refused("body_not_json") from error
    if not isinstance(body, dict):
        raise Refused("body_not_an_object")
    if rb"\u0000" in raw and _holds_nul(body):
        raise Refused("body_with_nul")
    return body


def _holds_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any("\0" in name or _holds_nul(inner) for name, inner in value.items())
    return any(map(_holds_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


class TrustedProxies:
    """WSGI middleware for forwarding headers.

    Those of trusted peers are used, others removed. Afterwards `REMOTE_ADDR`, the scheme, the host and `SCRIPT_NAME`
    are what the client sees, so that all other code reads them in the usual way. A client behind an untrusted proxy
    on this machine has no known address: with the proxy's own, every client would be allowed as this machine.
    """

    def __init__(self, application: "WSGIApplication", trusted: Sequence[Network]) -> None:
        self._application = application
        self._trusted = trusted

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        """Change the environment and call the application."""
        peer = environ.get("REMOTE_ADDR", "")
        if network_access.is_within(network_access.parse_address(peer), self._trusted):
            self._believe(environ, peer)
        elif network_access.is_untrusted_proxy(environ, self._trusted):
            environ["REMOTE_ADDR"], environ[UNTRUSTED_PROXY] = network_access.UNKNOWN_CLIENT, peer
        return self._application(environ, start_response)

    def _believe(self, environ: "WSGIEnvironment", peer: str) -> None:
        forwarded_for, real_ip = environ.get("HTTP_X_FORWARDED_FOR", ""), environ.get("HTTP_X_REAL_IP", "")
        environ["REMOTE_ADDR"] = network_access.client_address(peer, forwarded_for, real_ip, self._trusted)
        scheme = _last(environ.get("HTTP_X_FORWARDED_PROTO", ""))
        if scheme in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme
        host = _last(environ.get("HTTP_X_FORWARDED_HOST", ""))
        if host:
            environ["HTTP_HOST"] = host
        prefix = _last(environ.get("HTTP_X_FORWARDED_PREFIX", "")).rstrip("/")
        if prefix.startswith("/") and not prefix.startswith("//"):
            environ["SCRIPT_NAME"] = prefix
            environ["PATH_INFO"] = environ.get("PATH_INFO", "").removeprefix(prefix)


def _last(header: str) -> str:
    """Return the value that the nearest proxy added."""
    return header.rpartition(",")[2].strip()


def end_session() -> None:
    """Sign out: record it if a user was signed in, and end the session."""
    if current_user.is_authenticated:
        log.record_entry("logout", "auth", now=runtime.now(), actor=actor(), details={})
        logout_user()
    sessions.current().end()
