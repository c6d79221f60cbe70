"""Client addresses behind proxies, and the allow lists of networks.

A forwarded address is used only if a trusted proxy sent it.
"""

import ipaddress
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache

from marshmallow import ValidationError, fields, validate

from app import runtime
from app.audit.log import Actor, save_group
from app.core.db.faults import DATABASE_ERRORS
from app.core.db.orm import cache, writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, SettingGroup, check_instant, declare
from app.legacy_import.stored_forms import read_time
from app.plugin.marking import N_
from app.runtime import settings

MOST_NETWORKS = 500


def check_network(text: str) -> None:
    """Reject anything but an address or a network. Raise ValidationError."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValidationError("expected an address or a network such as 192.0.2.0/24") from error


NETWORKS = fields.List(fields.String(validate=check_network), validate=validate.Length(max=MOST_NETWORKS))


def _declare_list(zone: str) -> SettingGroup:
    is_enabled = Setting(
        f"{zone}_allowlist_enabled",
        bool,
        default=False,
        wire="enabled",
        attribute="is_enabled",
        label=N_("Allow only these networks"),
    )
    networks = Setting(
        f"{zone}_allowlist",
        list,
        default=[],
        shape=NETWORKS,
        wire="networks",
        attribute="networks",
        label=N_("Addresses and networks"),
        help=N_("One per line: 192.0.2.7, 192.168.1.0/24, fd00::/8. Localhost is always allowed."),
    )
    return SettingGroup("ip_allowlist_updated", networks.name, (declare(is_enabled), declare(networks)))


ADMIN_ALLOWLIST, EXTERNAL_ALLOWLIST = _declare_list("admin"), _declare_list("external")
PROXY_SEEN_AT = declare(
    Setting("untrusted_proxy_seen_at", str, default=None, shape=fields.String(validate=check_instant))
)


Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# Stands for the address of a client that no trusted proxy has named.
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
    """Parse an address as proxies write it, with or without brackets and port.

    None if invalid. An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) is returned as IPv4.
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
    """Whether an address is in one of the networks; an unknown address is in none."""
    return address is not None and any(address in network for network in networks)


def client_address(peer: str, forwarded_for: str, real_ip: str, trusted: Sequence[Network]) -> str:
    """Return the address of the client: the peer, or what a trusted proxy forwarded.

    `X-Forwarded-For` is read from the right, since each proxy appends the address of its client: the first address
    that is not a trusted proxy is the client; anything to the left of it can be forged. `X-Real-IP` is used if the
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
    """Return the key for rate limits of an address.

    An IPv4 address, or the /64 network of an IPv6 address, which belongs to one subscriber.
    """
    parsed = parse_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address if parsed is None else str(parsed)


def is_loopback(address: str) -> bool:
    """Whether the client is on this machine."""
    parsed = parse_address(address)
    return parsed is not None and parsed.is_loopback


def is_untrusted_proxy(environ: Mapping[str, object], trusted: Sequence[Network]) -> bool:
    """Whether a request was forwarded by a proxy on this machine that is not trusted."""
    peer = str(environ.get("REMOTE_ADDR", ""))
    is_forwarded = any(environ.get(name) for name in FORWARDING_HEADERS)
    return is_forwarded and is_loopback(peer) and not is_within(parse_address(peer), trusted)


# Allow lists of networks: one for the administration, one for external programs
#
# Values of the environment override stored ones, so that a lock-out can be undone in the shell. Loopback is always
# allowed.

log = logging.getLogger(__name__)

PROXY_NOT_TRUSTED = (
    "Your own address is unknown because you connect through an untrusted proxy. No allow list would accept requests"
    " through it. Set IP_TRUSTED_PROXIES to the address from which the proxy connects, for example 127.0.0.1"
)


class Zone(Enum):
    """What an allow list applies to.

    Probes (ping and health) accept both lists, and limit the rate of other clients.
    """

    ADMINISTRATION = "admin"
    EXTERNAL = "external"
    PROBES = "probes"


@dataclass(frozen=True, slots=True)
class AllowLists:
    """The allowed networks by zone.

    None if no list is enabled, so that every client is allowed.
    """

    administration: tuple[Network, ...] | None = None
    external: tuple[Network, ...] | None = None

    def admit(self, zone: Zone, address: str) -> bool:
        """Whether a client may use the zone. For probes: whether without a rate limit."""
        in_force = {
            Zone.ADMINISTRATION: [self.administration],
            Zone.EXTERNAL: [self.external],
            Zone.PROBES: [self.administration, self.external],
        }[zone]
        if in_force == [None] * len(in_force):
            return True
        parsed = parse_address(address)
        return is_loopback(address) or any(is_within(parsed, networks or ()) for networks in in_force)


@dataclass
class Known:
    """The last known lists, and when an untrusted proxy was last recorded."""

    lists: AllowLists | None = None
    proxy_noted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListState:
    """An allow list as shown to users; `fixed` fields are set by the environment."""

    zone: str
    is_enabled: bool
    networks: list[str]
    is_switch_fixed: bool
    are_networks_fixed: bool


def allow_lists() -> AllowLists:
    """Return the lists in force.

    The last known ones while the database cannot be read.
    """
    try:
        found = cache().get("network_lists", _read_lists)
    except DATABASE_ERRORS:
        last_known = runtime.part(Known).lists
        if last_known is None:
            raise
        return last_known
    runtime.part(Known).lists = found
    return found


def known_lists() -> AllowLists:
    """Return the lists from memory.

    A probe is answered even if the database does not respond.
    """
    return runtime.part(Known).lists or allow_lists()


def describe_lists() -> list[ListState]:
    """Return both lists, and which of their fields are set by the environment."""
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
    """Store an allow list; it applies immediately.

    Raise Refused for an invalid network, and if enabling the list of the administration would exclude the address of
    the client; for both lists if this address is unknown, as with a proxy that is not trusted.
    """
    parsed = tuple(_parse_network(text) for text in networks)
    if is_enabled and own_address == UNKNOWN_CLIENT:
        raise Refused("proxy_not_trusted")
    lists = AllowLists(administration=parsed)
    if is_enabled and zone is Zone.ADMINISTRATION and not lists.admit(zone, own_address):
        raise Refused("own_address_missing", "networks", address=own_address)
    group = ADMIN_ALLOWLIST if zone is Zone.ADMINISTRATION else EXTERNAL_ALLOWLIST
    values = {"is_enabled": is_enabled, "networks": [str(network) for network in parsed]}
    save_group(group, values, actor=actor, now=now)
    runtime.part(Known).lists = None


def change_list(
    zone: Zone,
    *,
    is_enabled: bool | None = None,
    networks: Sequence[str] | None = None,
    own_address: str,
    actor: Actor,
    now: datetime,
) -> None:
    """Change the given fields of an allow list, as `save_list` does."""
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
    """Parse the stored networks.

    An invalid one, which only another program can have stored, allows no client.
    """
    for text in stored if isinstance(stored, list) else ():
        try:
            yield ipaddress.ip_network(text, strict=False)
        except (ValueError, TypeError):
            log.error("invalid network in an allow list: %r", str(text)[:60])


def _parse_network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise Refused("network_invalid", "networks", network=text) from error


# Requests from untrusted proxies on this machine: recorded, so that administrators see what to set
#
# Where no list or rate limit knows the client, all clients of such a proxy count as one with an unknown address.

SEEN_AT = "untrusted_proxy_seen_at"
# Written at most once a day; entries older than two days are taken as fixed.
NOTED_EACH, REMEMBERED = timedelta(days=1), timedelta(days=2)
WARNING = (
    "requests are received through an untrusted proxy on this host, so all its clients count as one unknown"
    " address; set IP_TRUSTED_PROXIES to the address from which it connects, for example 127.0.0.1"
)


def note_untrusted(now: datetime) -> None:
    """Record such a request. Never fails: the record must not affect the request."""
    known = runtime.part(Known)
    if known.proxy_noted_at is not None and now - known.proxy_noted_at < NOTED_EACH:
        return
    known.proxy_noted_at = now
    log.warning(WARNING)
    try:
        seen_at = read_time(settings_store.get(SEEN_AT))
        if seen_at is None or now - seen_at >= NOTED_EACH:
            settings_store.save(SEEN_AT, now.isoformat(), now=now)
    except DATABASE_ERRORS:
        log.exception("an untrusted proxy could not be recorded")


def untrusted_seen_at(now: datetime) -> datetime | None:
    """Return when such a request was last seen; None if not recently."""
    seen_at = read_time(settings_store.get(SEEN_AT))
    return seen_at if seen_at is not None and now - seen_at < REMEMBERED else None
