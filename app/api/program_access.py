"""How programs get in: keys where they are required, and rates for each address."""

from datetime import datetime
from typing import Any

from flask import g, request

from app.api.client import client_address
from app.contracts.errors import AppError, Forbidden, TooManyRequests, Unauthorized
from app.domain.addresses import is_loopback, rate_key
from app.services import clock, configuration, deployment
from app.services.keys import KeyVerdict, judge, judge_key
from app.services.rate_limits import limiter

# How many may come each minute, and at once. The environment has those of uploads.
RATES = {"session": (60, 60), "read": (1200, 300), "failed_key": (10, 20)}


class Script:
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


def admit_program(scope: str, *, always_needs_key: bool = False) -> None:
    """Let a program in to `upload` or `read`. Raises Unauthorized, Forbidden and TooManyRequests.

    With `always_needs_key` a key is asked for even where the setting asks for none.
    """
    now = clock.now()
    address = client_address()
    limit_rate(scope, address, now)
    needs_key = always_needs_key or configuration.get("requires_api_keys")
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
    settings = deployment.settings()
    rate = (settings.uploads_per_minute, settings.upload_burst) if what == "upload" else RATES[what]
    retry_after_s = limiter(f"program {what}", *rate).allow(rate_key(address), now)
    if retry_after_s is not None:
        raise TooManyRequests("Too many requests from this address, try again later", retry_after_s)


def find_script() -> Script | None:
    """The script whose key came in a header; None without a good key, and `script_refusal` then says why.

    Keys of scope `admin` are not taken from the address, which ends up in logs and histories.
    """
    secret = _key_in_header()
    if secret is None:
        return None
    now, address = clock.now(), client_address()
    try:
        judgement = judge(secret, "admin", now=now, ip_address=address)
        if judgement.key is not None:
            return Script(judgement.key.name)
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
        return Forbidden(f"This API key is not for the scope {scope!r}")
    return Unauthorized("A valid API key is required: ?api_key=…, X-Api-Key or Authorization: Bearer")


def _sent_key() -> str | None:
    in_query = request.args.get("api_key") if request.environ.get("QUERY_STRING") else None
    return in_query or _key_in_header()


def _key_in_header() -> str | None:
    environment = request.environ
    scheme, _, bearer = environment.get("HTTP_AUTHORIZATION", "").partition(" ")
    return environment.get("HTTP_X_API_KEY") or (bearer.strip() if scheme.lower() == "bearer" else None) or None
