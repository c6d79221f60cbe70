"""Asks whether a Duplicati answers at an address, without telling it anything."""

import json
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests

from app.contracts import AppError
from app.contracts.addresses import ForbiddenAddress, guarded_session
from app.services.servers import check_url

TIMEOUT_S = 15.0
MOST_BYTES = 64 * 1024
# Nobody's password: the refusal of it is what tells a Duplicati.
KNOCK = {"Password": "x", "RememberMe": True}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a Duplicati answered, and a sentence for people."""

    is_success: bool
    message: str


def try_connection(url: str, *, timeout_s: float = TIMEOUT_S) -> Outcome:
    """Knock at the sign-in of the Duplicati at an address. Raises AppError for an address that may not be called.

    Only scheme, host and port of the address count. Certificates are checked; redirects are not followed, since
    they could lead anywhere.
    """
    check_url(url)
    parts = urlsplit(url.strip())
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    try:
        status, body = _knock(f"{origin}/api/v1/auth/login", timeout_s)
    except ForbiddenAddress as error:
        raise AppError(str(error)) from error
    except requests.Timeout:
        return Outcome(False, f"The server did not answer within {timeout_s:g} seconds")
    except requests.exceptions.SSLError:
        return Outcome(False, "No secure connection: check the certificate of the server, or try http instead of https")
    except (requests.RequestException, UnicodeError):
        other = "http" if parts.scheme == "https" else "https"
        return Outcome(False, f"No connection to the server: check host and port, or try {other}")
    if _is_refusal(status, body):
        return Outcome(True, "Connection successful")
    return Outcome(False, f"The server answered with status {status}, which is not what Duplicati does")


def _knock(url: str, timeout_s: float) -> tuple[int, bytes]:
    """Status and beginning of the answer. Raises what `requests` raises, Timeout for an answer that trickles."""
    ends_at = time.monotonic() + timeout_s
    body = b""
    with guarded_session() as session:
        session.headers["Accept"] = "application/json"
        options = {"timeout": timeout_s, "allow_redirects": False, "stream": True}
        with session.post(url, json=KNOCK, **options) as answer:  # type: ignore[arg-type]
            for part in answer.iter_content(4096):
                body += part
                if len(body) >= MOST_BYTES:
                    break
                if time.monotonic() > ends_at:
                    raise requests.Timeout
            return answer.status_code, body


def _is_refusal(status: int, body: bytes) -> bool:
    if status != 401:
        return False
    try:
        told = json.loads(body)
    except ValueError:
        return True  # a proxy with a sign-in of its own
    return isinstance(told, dict) and told.get("Error") == "Failed to log in" and told.get("Code") == 401
