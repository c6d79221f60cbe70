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
# OpenSSL's verification errors by number (X509_V_ERR_…) and their messages; all others are "not trusted".
CERTIFICATE_SENTENCES = {
    9: "The certificate is not good yet; perhaps a clock is wrong",
    10: "The certificate has expired",
    62: "The certificate is one for another host name",
    64: "The certificate is one for another host name",
}
NOT_TRUSTED = "The certificate is not trusted; it may be self-signed"
UNREACHABLE_ERRORS = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


class CollectFailure(Refused):
    """A request to a Duplicati server failed. The text contains no secret."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__("collect_failed", body={"errorCode": reason.value}, reason=sentence)
        self.reason = reason


def host_name_refused(host: str) -> str:
    """Return the message for a Duplicati that accepts neither host name nor IP."""
    return (
        f"This Duplicati rejects the host name {host}: allow it with --webservice-allowed-hostnames "
        "(DUPLICATI__WEBSERVICE_ALLOWED_HOSTNAMES), or use its IP address"
    )


def explain(error: Exception, timeout_s: float) -> tuple[Reason, str]:
    """Return the reason and the sentence for an error of `requests`."""
    causes = list(_chain(error))
    for kind, reason, sentence in (
        (ForbiddenAddress, Reason.FORBIDDEN, str(error)),
        (NameResolutionError | socket.gaierror, Reason.UNKNOWN_HOST, "The host name is not known"),
        (ssl.SSLCertVerificationError, Reason.CERTIFICATE, _certificate_message(causes)),
        (ssl.SSLError, Reason.NO_TLS, "No encrypted connection could be established; the server may support http only"),
        (ConnectionRefusedError, Reason.REFUSED, "Connection refused; check the port"),
        (
            requests.Timeout | ConnectTimeoutError | ReadTimeoutError | TimeoutError,
            Reason.TIMEOUT,
            f"No response within {timeout_s:g} seconds",
        ),
    ):
        if any(isinstance(cause, kind) for cause in causes):
            return reason, sentence
    if any(isinstance(cause, OSError) and cause.errno in UNREACHABLE_ERRORS for cause in causes):
        return Reason.UNREACHABLE, "The host cannot be reached from here"
    return Reason.BROKEN_OFF, "The connection was interrupted"


def _certificate_message(causes: Iterable[BaseException]) -> str:
    codes = (getattr(cause, "verify_code", None) for cause in causes)
    return next((CERTIFICATE_SENTENCES[code] for code in codes if code in CERTIFICATE_SENTENCES), NOT_TRUSTED)


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
    """Whether a Duplicati answered, and a sentence for users."""

    is_success: bool
    message: str


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
            return Outcome(True, "Connection successful")
    except ForbiddenAddress as error:
        raise Refused("address_forbidden", "url", host=error.host) from error
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
