"""How long a far machine may take for a whole answer, however slowly it trickles.

The time limits of sockets begin anew with every byte that comes, so a machine that sends a header letter by letter
would hold a thread for as long as it likes. Here every read asks how much time is left in all.
"""

import http.client
import io
import ipaddress
import math
import os
import re
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import requests
from marshmallow import ValidationError
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from app.plugin.marking import NC_

LONGEST_ANSWER_S = 60.0
_longest_s: ContextVar[float] = ContextVar("longest_answer_s", default=LONGEST_ANSWER_S)


@contextmanager
def answers_within(seconds: float) -> Iterator[None]:
    """Give the answers that begin within the block so long, from the request to the last byte, in place of a minute."""
    token = _longest_s.set(seconds)
    try:
        yield
    finally:
        _longest_s.reset(token)


def time_left(ends_at: float) -> float:
    """The seconds until an instant of `time.monotonic`. Raises TimeoutError when there are none."""
    left_s = ends_at - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the answer took too long")
    return left_s


def read_until(sock: socket.socket, ends_at: float, most_bytes: int) -> io.BufferedReader:
    """A file that reads from a socket until `ends_at`, an instant of `time.monotonic`, and no more than so many bytes.

    Reading on raises TimeoutError, or TooMuchData.
    """
    return io.BufferedReader(_TimedReader(sock.makefile("rb", buffering=0), sock, ends_at, most_bytes))


class TooMuchData(OSError):
    """The other side sends more than belongs to the protocol."""


class TimedResponse(http.client.HTTPResponse):
    """An answer that has to be there as a whole before its time is over, else reading it raises TimeoutError."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        unbuffered = self.fp.detach()
        self.fp = io.BufferedReader(_TimedReader(unbuffered, sock, time.monotonic() + _longest_s.get()))


class _TimedReader(io.RawIOBase):
    """Reads from a socket, and each time waits no longer than until the end."""

    def __init__(
        self, unbuffered: io.RawIOBase, sock: socket.socket, ends_at: float, most_bytes: float = math.inf
    ) -> None:
        self._unbuffered, self._sock, self._ends_at = unbuffered, sock, ends_at
        self._bytes_left = most_bytes
        self._idle_s = sock.gettimeout()

    def readable(self) -> bool:
        """It is made for nothing else."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what comes next. Raises TimeoutError when nothing does in time, and TooMuchData."""
        left_s = time_left(self._ends_at)
        if self._bytes_left <= 0:
            raise TooMuchData("the answer is too long")
        self._sock.settimeout(left_s if self._idle_s is None else min(self._idle_s, left_s))
        count: int | None = self._unbuffered.readinto(buffer)
        self._bytes_left -= count or 0
        return count

    def close(self) -> None:
        """Let go of the socket, too."""
        self._unbuffered.close()
        super().close()


# Which addresses nobody may make this server call: link-local, cloud metadata, multicast, and none at all.
#
# Loopback and private networks stay open: that is where self-hosted services live.

# Cloud services answer with credentials here; the usual address, 169.254.169.254, is link-local anyway.
METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
    )
)
# Prefixes below which the last four bytes are an IPv4 address, to which gateways pass on what is sent there.
CARRYING_IPV4 = tuple(
    ipaddress.IPv6Network(text)
    for text in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
# Operations of a socket that name the address to which something is sent.
SENDING_EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]")
_is_guarded: ContextVar[bool] = ContextVar("is_guarded", default=False)
_uses_proxies = False


class ForbiddenAddress(Exception):
    """The address is of a kind that is never called. The text is for people."""

    def __init__(self, host: str) -> None:
        text = NC_("failure", "{host} is a link-local, metadata or multicast address, which is not allowed")
        super().__init__(text.format(host=host))


def is_forbidden(address: str) -> bool:
    """Whether an IP address, as text, must not be called."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return any(
        each.is_link_local or each.is_multicast or each.is_unspecified or each in METADATA for each in _meant_by(found)
    )


def _meant_by(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Iterator[Any]:
    """An address, and the IPv4 addresses that it leads to when it is one of those made to carry them."""
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in CARRYING_IPV4) and int(address) > 1:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        yield from filter(None, (address.sixtofour, *(address.teredo or ())))


def check_host(host: str) -> None:
    """Raise ForbiddenAddress when a name or address leads, with any of its addresses, where nobody may call.

    A name that cannot be resolved passes: the connection will fail and say so.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    _refuse_any(host, found)


def validate_one_line(text: str) -> None:
    """A validator for what becomes part of a header. Raises ValidationError for line breaks and the like."""
    if CONTROL_CHARACTERS.search(text):
        raise ValidationError(NC_("validation", "Enter one line without control characters."))


def _refuse_any(host: str, found: Iterable[tuple[Any, ...]]) -> None:
    if any(is_forbidden(str(address[4][0])) for address in found):
        raise ForbiddenAddress(host)


def host_of(url: str) -> str:
    """The host of an http or https address. Raises ValueError when it is none."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in url.strip():
        raise ValueError("expected a URL that starts with http:// or https://")
    return parts.hostname


def check_url(url: str) -> None:
    """Raise ValueError unless it is an http or https address with a host; ForbiddenAddress as `check_host`."""
    check_host(host_of(url))


def validate_http_url(url: str) -> None:
    """A validator for settings: the form of the address alone, since names may lead elsewhere tomorrow."""
    try:
        host_of(url)
    except ValueError as error:
        text = NC_("validation", "Enter a URL that starts with http:// or https://.")
        raise ValidationError(text) from error


@contextmanager
def guarded_connections() -> Iterator[None]:
    """Refuse connections to forbidden addresses within the block, whichever library makes them.

    The address that is really called is checked, so a name that leads elsewhere at a second look gains nothing. It
    holds in this thread and in those that are given a copy of its context. A library that leaves the lookup of a name
    to the socket, which few do, has it looked up once more for the check. Raises ForbiddenAddress at the connection.
    """
    _install_guard()
    token = _is_guarded.set(True)
    try:
        yield
    finally:
        _is_guarded.reset(token)


@cache
def _install_guard() -> None:
    """Install the hook of the process once; Python offers no way to remove one (PEP 578)."""
    sys.addaudithook(_refuse_forbidden)


def _refuse_forbidden(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in SENDING_EVENTS or not _is_guarded.get():
        return
    sock, address = arguments[0], arguments[-1]
    if not isinstance(address, tuple) or not isinstance(address[0], str):
        return  # a socket of this machine, or a peer that was connected before
    try:
        check_host(address[0])
    except ForbiddenAddress:
        sock.close()
        raise


def open_connection(host: str, port: int, ends_at: float) -> socket.socket:
    """Connect to the first address of a host that answers before `ends_at`, an instant of `time.monotonic`.

    The host is resolved once, and the addresses that were checked are called. Raises ForbiddenAddress before any is
    called, and OSError.
    """
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    _refuse_any(host, found)
    for index, (family, kind, protocol, _name, address) in enumerate(found, 1):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(time_left(ends_at))
            sock.connect(address)
        except OSError:
            sock.close()
            if index == len(found):
                raise
        else:
            return sock
    raise OSError("the host has no address")


def use_proxies(is_used: bool) -> None:
    """Choose whether HTTP requests go through the proxies that HTTP_PROXY and its relatives name; at first not."""
    global _uses_proxies
    _uses_proxies = is_used


def ignore_environment() -> None:
    """Have libraries that make HTTP requests of their own leave out proxies, unless they are used, and `.netrc`."""
    os.environ["NETRC"] = os.devnull
    if not _uses_proxies:
        os.environ["no_proxy"] = "*"


class _GuardedHTTPConnection(HTTPConnection):
    response_class = TimedResponse

    def connect(self) -> None:
        check_host(self.host)
        with guarded_connections():
            super().connect()
        self.peer = None if self.proxy else _check_peer(self.sock, self.host)


class _GuardedHTTPSConnection(HTTPSConnection):
    response_class = TimedResponse

    def connect(self) -> None:
        check_host(self.host)
        with guarded_connections():
            super().connect()
        self.peer = None if self.proxy else _check_peer(self.sock, self.host)


def _check_peer(connected: socket.socket, host: str) -> tuple[str, int]:
    """Return address and port that were really reached."""
    address, port = connected.getpeername()[:2]
    if is_forbidden(str(address)):
        connected.close()
        raise ForbiddenAddress(host)
    return str(address), int(port)


def reached_place(answer: requests.Response) -> str:
    """Return the checked IP address and port to which a request went, in the form of a Host header.

    Empty where a proxy was asked. It is known until the body has been read.
    """
    peer = getattr(answer.raw.connection, "peer", None)
    if peer is None:
        return ""
    address = ipaddress.ip_address(peer[0].partition("%")[0])
    plain = getattr(address, "ipv4_mapped", None) or address
    return f"[{plain}]:{peer[1]}" if plain.version == 6 else f"{plain}:{peer[1]}"


class _GuardedHTTPPool(HTTPConnectionPool):
    ConnectionCls = _GuardedHTTPConnection


class _GuardedHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedHTTPSConnection


_POOLS: Mapping[str, Any] = {"http": _GuardedHTTPPool, "https": _GuardedHTTPSPool}


class GuardedAdapter(HTTPAdapter):
    """Checks each address that a connection is made to, and what a proxy is asked for."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Let the pools make connections that are checked."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = dict(_POOLS)

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request, through a proxy too only when its own host may be called."""
        if options.get("proxies"):
            check_host(urlsplit(request.url or "").hostname or "")
        return super().send(request, *arguments, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Let connections to a proxy be checked and bounded like all others."""
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = dict(_POOLS)
        return manager


class GuardedSession(requests.Session):
    """A session that refuses forbidden addresses, and takes neither proxies nor passwords from the environment.

    Proxies of the environment are used where `use_proxies` says so; then the host of a request is checked as well as it
    can be resolved here. Certificates of REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE count as before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.mount("http://", GuardedAdapter())
        self.mount("https://", GuardedAdapter())

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Add what is taken from the environment all the same."""
        if verify in (None, True):
            verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or verify
        if _uses_proxies:
            proxies = {**get_environ_proxies(url, no_proxy=None), **(proxies or {})}
        return super().merge_environment_settings(url, proxies, stream, verify, cert)


def guarded_session() -> GuardedSession:
    """A session of `requests` that refuses forbidden addresses."""
    return GuardedSession()


# Why an outside server gave no answer, in words that hold no address: it may have a token in it.


def describe_failure(error: Exception, timeout_s: float) -> str:
    """Return a few words about what a request raised."""
    if isinstance(error, requests.Timeout | TimeoutError):
        return f"no answer within {timeout_s:g} seconds"
    if isinstance(error, requests.exceptions.SSLError):
        return "no secure connection"
    return str(error) if isinstance(error, requests.HTTPError) else "no connection to the server"
