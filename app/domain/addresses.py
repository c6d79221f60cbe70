"""Who is really calling: forwarded addresses are believed only when a trusted proxy tells them."""

import ipaddress
from collections.abc import Mapping, Sequence
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# What stands for the address of a client that nobody who is trusted has told.
UNKNOWN_CLIENT = "unknown"
FORWARDING_HEADERS = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_REAL_IP",
    "HTTP_X_CLIENT_IP",
    "HTTP_CF_CONNECTING_IP",
    "HTTP_TRUE_CLIENT_IP",
    "HTTP_FORWARDED",
    "HTTP_VIA",
)


@lru_cache(maxsize=1024)
def parse_address(text: str) -> Address | None:
    """Read an address as proxies write it, with or without brackets and port; None when it is none.

    An IPv4 address in IPv6 clothes (`::ffff:192.0.2.1`) is taken as what it is.
    """
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_within(address: Address | None, networks: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks; an unknown address lies in none."""
    return address is not None and any(address in network for network in networks)


def client_address(peer: str, forwarded_for: str, real_ip: str, trusted: Sequence[Network]) -> str:
    """The address of the client: the peer, unless that is a trusted proxy which tells of another.

    `X-Forwarded-For` is read from the right, since each proxy appends whom it saw: the first address that is not a
    trusted proxy is the client; what stands left of it could be anybody's invention. `X-Real-IP` counts where the
    other header is missing.
    """
    if not is_within(parse_address(peer), trusted):
        return peer
    hops = [hop for hop in forwarded_for.split(",") if hop.strip()] or [real_ip]
    nearest = peer
    for hop in reversed(hops):
        address = parse_address(hop)
        if address is None:
            break
        nearest = str(address)
        if not is_within(address, trusted):
            break
    return nearest


def rate_key(address: str) -> str:
    """What limits count by: an IPv4 address, or the /64 network of an IPv6 one, which is one subscriber's."""
    parsed = parse_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address if parsed is None else str(parsed)


def is_loopback(address: str) -> bool:
    """Whether the caller is this very machine."""
    parsed = parse_address(address)
    return parsed is not None and parsed.is_loopback


def is_untrusted_proxy(environ: Mapping[str, object], trusted: Sequence[Network]) -> bool:
    """Whether a request comes from this machine on behalf of somebody else, by a proxy that is not trusted."""
    peer = str(environ.get("REMOTE_ADDR", ""))
    is_forwarded = any(environ.get(name) for name in FORWARDING_HEADERS)
    return is_forwarded and is_loopback(peer) and not is_within(parse_address(peer), trusted)
