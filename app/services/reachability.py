"""Asks whether a Duplicati answers at an address, without telling it anything."""

import json
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from app.contracts import AppError
from app.contracts.addresses import ForbiddenAddress, guarded_session, reached_place
from app.contracts.deadlines import answers_within
from app.domain.duplicati_answers import refuses_host_name
from app.domain.lenient_json import read_json
from app.services.collect.failures import host_name_refused
from app.services.servers import check_url

TIMEOUT_S = 15.0
MOST_BYTES = 64 * 1024
LOGIN_PATH, OLD_LOGIN_PATH = "/api/v1/auth/login", "/login.cgi"
# What a Duplicati before 2.1 answers to a path that it does not know, or guards by its token.
OLDER_STATUSES = frozenset({400, 404, 405, 501})
# Nobody's password: the refusal of it is what tells a Duplicati.
KNOCK = {"Password": "x", "RememberMe": False}
# What a Duplicati before 2.1 hands out with every answer.
XSRF_COOKIE = "xsrf-token="


class LoginAnswer(Protocol):
    """What counts of an answer to a login; `reached` is the address that gave it, as a Host header."""

    @property
    def reached(self) -> str: ...

    @property
    def refuses_host(self) -> bool: ...

    @property
    def is_of_login(self) -> bool: ...


Found = TypeVar("Found", bound=LoginAnswer)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a Duplicati answered, and a sentence for people."""

    is_success: bool
    message: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """Status and beginning of an answer, the cookies that came along, and the address that gave it."""

    status: int
    body: bytes
    cookies: str
    reached: str

    @property
    def refuses_host(self) -> bool:
        """Whether a Duplicati does not take the host name."""
        return refuses_host_name(self.status, self.body)

    @property
    def is_of_login(self) -> bool:
        """Whether a login of either generation can have given it to a wrong password."""
        return self.status in OLDER_STATUSES or _is_refusal(self)


class _Probe:
    """Sends what tells a Duplicati from other servers to one of them."""

    def __init__(self, origin: str, headers: Mapping[str, str], verifies_certificate: bool, timeout_s: float) -> None:
        self._origin = origin
        self._headers = {**headers, "Accept": "application/json"}
        self._verifies_certificate = verifies_certificate
        self._timeout_s = timeout_s

    def ask_for_login(self) -> _Answer:
        """Try the sign-in; where the host name is refused, once more with the address that it led to."""
        return ask_by_reached_address(lambda: self.send(LOGIN_PATH, json=KNOCK), self._headers)

    def is_older(self) -> bool:
        """Whether a Duplicati before 2.1 is there, by what it offers for a login; without a password it fails."""
        answer = self.send(OLD_LOGIN_PATH, data={"get-nonce": "1"})
        if answer.status == 500 and XSRF_COOKIE in answer.cookies:
            return True
        try:
            told = read_json(answer.body)
        except ValueError:
            return False
        return answer.status == 200 and isinstance(told, dict) and "Nonce" in told and "Salt" in told

    def send(self, path: str, **sent: Any) -> _Answer:
        """Send one request. Raises what `requests` raises, Timeout for an answer that trickles."""
        body = b""
        with answers_within(self._timeout_s), guarded_session() as session:
            session.headers.update(self._headers)
            session.auth = _keep_as_it_is
            options: dict[str, Any] = {"timeout": self._timeout_s, "allow_redirects": False, "stream": True}
            url = f"{self._origin}{path}"
            with session.post(url, verify=self._verifies_certificate, **options, **sent) as answer:
                reached = reached_place(answer)
                while len(body) < MOST_BYTES and (part := answer.raw.read1(4096, decode_content=True)):
                    body += part
                cookies = "\n".join(answer.raw.headers.getlist("Set-Cookie"))
                return _Answer(answer.status_code, body, cookies, reached)


def try_connection(
    url: str,
    *,
    verifies_certificate: bool = True,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Outcome:
    """Knock at the sign-in of the Duplicati at an address. Raises AppError for an address that may not be called.

    Only scheme, host and port of the address count. Redirects are not followed, since they could lead anywhere.
    `headers` go along, for a proxy with a sign-in of its own.
    """
    check_url(url)
    parts = urlsplit(url.strip())
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    probe = _Probe(origin, headers or {}, verifies_certificate, timeout_s)
    try:
        answer = probe.ask_for_login()
        if answer.status in OLDER_STATUSES and probe.is_older():
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
    if answer.refuses_host:
        return Outcome(False, host_name_refused(parts.hostname or ""))
    if _is_refusal(answer):
        return Outcome(True, "Connection successful")
    return Outcome(False, f"The server answered with status {answer.status}, which is not what Duplicati does")


def ask_by_reached_address(ask: Callable[[], Found], headers: MutableMapping[str, str]) -> Found:
    """Send a login; where the host name is refused, once more with the address that it led to as `Host` of `headers`.

    Returns the second answer if a login can have given it, else the first. Raises what `ask` raises.
    """
    first = ask()
    if not first.refuses_host or not first.reached or "Host" in headers:
        return first
    headers["Host"] = first.reached
    second = ask()
    return second if second.is_of_login else first


def _keep_as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add nothing: else a password for this host from the environment would go along."""
    return request


def _is_refusal(answer: _Answer) -> bool:
    """Whether a password was refused as Duplicati does it."""
    if answer.status != 401:
        return False
    try:
        told = json.loads(answer.body)
    except ValueError:
        return True  # a proxy with a sign-in of its own
    return isinstance(told, dict) and told.get("Error") == "Failed to log in" and told.get("Code") == 401
