"""Speaks with one Duplicati server, of either generation of its login.

Since Duplicati 2.1 a password is exchanged for a bearer token. Before, a nonce and a salt are asked for, the password
goes out hashed with both, and the session lives in cookies, with a token against forged requests in a header. A
Duplicati 2.0 without a password, its default, fails at the nonce and answers without a login.

A Duplicati that does not know the name by which it is called is asked again by the address that the name led to.
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
    SOMEBODY_ANSWERS,
    CollectFailure,
    Reason,
    explain,
    host_name_refused,
    is_locked,
    refuses_host_name,
)
from app.plugin import ForbiddenAddress
from app.plugin.http import answers_within, guarded_session, reached_place
from app.reports.decoding import read_json

# People choose not to have a certificate checked, per server and knowing what it means.
warnings.simplefilter("ignore", InsecureRequestWarning)

PIECE_BYTES = 65_536
# All that may go wrong on the way; UnicodeError is a host name that cannot be written for the network.
TROUBLES = (requests.RequestException, HTTPError, UnicodeError, ForbiddenAddress)
LONGEST_PHRASE = 80
API = "/api/v1"
SYSTEM_INFO_PATH = f"{API}/systeminfo"
XSRF_COOKIE = "xsrf-token"


# What servers answer that do not know an address; other failures may be over the next time.
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
    """How long a server may take, and how much it may say."""

    timeout_s: float = 15.0
    # For a whole answer: one that trickles would never run into the other limit.
    answer_s: float = 60.0
    answer_bytes: int = 8 * 1024 * 1024
    log_s: float = 180.0
    log_bytes: int = 32 * 1024 * 1024
    # A token lasts a quarter of an hour.
    token_s: float = 14 * 60.0


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens, what opens it, and whether its certificate has to be one that can be checked.

    `headers` go along with every request, for a proxy with a sign-in of its own.
    """

    address: Address
    password: str = field(repr=False)
    verifies_certificate: bool = True
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `value` is the JSON of the body, or None where there is none.

    `reached` is the address that answered, as a Host header; `refuses_host` when it does not take the host name.
    """

    status: int
    phrase: str
    value: Any
    reached: str = ""
    refuses_host: bool = False

    @property
    def is_good(self) -> bool:
        """Whether the status says that it went well."""
        return 200 <= self.status < 300

    @property
    def is_redirect(self) -> bool:
        """Whether the answer lies elsewhere."""
        return 300 <= self.status < 400

    @property
    def is_of_login(self) -> bool:
        """Whether a login of either generation can have given it."""
        is_told = self.is_good or self.status == HTTPStatus.UNAUTHORIZED
        return self.status in OLDER_STATUSES or (is_told and isinstance(self.value, Mapping))


class TooLarge(Exception):
    """An answer is larger than may be read."""


class DatabaseLocked(Exception):
    """The database of a job cannot be read, since a run is using it."""


class _Session(AuthBase):
    """What shows that we have signed in: a bearer token, or cookies.

    It is there from the start, so that no password for this host from the environment is ever added.
    """

    def __init__(self) -> None:
        self.token = ""
        self.cookies: dict[str, str] = {}

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put it into the headers."""
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        if self.cookies:
            request.headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            request.headers["X-XSRF-Token"] = unquote(self.cookies.get(XSRF_COOKIE, ""))
        return request

    def forget(self) -> None:
        """Be as before the login."""
        self.token = ""
        self.cookies.clear()

    def keep(self, headers: list[str]) -> None:
        """Keep the cookies of an answer, whatever its server's clock says of their end; a token needs none."""
        for header in headers if not self.token else ():
            try:
                self.cookies |= {name: morsel.coded_value for name, morsel in SimpleCookie(header).items()}
            except CookieError:
                continue


class Duplicati:
    """A signed-in conversation; use it with `with`. Every method raises CollectFailure.

    When the login does not hold any more, or a token is about to end, it signs in once more. For that it holds the
    password until its end.
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
        """Close the connection; the session ends by itself."""
        self._close()

    def _close(self) -> None:
        address = self._endpoint.address
        self._endpoint = Endpoint(address, "")
        self._session.forget()
        self._http.close()

    def system_info(self) -> Any:
        """What the server tells about itself."""
        return self._value("GET", SYSTEM_INFO_PATH, "the facts about the server")

    def settings(self) -> Any:
        """The settings of the server; None from one that does not give them."""
        answer = self._call("GET", f"{API}/serversettings", "the settings of the server")
        return answer.value if answer.is_good else None

    def backups(self) -> Any:
        """The backup jobs with their schedules."""
        return self._value("GET", f"{API}/backups", "the list of backup jobs")

    def backup(self, job_id: str) -> Any:
        """One job with its own settings, which the list leaves out; None from a server that does not give them."""
        answer = self._call("GET", _path_of(job_id), "the settings of the job")
        return None if answer.status in NOT_OFFERED else _value_in(answer, "the settings of the job")

    def log(self, job_id: str, size: int, before_id: int | None = None) -> Any:
        """The newest entries of the log of a job, or the newest before an entry.

        Raises DatabaseLocked while the job runs, and TooLarge when as many entries cannot be read.
        """
        offset = "" if before_id is None else f"&offset={before_id}"
        path = f"{_path_of(job_id)}/log?pagesize={size}{offset}"
        answer = self._call("GET", path, "the log", is_log=True)
        if is_locked(answer.status, answer.value):
            raise DatabaseLocked
        return _value_in(answer, "the log")

    def file_sets(self, job_id: str) -> Any:
        """The versions of a job. Duplicati makes an entry in the log of the job for each request."""
        return self._value("GET", f"{_path_of(job_id)}/filesets", "the list of versions")

    def server_state(self) -> Any:
        """The state of the server, with the task that is running."""
        return self._value("GET", f"{API}/serverstate", "the state of the server")

    def task(self, task_id: int) -> Any:
        """A task: when it began, and whether it has ended."""
        return self._value("GET", f"{API}/task/{task_id}", "the running task")

    def start(self, job_id: str) -> Any:
        """Have a job run now; gives what the server says of it."""
        return self._value("POST", f"{_path_of(job_id)}/run", "the start of the backup")

    def _sign_in(self) -> None:
        self._session.forget()
        self._signed_in_at = time.monotonic()
        try:
            answer = self._ask_for_login()
            if answer.status in OLDER_STATUSES and self._sign_in_as_of_old():
                return
        except (*TROUBLES, TooLarge) as error:
            raise self._no_connection(*explain(error, self._limits.timeout_s)) from error
        if answer.is_redirect:
            sentence = "The server sends the login on to another address, to which no password is sent"
            raise self._no_connection(Reason.REDIRECT, sentence)
        if not (answer.is_good or answer.status == HTTPStatus.UNAUTHORIZED) or not isinstance(answer.value, Mapping):
            sentence = f"What answers there is no Duplicati (status {answer.status})"
            raise self._no_connection(Reason.NOT_DUPLICATI, sentence)
        if not answer.is_good:
            raise CollectFailure(Reason.LOGIN, f"Login failed: {answer.phrase}")
        token = answer.value.get("AccessToken")
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise CollectFailure(Reason.NO_TOKEN, "No authentication token received")
        self._session.forget()  # a newer server sets cookies for browsers, which need none beside the token
        self._session.token = token

    def _ask_for_login(self) -> Answer:
        """Send the password; where the host name is refused, once more with the address that it led to.

        The connection is made by the name again, so a certificate is still checked against that. Raises what `_ask`
        raises, CollectFailure.
        """
        login = {"Password": self._endpoint.password, "RememberMe": False}
        headers: Any = self._http.headers
        answer = reachability.ask_by_reached_address(lambda: self._ask("POST", LOGIN_PATH, json=login), headers)
        if answer.refuses_host:
            raise self._no_connection(Reason.HOST_NAME, host_name_refused(self._endpoint.address.host))
        return answer

    def _sign_in_as_of_old(self) -> bool:
        """Sign in to a Duplicati before 2.1; false when this is none. Raises what `_ask` raises, CollectFailure."""
        self._session.cookies = {name: value for name, value in self._session.cookies.items() if name == XSRF_COOKIE}
        offer = self._ask("POST", OLD_LOGIN_PATH, data={"get-nonce": "1"})
        told = offer.value if offer.is_good and isinstance(offer.value, Mapping) else {}
        nonce, salt = _decoded(told.get("Nonce")), _decoded(told.get("Salt"))
        if nonce is None or salt is None:
            return XSRF_COOKIE in self._session.cookies and self._is_open()
        self._session.cookies.setdefault("session-nonce", quote(str(told["Nonce"]), safe=""))
        salted = hashlib.sha256(self._endpoint.password.encode() + salt).digest()
        proof = base64.b64encode(hashlib.sha256(nonce + salted).digest()).decode()
        answer = self._ask("POST", OLD_LOGIN_PATH, data={"password": proof})
        if not answer.is_good:
            raise CollectFailure(Reason.LOGIN, f"Login failed: {answer.phrase}")
        if "session-auth" not in self._session.cookies:
            raise CollectFailure(Reason.NO_TOKEN, "No authentication token received")
        self._session.cookies.pop("session-nonce", None)
        return True

    def _is_open(self) -> bool:
        """Whether a Duplicati 2.0 answers without a login, since it has no password."""
        answer = self._ask("GET", SYSTEM_INFO_PATH)
        return answer.is_good and isinstance(answer.value, Mapping) and "APIVersion" in answer.value

    def _no_connection(self, reason: Reason, sentence: str) -> CollectFailure:
        """The failure of a first contact, with a line for each protocol."""
        address = self._endpoint.address
        lines = [f"{address.scheme.upper()}: {sentence}"]
        if address.scheme == HTTPS:
            lines.append(f"HTTP: {self._say_of_http(reason)}")
        return CollectFailure(reason, "\n".join([f"No connection to Duplicati at {address.place}", *lines]))

    def _say_of_http(self, reason: Reason) -> str:
        """Whether an unencrypted connection would do; found out without telling the password."""
        address = self._endpoint.address
        if reason in SOMEBODY_ANSWERS:
            plain = str(Address(HTTP, address.host, address.port))
            # The headers are secrets, too.
            if reachability.try_connection(plain, timeout_s=self._limits.timeout_s).is_success:
                return "A Duplicati answers there without encryption; choose http to send it the password in clear"
        return "Not tried; the password is sent unencrypted only if http is selected"

    def _value(self, method: str, path: str, what: str, *, is_log: bool = False) -> Any:
        return _value_in(self._call(method, path, what, is_log=is_log), what)

    def _call(self, method: str, path: str, what: str, *, is_log: bool = False) -> Answer:
        """Ask for something after the login. A log that is too large is for the caller to handle."""
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
            raise CollectFailure(Reason.TOO_LARGE, f"Failed to get {what}: the response is too large") from None
        except TROUBLES as error:
            reason, sentence = explain(error, self._limits.timeout_s)
            raise CollectFailure(reason, f"The request for {what} failed: {sentence}") from error

    def _ask_by_address(self, method: str, path: str, *, is_log: bool) -> Answer:
        """Send a request; where the host name is refused after the login alone, as at the login. Raises as `_ask`."""
        answer = self._ask(method, path, is_log=is_log)
        if not answer.refuses_host:
            return answer
        if answer.reached and "Host" not in self._http.headers:
            self._http.headers["Host"] = answer.reached
            second = self._ask(method, path, is_log=is_log)
            is_of_duplicati = second.value is not None or second.status == HTTPStatus.UNAUTHORIZED
            if is_of_duplicati and not second.refuses_host:
                return second
        raise CollectFailure(Reason.HOST_NAME, host_name_refused(self._endpoint.address.host))

    def _ask(self, method: str, path: str, *, is_log: bool = False, **body: Any) -> Answer:
        """Send one request; redirects are not followed. Raises any of `TROUBLES`, and TooLarge."""
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
            reached = reached_place(answer)
            received = bytearray()
            # What has come so far, at once: waiting for a full piece could take as long as a server likes.
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
    """The JSON of a good answer. Raises CollectFailure for any other."""
    if not answer.is_good:
        raise CollectFailure(Reason.ANSWER, f"Failed to get {what}: {answer.phrase}")
    if answer.value is None:
        raise CollectFailure(Reason.ANSWER, f"Failed to get {what}: the response is empty or not JSON")
    return answer.value


def _value_of(body: bytes) -> Any:
    try:
        return read_json(body)
    except ValueError:
        return None


def _phrase(answer: requests.Response) -> str:
    """The words for a status: the server's own, shortened, or the usual ones."""
    said = "".join(sign for sign in (answer.reason or "") if sign.isprintable()).strip()[:LONGEST_PHRASE]
    if said:
        return said
    try:
        return HTTPStatus(answer.status_code).phrase
    except ValueError:
        return f"status {answer.status_code}"


def _decoded(text: Any) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) and text else None
    except ValueError:
        return None
