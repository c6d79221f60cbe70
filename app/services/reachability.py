"""Asks whether a Duplicati answers at an address, without telling it anything."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from app.contracts import AppError
from app.contracts.addresses import ForbiddenAddress, guarded_session
from app.contracts.deadlines import answers_within
from app.domain.lenient_json import read_json
from app.services.servers import check_url

TIMEOUT_S = 15.0
MOST_BYTES = 64 * 1024
LOGIN_PATH, OLD_LOGIN_PATH = "/api/v1/auth/login", "/login.cgi"
# What a Duplicati before 2.1 answers to a path that it does not know, or guards by its token.
OLDER_STATUSES = frozenset({400, 404, 405, 501})
# Nobody's password: the refusal of it is what tells a Duplicati.
KNOCK = {"Password": "x", "RememberMe": True}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a Duplicati answered, and a sentence for people."""

    is_success: bool
    message: str


def try_connection(url: str, *, verifies_certificate: bool = True, timeout_s: float = TIMEOUT_S) -> Outcome:
    """Knock at the sign-in of the Duplicati at an address. Raises AppError for an address that may not be called.

    Only scheme, host and port of the address count. Redirects are not followed, since they could lead anywhere.
    """
    check_url(url)
    parts = urlsplit(url.strip())
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    try:
        status, body = _knock(f"{origin}{LOGIN_PATH}", verifies_certificate, timeout_s, json=KNOCK)
        if status in OLDER_STATUSES and _is_older(origin, verifies_certificate, timeout_s):
            return Outcome(True, "Connection successful")
    except ForbiddenAddress as error:
        raise AppError(str(error)) from error
    except (requests.Timeout, ReadTimeoutError):
        return Outcome(False, f"The server did not answer within {timeout_s:g} seconds")
    except requests.exceptions.SSLError:
        return Outcome(False, "No secure connection: check the certificate of the server, or try http instead of https")
    except (requests.RequestException, HTTPError, UnicodeError):
        other = "http" if parts.scheme == "https" else "https"
        return Outcome(False, f"No connection to the server: check host and port, or try {other}")
    if _is_refusal(status, body):
        return Outcome(True, "Connection successful")
    return Outcome(False, f"The server answered with status {status}, which is not what Duplicati does")


def _is_older(origin: str, verifies_certificate: bool, timeout_s: float) -> bool:
    """Whether a Duplicati before 2.1 is there, by what it offers for a login."""
    status, body = _knock(f"{origin}{OLD_LOGIN_PATH}", verifies_certificate, timeout_s, data={"get-nonce": "1"})
    try:
        told = read_json(body)
    except ValueError:
        return False
    return status == 200 and isinstance(told, dict) and "Nonce" in told and "Salt" in told


def _knock(url: str, verifies_certificate: bool, timeout_s: float, **sent: Any) -> tuple[int, bytes]:
    """Status and beginning of the answer. Raises what `requests` raises, Timeout for an answer that trickles."""
    body = b""
    with answers_within(timeout_s), guarded_session() as session:
        session.headers["Accept"] = "application/json"
        session.auth = _keep_as_it_is
        options: dict[str, Any] = {"timeout": timeout_s, "allow_redirects": False, "stream": True}
        with session.post(url, verify=verifies_certificate, **options, **sent) as answer:
            while len(body) < MOST_BYTES and (part := answer.raw.read1(4096, decode_content=True)):
                body += part
            return answer.status_code, body


def _keep_as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add nothing: else a password for this host from the environment would go along."""
    return request


def _is_refusal(status: int, body: bytes) -> bool:
    if status != 401:
        return False
    try:
        told = json.loads(body)
    except ValueError:
        return True  # a proxy with a sign-in of its own
    return isinstance(told, dict) and told.get("Error") == "Failed to log in" and told.get("Code") == 401
