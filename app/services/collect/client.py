"""Speaks with one Duplicati server, of either generation of its login.

Since Duplicati 2.1 a password is exchanged for a bearer token. Before, a nonce and a salt are asked for, the password
goes out hashed with both, and the session lives in cookies, with a token against forged requests in a header.
"""

import base64
import hashlib
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

from app.contracts.addresses import ForbiddenAddress, guarded_session
from app.contracts.deadlines import answers_within
from app.domain.duplicati_addresses import HTTP, HTTPS, Address
from app.domain.lenient_json import read_json
from app.services import reachability
from app.services.collect.failures import SOMEBODY_ANSWERS, CollectFailure, Reason, explain
from app.services.reachability import LOGIN_PATH, OLD_LOGIN_PATH, OLDER_STATUSES

# People choose not to have a certificate checked, per server and knowing what it means.
warnings.simplefilter("ignore", InsecureRequestWarning)

# Entries of a log that are asked for; fewer when the log is too large to be read in one piece.
PAGE_SIZES = (999, 100)
PIECE_BYTES = 65_536
# All that may go wrong on the way; UnicodeError is a host name that cannot be written for the network.
TROUBLES = (requests.RequestException, HTTPError, UnicodeError, ForbiddenAddress)
LONGEST_PHRASE = 80


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a server may take, and how much it may say."""

    timeout_s: float = 15.0
    # For a whole answer: one that trickles would never run into the other limit.
    answer_s: float = 60.0
    answer_bytes: int = 8 * 1024 * 1024
    log_s: float = 180.0
    log_bytes: int = 32 * 1024 * 1024


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens, what opens it, and whether its certificate has to be one that can be checked."""

    address: Address
    password: str = field(repr=False)
    verifies_certificate: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `value` is the JSON of the body, or None where there is none."""

    status: int
    phrase: str
    value: Any

    @property
    def is_good(self) -> bool:
        """Whether the status says that it went well."""
        return 200 <= self.status < 300

    @property
    def is_redirect(self) -> bool:
        """Whether the answer lies elsewhere."""
        return 300 <= self.status < 400


class TooLarge(Exception):
    """An answer is larger than may be read."""


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
            request.headers["X-XSRF-Token"] = unquote(self.cookies.get("xsrf-token", ""))
        return request

    def keep(self, headers: list[str]) -> None:
        """Keep the cookies of an answer, whatever its server's clock says of their end; a token needs none."""
        for header in headers if not self.token else ():
            try:
                self.cookies |= {name: morsel.coded_value for name, morsel in SimpleCookie(header).items()}
            except CookieError:
                continue


class Duplicati:
    """A signed-in conversation; use it with `with`. Every method raises CollectFailure."""

    def __init__(self, endpoint: Endpoint, limits: Limits = LIMITS) -> None:
        self._endpoint = endpoint
        self._limits = limits
        self._session = _Session()
        self._http = guarded_session()
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # ours are in `_session`
        self._http.headers.update({"Accept": "application/json", "Accept-Encoding": "identity"})
        self._http.auth = self._session

    def __enter__(self) -> "Duplicati":
        """Sign in."""
        try:
            self._sign_in()
        except BaseException:
            self._http.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection; the session ends by itself."""
        self._http.close()

    def system_info(self) -> Any:
        """What the server tells about itself."""
        return self._value("GET", "/api/v1/systeminfo", "the facts about the server")

    def settings(self) -> Any:
        """The settings of the server; None from one that does not give them."""
        answer = self._call("GET", "/api/v1/serversettings", "the settings of the server")
        return answer.value if answer.is_good else None

    def backups(self) -> Any:
        """The backup jobs with their schedules."""
        return self._value("GET", "/api/v1/backups", "the list of backup jobs")

    def log(self, job_id: str) -> Any:
        """The newest entries of the log of a job, as many as can be read."""
        for size in PAGE_SIZES:
            try:
                path = f"/api/v1/backup/{quote(job_id, safe='')}/log?pagesize={size}"
                return self._value("GET", path, "the log", is_log=True)
            except TooLarge:
                continue
        raise CollectFailure(Reason.TOO_LARGE, "The log is too large to be read")

    def start(self, job_id: str) -> Any:
        """Have a job run now; gives what the server says of it."""
        return self._value("POST", f"/api/v1/backup/{quote(job_id, safe='')}/run", "the start of the backup")

    def _sign_in(self) -> None:
        address = self._endpoint.address
        try:
            answer = self._ask("POST", LOGIN_PATH, json={"Password": self._endpoint.password, "RememberMe": True})
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
        self._session.token = token
        self._session.cookies.clear()  # a newer server sets some for browsers, which need none beside the token
        self._endpoint = Endpoint(address, "", self._endpoint.verifies_certificate)

    def _sign_in_as_of_old(self) -> bool:
        """Sign in to a Duplicati before 2.1; false when this is none. Raises what `_ask` raises, CollectFailure."""
        self._session.cookies.clear()
        offer = self._ask("POST", OLD_LOGIN_PATH, data={"get-nonce": "1"})
        told = offer.value if offer.is_good and isinstance(offer.value, Mapping) else {}
        nonce, salt = _decoded(told.get("Nonce")), _decoded(told.get("Salt"))
        if nonce is None or salt is None:
            return False
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
            if reachability.try_connection(plain, timeout_s=self._limits.timeout_s).is_success:
                return "A Duplicati answers there without encryption; choose http to send it the password in clear"
        return "Not tried; the password is sent in clear only when http is asked for"

    def _value(self, method: str, path: str, what: str, *, is_log: bool = False) -> Any:
        answer = self._call(method, path, what, is_log=is_log)
        if not answer.is_good:
            raise CollectFailure(Reason.ANSWER, f"Failed to get {what}: {answer.phrase}")
        if answer.value is None:
            raise CollectFailure(Reason.ANSWER, f"Failed to get {what}: the answer is empty or not JSON")
        return answer.value

    def _call(self, method: str, path: str, what: str, *, is_log: bool = False) -> Answer:
        """Ask for something after the login. A log that is too large is for the caller to handle."""
        try:
            return self._ask(method, path, is_log=is_log)
        except TooLarge:
            if is_log:
                raise
            raise CollectFailure(Reason.TOO_LARGE, f"Failed to get {what}: the answer is too large") from None
        except TROUBLES as error:
            reason, sentence = explain(error, self._limits.timeout_s)
            raise CollectFailure(reason, f"The request for {what} failed: {sentence}") from error

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
            received = bytearray()
            # What has come so far, at once: waiting for a full piece could take as long as a server likes.
            while piece := answer.raw.read1(PIECE_BYTES, decode_content=True):
                received += piece
                if len(received) > largest:
                    raise TooLarge
            self._session.keep(answer.raw.headers.getlist("Set-Cookie"))
        return Answer(answer.status_code, _phrase(answer), _value_of(bytes(received)))


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
