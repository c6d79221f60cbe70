"""Errors of Duplicati servers, and the connection test.

The recordings in `tests/data/duplicati/api` have the error responses; those of Duplicati 2.0 are known from its source.
"""

import errno
import json
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, ReadTimeoutError

from app.backups.servers import check_url
from app.core.errors import Refused
from app.plugin import ForbiddenAddress
from app.plugin.http import answers_within, guarded_session, reached_address
from app.reports.decoding import read_json

HOST_NAME_REFUSED = "invalid hostname"
HOST_HEADER_REFUSED = b"host header"
DATABASE_LOCKED = "DatabaseLocked"


def refuses_host_name(status: int, body: bytes) -> bool:
    """Return whether a Duplicati rejected the host name of a request."""
    if status != 403:
        return False
    try:
        value = read_json(body)
    except ValueError:
        return HOST_HEADER_REFUSED in body.lower()  # Duplicati 2.0
    error = value.get("Error") if isinstance(value, Mapping) else None
    return isinstance(error, str) and error.lower().startswith(HOST_NAME_REFUSED)


def is_locked(status: int, value: Any) -> bool:
    """Return whether a job's database is locked by a run."""
    return status == 400 and isinstance(value, Mapping) and value.get("HelpId") == DATABASE_LOCKED


# Failures: a code for programs, a sentence for users


class Reason(StrEnum):
    """The reason of a failure."""

    FORBIDDEN = "FORBIDDEN_ADDRESS"
    UNKNOWN_HOST = "UNKNOWN_HOST"
    UNREACHABLE = "UNREACHABLE"
    REFUSED = "REFUSED"
    TIMEOUT = "TIMEOUT"
    CERTIFICATE = "CERTIFICATE"
    NO_TLS = "NO_TLS"
    BROKEN_OFF = "BROKEN_OFF"
    REDIRECT = "REDIRECT"
    NOT_DUPLICATI = "NOT_DUPLICATI"
    LOGIN = "LOGIN"
    NO_TOKEN = "NO_TOKEN"  # noqa: S105 (a word for a reason)
    ANSWER = "ANSWER"
    TOO_LARGE = "TOO_LARGE"
    NO_JOB = "NO_JOB"
    HOST_NAME = "HOST_NAME"


# Reasons that mean that a server does not answer: then its other jobs are not requested, each until the time limit.
SILENT = frozenset({Reason.TIMEOUT, Reason.UNREACHABLE, Reason.REFUSED})
SILENCES_ALLOWED = 2
# Reasons for which another scheme may work; the others mean that nothing listens there.
RESPONDING = frozenset({Reason.NO_TLS, Reason.BROKEN_OFF, Reason.NOT_DUPLICATI, Reason.REDIRECT})
# OpenSSL's verification errors by number (X509_V_ERR_…) and their codes; all others are "not trusted".
CERTIFICATE_CODES = {
    9: "certificate_not_valid_yet",
    10: "certificate_expired",
    62: "certificate_of_another_host",
    64: "certificate_of_another_host",
}
NOT_TRUSTED = "certificate_not_trusted"
UNREACHABLE_ERRORS = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


class CollectFailure(Refused):
    """A request to a Duplicati server failed: a reason for programs, and an error for users.

    The text contains no secret.
    """

    def __init__(self, reason: Reason, error: Refused) -> None:
        super().__init__("collect_failed", body={"errorCode": reason.value}, reason=error)
        self.reason = reason


def explain(error: Exception, timeout_s: float) -> tuple[Reason, Refused]:
    """Return the reason of an error of `requests`, and the error for users."""
    causes = list(_chain(error))
    forbidden = next((cause.host for cause in causes if isinstance(cause, ForbiddenAddress)), "")
    for kind, reason, explained in (
        (ForbiddenAddress, Reason.FORBIDDEN, Refused("address_forbidden", host=forbidden)),
        (NameResolutionError | socket.gaierror, Reason.UNKNOWN_HOST, Refused("host_unknown")),
        (ssl.SSLCertVerificationError, Reason.CERTIFICATE, Refused(_certificate_code(causes))),
        (ssl.SSLError, Reason.NO_TLS, Refused("no_encrypted_connection")),
        (ConnectionRefusedError, Reason.REFUSED, Refused("connection_refused")),
        (
            requests.Timeout | ConnectTimeoutError | ReadTimeoutError | TimeoutError,
            Reason.TIMEOUT,
            Refused("no_response_in_time", seconds=f"{timeout_s:g}"),
        ),
    ):
        if any(isinstance(cause, kind) for cause in causes):
            return reason, explained
    if any(isinstance(cause, OSError) and cause.errno in UNREACHABLE_ERRORS for cause in causes):
        return Reason.UNREACHABLE, Refused("host_unreachable")
    return Reason.BROKEN_OFF, Refused("connection_interrupted")


def _certificate_code(causes: Iterable[BaseException]) -> str:
    numbers = (getattr(cause, "verify_code", None) for cause in causes)
    return next((CERTIFICATE_CODES[number] for number in numbers if number in CERTIFICATE_CODES), NOT_TRUSTED)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes.

    Libraries wrap errors as cause, as reason or as an argument.
    """
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        found = waiting.pop()
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += [found.__cause__, found.__context__, getattr(found, "reason", None), *found.args]


# Connection test: detect a Duplicati at an address without sending credentials

TIMEOUT_S = 15.0
MOST_BYTES = 64 * 1024
LOGIN_PATH, OLD_LOGIN_PATH = "/api/v1/auth/login", "/login.cgi"
# Statuses of a Duplicati before 2.1 for unknown paths, or paths protected by its token.
OLDER_STATUSES = frozenset({400, 404, 405, 501})
# A password that nobody has: its rejection identifies a Duplicati.
KNOCK = {"Password": "x", "RememberMe": False}
# A cookie that a Duplicati before 2.1 sends with every response.
XSRF_COOKIE = "xsrf-token="


class LoginAnswer(Protocol):
    """The used part of a sign-in response; `reached` is the responding address."""

    @property
    def reached(self) -> str: ...

    @property
    def refuses_host(self) -> bool: ...

    @property
    def is_of_login(self) -> bool: ...


Found = TypeVar("Found", bound=LoginAnswer)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a Duplicati answered; if not, why."""

    problem: Refused | None = None

    @property
    def is_success(self) -> bool:
        """Whether a Duplicati answered."""
        return self.problem is None

    @property
    def message(self) -> str:
        """The English sentence, for the API."""
        return self.problem.message if self.problem else "Connection successful"


@dataclass(frozen=True, slots=True)
class _Answer:
    """Status, start of the body, cookies and address of a response."""

    status: int
    body: bytes
    cookies: str
    reached: str

    @property
    def refuses_host(self) -> bool:
        """Whether the host name was rejected."""
        return refuses_host_name(self.status, self.body)

    @property
    def is_of_login(self) -> bool:
        """Whether it can be the response of either generation to a wrong password."""
        return self.status in OLDER_STATUSES or _is_refusal(self)


class _Probe:
    """Sends the requests that identify a Duplicati."""

    def __init__(self, origin: str, headers: Mapping[str, str], verifies_certificate: bool, timeout_s: float) -> None:
        self._origin = origin
        self._headers = {**headers, "Accept": "application/json"}
        self._verifies_certificate = verifies_certificate
        self._timeout_s = timeout_s

    def ask_for_login(self) -> _Answer:
        """Try to sign in; repeat with the IP address if the host name is rejected."""
        return ask_by_reached_address(lambda: self.send(LOGIN_PATH, json=KNOCK), self._headers)

    def is_older(self) -> bool:
        """Return whether it is a Duplicati before 2.1, by its nonce.

        Fails without a password.
        """
        answer = self.send(OLD_LOGIN_PATH, data={"get-nonce": "1"})
        if answer.status == 500 and XSRF_COOKIE in answer.cookies:
            return True
        try:
            value = read_json(answer.body)
        except ValueError:
            return False
        return answer.status == 200 and isinstance(value, dict) and "Nonce" in value and "Salt" in value

    def send(self, path: str, **sent: Any) -> _Answer:
        """Send one request. Raise as `requests`, Timeout if the response is slow."""
        body = b""
        with answers_within(self._timeout_s), guarded_session() as session:
            session.headers.update(self._headers)
            session.auth = _keep_as_it_is
            options: dict[str, Any] = {"timeout": self._timeout_s, "allow_redirects": False, "stream": True}
            url = f"{self._origin}{path}"
            with session.post(url, verify=self._verifies_certificate, **options, **sent) as answer:
                reached = reached_address(answer)
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
    """Test the sign-in of the Duplicati at a URL.

    Raise Refused for a forbidden address.

    Only scheme, host and port of the URL are used. Redirects are not followed, since they could lead anywhere.
    `headers` are sent as well, for a proxy with its own sign-in.
    """
    check_url(url)
    parts = urlsplit(url.strip())
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    probe = _Probe(origin, headers or {}, verifies_certificate, timeout_s)
    try:
        answer = probe.ask_for_login()
        if answer.status in OLDER_STATUSES and probe.is_older():
            return Outcome()
    except ForbiddenAddress as error:
        raise Refused("address_forbidden", "url", host=error.host) from error
    except (requests.Timeout, ReadTimeoutError):
        return Outcome(Refused("no_response_to_test", seconds=f"{timeout_s:g}"))
    except requests.exceptions.SSLError:
        return Outcome(Refused("no_secure_connection"))
    except (requests.RequestException, HTTPError, UnicodeError):
        other = "http" if parts.scheme == "https" else "https"
        return Outcome(Refused("no_connection_to_server", scheme=other))
    if answer.refuses_host:
        return Outcome(Refused("host_name_rejected", host=parts.hostname or ""))
    if _is_refusal(answer):
        return Outcome()
    return Outcome(Refused("answer_unlike_duplicati", http_status=answer.status))


def ask_by_reached_address(ask: Callable[[], Found], headers: MutableMapping[str, str]) -> Found:
    """Send a sign-in; if the host name is rejected, repeat with the IP as `Host`.

    Returns the second response if a sign-in can have given it, else the first. Raises as `ask`.
    """
    first = ask()
    if not first.refuses_host or not first.reached or "Host" in headers:
        return first
    headers["Host"] = first.reached
    second = ask()
    return second if second.is_of_login else first


def _keep_as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add nothing; otherwise a password for this host from the environment is sent."""
    return request


def _is_refusal(answer: _Answer) -> bool:
    """Return whether a response is Duplicati's rejection of a password."""
    if answer.status != 401:
        return False
    try:
        value = json.loads(answer.body)
    except ValueError:
        return True  # a proxy with its own sign-in
    return isinstance(value, dict) and value.get("Error") == "Failed to log in" and value.get("Code") == 401
