"""Outgoing connections: time limit of a response, and forbidden addresses (SSRF).

The timeout of a socket starts again with every byte, so a server that sends a header byte by byte could block a
thread without limit. Here every read gets only the remaining time of the whole response.
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

from app.plugin.errors import Refused
from app.plugin.marking import NC_

LONGEST_ANSWER_S = 60.0
_longest_s: ContextVar[float] = ContextVar("longest_answer_s", default=LONGEST_ANSWER_S)


@contextmanager
def answers_within(seconds: float) -> Iterator[None]:
    """Set the time limit of whole responses within the block, in place of a minute."""
    token = _longest_s.set(seconds)
    try:
        yield
    finally:
        _longest_s.reset(token)


def time_left(ends_at: float) -> float:
    """Return the seconds until an instant of `time.monotonic`.

    Raise TimeoutError if there are none.
    """
    left_s = ends_at - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the answer took too long")
    return left_s


def read_until(sock: socket.socket, ends_at: float, most_bytes: int) -> io.BufferedReader:
    """Return a file that reads from a socket until an instant of `time.monotonic`.

    It reads at most so many bytes. Reading further raises TimeoutError or TooMuchData.
    """
    return io.BufferedReader(_TimedReader(sock.makefile("rb", buffering=0), sock, ends_at, most_bytes))


class TooMuchData(OSError):
    """The server sends more data than the protocol allows."""


class TimedResponse(http.client.HTTPResponse):
    """A response that must be complete in time, else reading raises TimeoutError."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        unbuffered = self.fp.detach()
        self.fp = io.BufferedReader(_TimedReader(unbuffered, sock, time.monotonic() + _longest_s.get()))


class _TimedReader(io.RawIOBase):
    """Reads from a socket and never waits beyond the time limit."""

    def __init__(
        self, unbuffered: io.RawIOBase, sock: socket.socket, ends_at: float, most_bytes: float = math.inf
    ) -> None:
        self._unbuffered, self._sock, self._ends_at = unbuffered, sock, ends_at
        self._bytes_left = most_bytes
        self._idle_s = sock.gettimeout()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read the next bytes. Raise TimeoutError or TooMuchData."""
        left_s = time_left(self._ends_at)
        if self._bytes_left <= 0:
            raise TooMuchData("the answer is too long")
        self._sock.settimeout(left_s if self._idle_s is None else min(self._idle_s, left_s))
        count: int | None = self._unbuffered.readinto(buffer)
        self._bytes_left -= count or 0
        return count

    def close(self) -> None:
        """Close the socket as well."""
        self._unbuffered.close()
        super().close()


# Addresses that this server never connects to: link-local, cloud metadata, multicast and unspecified
#
# Loopback and private networks are allowed: self-hosted services run there.

# Cloud services return credentials here; the usual address, 169.254.169.254, is link-local anyway.
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
# Prefixes whose addresses contain an IPv4 address in the last four bytes, to which gateways forward.
CARRYING_IPV4 = tuple(
    ipaddress.IPv6Network(text)
    for text in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
# Socket operations that name the destination address.
SENDING_EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]")
_is_guarded: ContextVar[bool] = ContextVar("is_guarded", default=False)
_uses_proxies = False


class ForbiddenAddress(Exception):
    """The address is never connected to. The message is for users."""

    def __init__(self, host: str) -> None:
        text = NC_("failure", "{host} is a link-local, metadata or multicast address, which is not allowed")
        super().__init__(text.format(host=host))
        self.host = host


def is_forbidden(address: str) -> bool:
    """Whether an IP address, as text, must not be connected to."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return any(
        each.is_link_local or each.is_multicast or each.is_unspecified or each in METADATA
        for each in _with_embedded(found)
    )


def _with_embedded(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Iterator[Any]:
    """Yield an address, and the IPv4 addresses embedded in it."""
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in CARRYING_IPV4) and int(address) > 1:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        yield from filter(None, (address.sixtofour, *(address.teredo or ())))


def check_host(host: str) -> None:
    """Raise ForbiddenAddress if any address of a host is forbidden.

    A name that cannot be resolved passes: the connection will fail.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    _refuse_any(host, found)


def validate_one_line(text: str) -> None:
    """Validate a text that becomes part of a header.

    Raise ValidationError for line breaks and other control characters.
    """
    if CONTROL_CHARACTERS.search(text):
        raise ValidationError(NC_("validation", "Enter one line without control characters."))


def _refuse_any(host: str, found: Iterable[tuple[Any, ...]]) -> None:
    if any(is_forbidden(str(address[4][0])) for address in found):
        raise ForbiddenAddress(host)


def host_of(url: str) -> str:
    """Return the host of an http or https URL. Raise ValueError if it is none."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in url.strip():
        raise ValueError("expected a URL that starts with http:// or https://")
    return parts.hostname


def check_url(url: str) -> None:
    """Raise ValueError unless this is an http or https URL with a host.

    ForbiddenAddress as `check_host`.
    """
    check_host(host_of(url))


def validate_http_url(url: str) -> None:
    """Validate the form of a URL in settings.

    Addresses are not checked, since a name may resolve differently later.
    """
    try:
        host_of(url)
    except ValueError as error:
        text = NC_("validation", "Enter a URL that starts with http:// or https://.")
        raise ValidationError(text) from error


@contextmanager
def guarded_connections() -> Iterator[None]:
    """Refuse connections to forbidden addresses within the block, from any library.

    The address that is actually connected to is checked, so a name that resolves differently the second time (DNS
    rebinding) is no way around. Applies to this thread and to those that get a copy of its context. If a library
    leaves the resolution to the socket, which few do, the name is resolved once more for the check. Raise
    ForbiddenAddress at the connection.
    """
    _install_guard()
    token = _is_guarded.set(True)
    try:
        yield
    finally:
        _is_guarded.reset(token)


@cache
def _install_guard() -> None:
    """Install the audit hook of the process once; Python cannot remove one (PEP 578)."""
    sys.addaudithook(_refuse_forbidden)


def _refuse_forbidden(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in SENDING_EVENTS or not _is_guarded.get():
        return
    sock, address = arguments[0], arguments[-1]
    if not isinstance(address, tuple) or not isinstance(address[0], str):
        return  # a local socket, or a peer that was connected before
    try:
        check_host(address[0])
    except ForbiddenAddress:
        sock.close()
        raise


def open_connection(host: str, port: int, ends_at: float) -> socket.socket:
    """Connect to the first responding address of a host before `ends_at`.

    `ends_at` is an instant of `time.monotonic`. The host is resolved once, and the checked addresses are used. Raise
    ForbiddenAddress before connecting, and OSError.
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
    """Set whether HTTP requests use the proxies of HTTP_PROXY and similar variables.

    Default: no.
    """
    global _uses_proxies
    _uses_proxies = is_used


def ignore_environment() -> None:
    """Make other HTTP libraries ignore `.netrc`, and proxies unless they are used."""
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
    """Return the address and port that were actually connected to."""
    address, port = connected.getpeername()[:2]
    if is_forbidden(str(address)):
        connected.close()
        raise ForbiddenAddress(host)
    return str(address), int(port)


def reached_address(answer: requests.Response) -> str:
    """Return the checked IP address and port of a response.

    They have the form of a Host header. Empty if a proxy was used. Available until the body has been read.
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
    """Checks the address of each connection, and the host of requests through a proxy."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Use connection pools whose connections are checked."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = dict(_POOLS)

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request; through a proxy only if its own host is allowed."""
        if options.get("proxies"):
            check_host(urlsplit(request.url or "").hostname or "")
        return super().send(request, *arguments, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Check and limit connections to a proxy like all others."""
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = dict(_POOLS)
        return manager


class GuardedSession(requests.Session):
    """A session that refuses forbidden addresses.

    It ignores proxies and passwords of the environment. Proxies of the environment are used after `use_proxies`; then
    the host of a request is checked as far as it can be resolved here. Certificates of REQUESTS_CA_BUNDLE and
    CURL_CA_BUNDLE are used.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.mount("http://", GuardedAdapter())
        self.mount("https://", GuardedAdapter())

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Add the parts of the environment that are used."""
        if verify in (None, True):
            verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or verify
        if _uses_proxies:
            proxies = {**get_environ_proxies(url, no_proxy=None), **(proxies or {})}
        return super().merge_environment_settings(url, proxies, stream, verify, cert)


def guarded_session() -> GuardedSession:
    """Return a session of `requests` that refuses forbidden addresses."""
    return GuardedSession()


# Descriptions of failures without URLs: they may contain a token


def explain_failure(error: Exception, timeout_s: float) -> Refused:
    """Return the error for users about an exception that a request raised."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, ForbiddenAddress):
        return Refused("address_forbidden", host=error.host)
    if isinstance(error, requests.Timeout | TimeoutError):
        return Refused("request_not_answered", seconds=f"{timeout_s:g}")
    if isinstance(error, requests.exceptions.SSLError):
        return Refused("request_not_secure")
    return Refused("request_not_connected")
