"""Which addresses nobody may make this server call: link-local, cloud metadata, multicast, and none at all.

Loopback and private networks stay open: that is where self-hosted services live.
"""

import ipaddress
import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from marshmallow import ValidationError
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from app.contracts.deadlines import TimedResponse

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


class ForbiddenAddress(Exception):
    """The address is of a kind that is never called. The text is for people."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} is a link-local, metadata or multicast address, which is never called")


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
    if any(is_forbidden(str(address[4][0])) for address in found):
        raise ForbiddenAddress(host)


def host_of(url: str) -> str:
    """The host of an http or https address. Raises ValueError when it is none."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in url.strip():
        raise ValueError("not an address that begins with http:// or https://")
    return parts.hostname


def check_url(url: str) -> None:
    """Raise ValueError unless it is an http or https address with a host; ForbiddenAddress as `check_host`."""
    check_host(host_of(url))


def validate_http_url(url: str) -> None:
    """A validator for settings: the form of the address alone, since names may lead elsewhere tomorrow."""
    try:
        host_of(url)
    except ValueError as error:
        raise ValidationError("Must be an address that begins with http:// or https://.") from error


class _GuardedHTTPConnection(HTTPConnection):
    response_class = TimedResponse

    def connect(self) -> None:
        check_host(self.host)
        super().connect()
        self.peer = _check_peer(self.sock, self.host)


class _GuardedHTTPSConnection(HTTPSConnection):
    response_class = TimedResponse

    def connect(self) -> None:
        check_host(self.host)
        super().connect()
        self.peer = _check_peer(self.sock, self.host)


def _check_peer(connected: socket.socket, host: str) -> tuple[str, int]:
    """Give address and port that were really reached: a name may lead elsewhere at the second look."""
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
    """Looks at every address just before it is called."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Let the pools make connections that look first."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = dict(_POOLS)


def guarded_session() -> requests.Session:
    """A session of `requests` that refuses forbidden addresses."""
    session = requests.Session()
    session.mount("http://", GuardedAdapter())
    session.mount("https://", GuardedAdapter())
    return session
