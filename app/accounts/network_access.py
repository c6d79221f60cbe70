"""Who is really calling: forwarded addresses are believed only when a trusted proxy tells them."""

import ipaddress
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache

from flask import current_app

from app.audit.log import Actor, record_entry
from app.core.db.cache import cache
from app.core.db.faults import DATABASE_ERRORS
from app.core.db.transaction import writing
from app.core.settings import store as settings_store
from app.legacy_import.stored_forms import read_time
from app.plugin import AppError
from app.runtime import settings

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


# From which networks one may come in: two allow lists, one for the administration and one for programs.
#
# The environment wins over what is stored, so that a lock-out can be undone from the shell. Loopback is always in.

log = logging.getLogger(__name__)

LAST_KNOWN = "duplistatus.network_lists"
PROXY_NOT_TRUSTED = (
    "Your own address is unknown because you connect through an untrusted proxy. No allow list would accept requests"
    " through it. Set IP_TRUSTED_PROXIES to the address from which the proxy connects, for example 127.0.0.1"
)


class Zone(Enum):
    """What an allow list is for. Probes (ping and health) accept both lists, and limit the rate of others."""

    ADMINISTRATION = "admin"
    EXTERNAL = "external"
    PROBES = "probes"


@dataclass(frozen=True, slots=True)
class AllowLists:
    """The networks that may come in; None where no list is in force and so everybody may."""

    administration: tuple[Network, ...] | None = None
    external: tuple[Network, ...] | None = None

    def admit(self, zone: Zone, address: str) -> bool:
        """Whether a client may use the zone. For probes: whether it may do so at any rate."""
        in_force = {
            Zone.ADMINISTRATION: [self.administration],
            Zone.EXTERNAL: [self.external],
            Zone.PROBES: [self.administration, self.external],
        }[zone]
        if in_force == [None] * len(in_force):
            return True
        parsed = parse_address(address)
        return is_loopback(address) or any(is_within(parsed, networks or ()) for networks in in_force)


@dataclass(frozen=True, slots=True)
class ListState:
    """An allow list as people see it; what is fixed comes from the environment, and no setting changes it."""

    zone: str
    is_enabled: bool
    networks: list[str]
    is_switch_fixed: bool
    are_networks_fixed: bool


def allow_lists() -> AllowLists:
    """The lists in force. While the database cannot be read those known last hold on, so that no door falls open."""
    try:
        found = cache().get("network_lists", _read_lists)
    except DATABASE_ERRORS:
        last_known: AllowLists | None = current_app.extensions.get(LAST_KNOWN)
        if last_known is None:
            raise
        return last_known
    current_app.extensions[LAST_KNOWN] = found
    return found


def known_lists() -> AllowLists:
    """The lists as they are known in memory: a probe has to be answered while the database hangs."""
    return current_app.extensions.get(LAST_KNOWN) or allow_lists()


def describe_lists() -> list[ListState]:
    """Both lists as they are in force, and what of them the environment holds."""
    chosen = settings()
    fixed = {
        Zone.ADMINISTRATION: (chosen.admin_allowlist_enabled, chosen.admin_allowlist),
        Zone.EXTERNAL: (chosen.external_allowlist_enabled, chosen.external_allowlist),
    }
    found = []
    for zone, (is_enabled, networks) in fixed.items():
        stored: list[str] = settings_store.get(f"{zone.value}_allowlist")
        found.append(
            ListState(
                zone=zone.value,
                is_enabled=settings_store.get(f"{zone.value}_allowlist_enabled") if is_enabled is None else is_enabled,
                networks=stored if networks is None else [str(network) for network in networks],
                is_switch_fixed=is_enabled is not None,
                are_networks_fixed=networks is not None,
            )
        )
    return found


def save_list(
    zone: Zone, *, is_enabled: bool, networks: Sequence[str], own_address: str, actor: Actor, now: datetime
) -> None:
    """Store an allow list, which is in force at once.

    Raises AppError for a network that cannot be read, and when switching the list of the administration on would
    shut out the address that asks for it; for either list when this address is unknown, as those of all clients of a
    proxy that is not trusted.
    """
    parsed = tuple(_parse_network(text) for text in networks)
    if is_enabled and own_address == UNKNOWN_CLIENT:
        raise AppError(PROXY_NOT_TRUSTED, errorCode="PROXY_NOT_TRUSTED")
    lists = AllowLists(administration=parsed)
    if is_enabled and zone is Zone.ADMINISTRATION and not lists.admit(zone, own_address):
        raise AppError(f"Your own address {own_address} is not in the list, so you would lock yourself out")
    with writing():
        settings_store.save(f"{zone.value}_allowlist", [str(network) for network in parsed], now=now)
        settings_store.save(f"{zone.value}_allowlist_enabled", is_enabled, now=now)
        record_entry(
            "ip_allowlist_updated",
            "config",
            now=now,
            actor=actor,
            target_type="configuration",
            target_id=f"{zone.value}_allowlist",
            details={"enabled": is_enabled, "networks": [str(network) for network in parsed]},
        )
    current_app.extensions.pop(LAST_KNOWN, None)


def change_list(
    zone: Zone,
    *,
    is_enabled: bool | None = None,
    networks: Sequence[str] | None = None,
    own_address: str,
    actor: Actor,
    now: datetime,
) -> None:
    """Change what is named of an allow list, as `save_list` does; the rest stays as it is stored."""
    with writing():
        if is_enabled is None:
            is_enabled = bool(settings_store.get(f"{zone.value}_allowlist_enabled"))
        if networks is None:
            networks = settings_store.get(f"{zone.value}_allowlist")
        save_list(zone, is_enabled=is_enabled, networks=networks, own_address=own_address, actor=actor, now=now)


def _read_lists() -> AllowLists:
    chosen = settings()
    return AllowLists(
        _list_in_force("admin", chosen.admin_allowlist_enabled, chosen.admin_allowlist),
        _list_in_force("external", chosen.external_allowlist_enabled, chosen.external_allowlist),
    )


def _list_in_force(
    name: str, enabled_by_environment: bool | None, networks_of_environment: tuple[Network, ...] | None
) -> tuple[Network, ...] | None:
    is_enabled = enabled_by_environment
    if is_enabled is None:
        is_enabled = settings_store.get(f"{name}_allowlist_enabled")
    if not is_enabled:
        return None
    if networks_of_environment is not None:
        return networks_of_environment
    return tuple(_stored_networks(settings_store.get(f"{name}_allowlist")))


def _stored_networks(stored: object) -> Iterator[Network]:
    """Read what is stored; what is no network, which only another program can have stored, lets nobody in."""
    for text in stored if isinstance(stored, list) else ():
        try:
            yield ipaddress.ip_network(text, strict=False)
        except (ValueError, TypeError):
            log.error("invalid network in an allow list: %r", str(text)[:60])


def _parse_network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise AppError(f"networks: {text!r} is not an address or a network such as 192.0.2.0/24") from error


# Proxies on this machine that are not trusted: remembered, so that people are told what to set.
#
# Where no list and no rate can know the client, all clients of such a proxy count as one of unknown address.

SEEN_AT = "untrusted_proxy_seen_at"
NOTED_AT = "duplistatus.untrusted_proxy_noted_at"
# Written once a day at most; what is older than two has been put right.
NOTED_EACH, REMEMBERED = timedelta(days=1), timedelta(days=2)
WARNING = (
    "requests are received through an untrusted proxy on this host, so all its clients count as one unknown"
    " address; set IP_TRUSTED_PROXIES to the address from which it connects, for example 127.0.0.1"
)


def note_untrusted(now: datetime) -> None:
    """Remember that such a request came. Never fails: it is about the proxy, and not about the request."""
    noted_at: datetime | None = current_app.extensions.get(NOTED_AT)
    if noted_at is not None and now - noted_at < NOTED_EACH:
        return
    current_app.extensions[NOTED_AT] = now
    log.warning(WARNING)
    try:
        seen_at = read_time(settings_store.get(SEEN_AT))
        if seen_at is None or now - seen_at >= NOTED_EACH:
            settings_store.save(SEEN_AT, now.isoformat(), now=now)
    except DATABASE_ERRORS:
        log.exception("an untrusted proxy could not be recorded")


def untrusted_seen_at(now: datetime) -> datetime | None:
    """When such a request came; None when none came lately."""
    seen_at = read_time(settings_store.get(SEEN_AT))
    return seen_at if seen_at is not None and now - seen_at < REMEMBERED else None
