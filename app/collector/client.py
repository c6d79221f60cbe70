"""HTTP client for one Duplicati server, with both generations of its sign-in.

Since Duplicati 2.1 a password is exchanged for a bearer token. Before, nonce and salt are requested, the password is
sent hashed with both, and the session is in cookies, with a CSRF token in a header. A Duplicati 2.0 without a password,
its default, fails at the nonce and answers without a sign-in.

If a Duplicati rejects the host name of a request, the request is repeated with the IP address that the name resolved
to.
"""

import base64
import hashlib
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from http.cookies import CookieError, SimpleCookie
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, InsecureRequestWarning

from app.collector import reachability
from app.collector.addresses import HTTP, HTTPS, Address
from app.collector.reachability import (
    LOGIN_PATH,
    OLD_LOGIN_PATH,
    OLDER_STATUSES,
    RESPONDING,
    CollectFailure,
    Reason,
    explain,
    is_locked,
    refuses_host_name,
)
from app.core.errors import Refused
from app.plugin import ForbiddenAddress
from app.plugin.http import answers_within, guarded_session, reached_address
from app.reports.decoding import read_json

# Verification is disabled by the user, per server.
warnings.simplefilter("ignore", InsecureRequestWarning)

PIECE_BYTES = 65_536
# All errors of a request; UnicodeError is a host name that cannot be encoded.
REQUEST_ERRORS = (requests.RequestException, HTTPError, UnicodeError, ForbiddenAddress)
LONGEST_PHRASE = 80
API = "/api/v1"
SYSTEM_INFO_PATH = f"{API}/systeminfo"
XSRF_COOKIE = "xsrf-token"


# Statuses of servers that do not know a path; other failures may be temporary.
NOT_OFFERED = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of time and size for a server's responses."""

    timeout_s: float = 15.0
    # For a whole response: one that arrives slowly would never exceed the other limit.
    answer_s: float = 60.0
    answer_bytes: int = 8 * 1024 * 1024
    log_s: float = 180.0
    log_bytes: int = 32 * 1024 * 1024
    # A token is valid for a quarter of an hour.
    token_s: float = 14 * 60.0


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Address, password and headers of a server, and whether to verify certificates.

    `headers` are sent with every request, for a proxy with its own sign-in.
    """

    address: Address
    password: str = field(repr=False)
    verifies_certificate: bool = True
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. `value` is the JSON of the body, or None.

    `reached` is the address that answered, as a Host header; `refuses_host` means that the host name was rejected.
    """

    status: int
    phrase: str
    value: Any
    reached: str = ""
    refuses_host: bool = False

    @property
    def is_good(self) -> bool:
        """Whether the status is successful."""
        return 200 <= self.status < 300

    @property
    def is_redirect(self) -> bool:
        """Whether it is a redirect."""
        return 300 <= self.status < 400

    @property
    def is_of_login(self) -> bool:
        """Whether it can be the response to a sign-in of either generation."""
        is_expected = self.is_good or self.status == HTTPStatus.UNAUTHORIZED
        return self.status in OLDER_STATUSES or (is_expected and isinstance(self.value, Mapping))


class TooLarge(Exception):
    """A response exceeds the size limit."""


class DatabaseLocked(Exception):
    """The database of a job is locked by a run."""


class _Session(AuthBase):
    """The session of a sign-in: a bearer token, or cookies.

    Always set as `auth`, so that requests never adds a password for this host from the environment.
    """

    def __init__(self) -> None:
        self.token = ""
        self.cookies: dict[str, str] = {}

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token or the cookies to a request."""
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        if self.cookies:
            request.headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            request.headers["X-XSRF-Token"] = unquote(self.cookies.get(XSRF_COOKIE, ""))
        return request

    def forget(self) -> None:
        """Delete token and cookies."""
        self.token = ""
        self.cookies.clear()

    def keep(self, headers: list[str]) -> None:
        """Store the cookies of a response regardless of their expiry; a token needs none.

        The server's clock may be wrong.
        """
        for header in headers if not self.token else ():
            try:
                self.cookies |= {name: morsel.coded_value for name, morsel in SimpleCookie(header).items()}
            except CookieError:
                continue


class Duplicati:
    """A signed-in session, to be used as a context manager.

    All methods raise CollectFailure. If the sign-in has expired, or the token is about to, it signs in again; therefore
    it holds the password until its end.
    """

    def __init__(self, endpoint: Endpoint, limits: Limits = LIMITS) -> None:
        self._endpoint = endpoint
        self._limits = limits
        self._session = _Session()
        self._http = guarded_session()
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # ours are in `_session`
        self._http.headers.update(endpoint.headers)
        self._http.headers.update({"Accept": "application/json", "Accept-Encoding": "identity"})
        self._http.auth = self._session
        self._signed_in_at = 0.0
        self._may_renew = True

    def __enter__(self) -> "Duplicati":
        """Sign in."""
        try:
            self._sign_in()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection; the session expires on the server."""
        self._close()

    def _close(self) -> None:
        address = self._endpoint.address
        self._endpoint = Endpoint(address, "")
        self._session.forget()
        self._http.close()

    def system_info(self) -> Any:
        """Return the server's system information."""
        return self._value("GET", SYSTEM_INFO_PATH, "request_of_system_info")

    def settings(self) -> Any:
        """Return the settings of the server; None if it does not provide them."""
        answer = self._call("GET", f"{API}/serversettings", "request_of_settings")
        return answer.value if answer.is_good else None

    def backups(self) -> Any:
        """Return the backup jobs with their schedules."""
        return self._value("GET", f"{API}/backups", "request_of_jobs")

    def backup(self, job_id: str) -> Any:
        """Return one job with its settings, which the list lacks; None if not provided."""
        answer = self._call("GET", _path_of(job_id), "request_of_job_settings")
        return None if answer.status in NOT_OFFERED else _value_in(answer, "request_of_job_settings")

    def log(self, job_id: str, size: int, before_id: int | None = None) -> Any:
        """Return the newest log entries of a job, or the newest before an entry.

        Raises DatabaseLocked while the job runs, and TooLarge if the response exceeds the limit.
        """
        offset = "" if before_id is None else f"&offset={before_id}"
        path = f"{_path_of(job_id)}/log?pagesize={size}{offset}"
        answer = self._call("GET", path, "request_of_log", is_log=True)
        if is_locked(answer.status, answer.value):
            raise DatabaseLocked
        return _value_in(answer, "request_of_log")

    def file_sets(self, job_id: str) -> Any:
        """Return the versions of a job. Each request adds an entry to the log of the job."""
        return self._value("GET", f"{_path_of(job_id)}/filesets", "request_of_versions")

    def server_state(self) -> Any:
        """Return the state of the server, with the task that is running."""
        return self._value("GET", f"{API}/serverstate", "request_of_state")

    def task(self, task_id: int) -> Any:
        """Return a task: when it began, and whether it has ended."""
        return self._value("GET", f"{API}/task/{task_id}", "request_of_task")

    def start(self, job_id: str) -> Any:
        """Start a job; return the server's response."""
        return self._value("POST", f"{_path_of(job_id)}/run", "request_of_start")

    def _sign_in(self) -> None:
        self._session.forget()
        self._signed_in_at = time.monotonic()
        try:
            answer = self._ask_for_login()
            if answer.status in OLDER_STATUSES and self._sign_in_as_of_old():
                return
        except (*REQUEST_ERRORS, TooLarge) as error:
            raise self._no_connection(*explain(error, self._limits.timeout_s)) from error
        if answer.is_redirect:
            raise self._no_connection(Reason.REDIRECT, Refused("sign_in_redirected"))
        if not (answer.is_good or answer.status == HTTPStatus.UNAUTHORIZED) or not isinstance(answer.value, Mapping):
            raise self._no_connection(Reason.NOT_DUPLICATI, Refused("not_duplicati", http_status=answer.status))
        if not answer.is_good:
            raise CollectFailure(Reason.LOGIN, Refused("sign_in_failed", phrase=answer.phrase))
        token = answer.value.get("AccessToken")
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise CollectFailure(Reason.NO_TOKEN, Refused("no_token_received"))
        self._session.forget()  # a newer server sets cookies for browsers, not needed with the token
        self._session.token = token

    def _ask_for_login(self) -> Answer:
        """Send the password; repeat with the IP address if the host name is rejected.

        The connection is made by name again, so that the certificate is verified against it. Raises as `_ask`, and
        CollectFailure.
        """
        login = {"Password": self._endpoint.password, "RememberMe": False}
        headers: Any = self._http.headers
        answer = reachability.ask_by_reached_address(lambda: self._ask("POST", LOGIN_PATH, json=login), headers)
        if answer.refuses_host:
            raise self._no_connection(Reason.HOST_NAME, self._host_name_rejected())
        return answer

    def _sign_in_as_of_old(self) -> bool:
        """Sign in to a Duplicati before 2.1; False if it is newer.

        Raises as `_ask`, and CollectFailure.
        """
        self._session.cookies = {name: value for name, value in self._session.cookies.items() if name == XSRF_COOKIE}
        offer = self._ask("POST", OLD_LOGIN_PATH, data={"get-nonce": "1"})
        values = offer.value if offer.is_good and isinstance(offer.value, Mapping) else {}
        nonce, salt = _decoded(values.get("Nonce")), _decoded(values.get("Salt"))
        if nonce is None or salt is None:
            return XSRF_COOKIE in self._session.cookies and self._is_open()
        self._session.cookies.setdefault("session-nonce", quote(str(values["Nonce"]), safe=""))
        salted = hashlib.sha256(self._endpoint.password.encode() + salt).digest()
        proof = base64.b64encode(hashlib.sha256(nonce + salted).digest()).decode()
        answer = self._ask("POST", OLD_LOGIN_PATH, data={"password": proof})
        if not answer.is_good:
            raise CollectFailure(Reason.LOGIN, Refused("sign_in_failed", phrase=answer.phrase))
        if "session-auth" not in self._session.cookies:
            raise CollectFailure(Reason.NO_TOKEN, Refused("no_token_received"))
        self._session.cookies.pop("session-nonce", None)
        return True

    def _is_open(self) -> bool:
        """Return whether a Duplicati 2.0 without a password answers without a sign-in."""
        answer = self._ask("GET", SYSTEM_INFO_PATH)
        return answer.is_good and isinstance(answer.value, Mapping) and "APIVersion" in answer.value

    def _host_name_rejected(self) -> Refused:
        return Refused("host_name_rejected", host=self._endpoint.address.host)

    def _no_connection(self, reason: Reason, error: Refused) -> CollectFailure:
        """Return the failure of a first contact, with a line for each protocol."""
        netloc, scheme = self._endpoint.address.netloc, self._endpoint.address.scheme
        if scheme == HTTPS:
            http = self._check_http(reason)
            return CollectFailure(reason, Refused("no_connection_https", address=netloc, reason=error, http=http))
        return CollectFailure(reason, Refused("no_connection", address=netloc, scheme=scheme.upper(), reason=error))

    def _check_http(self, reason: Reason) -> Refused:
        """Return whether an unencrypted connection works; the password is not sent."""
        address = self._endpoint.address
        if reason in RESPONDING:
            plain = str(Address(HTTP, address.host, address.port))
            # The headers are secrets, too.
            if reachability.try_connection(plain, timeout_s=self._limits.timeout_s).is_success:
                return Refused("http_possible")
        return Refused("http_not_tried")

    def _value(self, method: str, path: str, what: str, *, is_log: bool = False) -> Any:
        return _value_in(self._call(method, path, what, is_log=is_log), what)

    def _call(self, method: str, path: str, what: str, *, is_log: bool = False) -> Answer:
        """Send a request after the sign-in. The caller handles a log that is too large.

        `what` is the code of a text that says what is requested.
        """
        try:
            if time.monotonic() - self._signed_in_at > self._limits.token_s:
                self._sign_in()
            answer = self._ask_by_address(method, path, is_log=is_log)
            if answer.status == HTTPStatus.UNAUTHORIZED and self._may_renew:
                self._sign_in()
                answer = self._ask_by_address(method, path, is_log=is_log)
                self._may_renew = answer.status != HTTPStatus.UNAUTHORIZED
            return answer
        except TooLarge:
            if is_log:
                raise
            raise CollectFailure(Reason.TOO_LARGE, Refused("response_too_large", what=Refused(what))) from None
        except REQUEST_ERRORS as error:
            reason, explained = explain(error, self._limits.timeout_s)
            raise CollectFailure(reason, Refused("request_failed", what=Refused(what), reason=explained)) from error

    def _ask_by_address(self, method: str, path: str, *, is_log: bool) -> Answer:
        """Send a request; repeat with the IP address if the host name is rejected now.

        Raises as `_ask`.
        """
        answer = self._ask(method, path, is_log=is_log)
        if not answer.refuses_host:
            return answer
        if answer.reached and "Host" not in self._http.headers:
            self._http.headers["Host"] = answer.reached
            second = self._ask(method, path, is_log=is_log)
            is_of_duplicati = second.value is not None or second.status == HTTPStatus.UNAUTHORIZED
            if is_of_duplicati and not second.refuses_host:
                return second
        raise CollectFailure(Reason.HOST_NAME, self._host_name_rejected())

    def _ask(self, method: str, path: str, *, is_log: bool = False, **body: Any) -> Answer:
        """Send one request without following redirects. Raise `REQUEST_ERRORS`, TooLarge."""
        longest_s = self._limits.log_s if is_log else self._limits.answer_s
        largest = self._limits.log_bytes if is_log else self._limits.answer_bytes
        headers = {} if "data" in body else {"Content-Type": "application/json"}
        with (
            answers_within(longest_s),
            self._http.request(
                method,
                f"{self._endpoint.address}{path}",
                headers=headers,
                timeout=self._limits.timeout_s,
                allow_redirects=False,
                stream=True,
                verify=self._endpoint.verifies_certificate,
                **body,
            ) as answer,
        ):
            reached = reached_address(answer)
            received = bytearray()
            # Read what has arrived: waiting for a full chunk could take arbitrarily long.
            while piece := answer.raw.read1(PIECE_BYTES, decode_content=True):
                received += piece
                if len(received) > largest:
                    raise TooLarge
            self._session.keep(answer.raw.headers.getlist("Set-Cookie"))
        content = bytes(received)
        refuses_host = refuses_host_name(answer.status_code, content)
        return Answer(answer.status_code, _phrase(answer), _value_of(content), reached, refuses_host)


def _path_of(job_id: str) -> str:
    return f"{API}/backup/{quote(job_id, safe='')}"


def _value_in(answer: Answer, what: str) -> Any:
    """Return the JSON of a successful response. Raise CollectFailure for any other."""
    if not answer.is_good:
        raise CollectFailure(Reason.ANSWER, Refused("request_answered", what=Refused(what), phrase=answer.phrase))
    if answer.value is None:
        raise CollectFailure(Reason.ANSWER, Refused("response_not_json", what=Refused(what)))
    return answer.value


def _value_of(body: bytes) -> Any:
    try:
        return read_json(body)
    except ValueError:
        return None


def _phrase(answer: requests.Response) -> str:
    """Return the status text: the server's, shortened, or the standard one."""
    text = "".join(char for char in (answer.reason or "") if char.isprintable()).strip()[:LONGEST_PHRASE]
    if text:
        return text
    try:
        return HTTPStatus(answer.status_code).phrase
    except ValueError:
        return f"status {answer.status_code}"


def _decoded(text: Any) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) and text else None
    except ValueError:
        return None
