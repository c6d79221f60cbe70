"""From which networks one may come in: two allow lists, one for the administration and one for programs.

The environment wins over what is stored, so that a lock-out can be undone from the shell. Loopback is always in.
"""

import ipaddress
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from flask import current_app

from app.contracts import AppError
from app.domain.addresses import UNKNOWN_CLIENT, Network, is_loopback, is_within, parse_address
from app.services import configuration
from app.services.audit import Actor, record_entry
from app.services.database_faults import DATABASE_ERRORS
from app.services.deployment import settings
from app.services.freshness import cache
from app.services.transaction import writing

log = logging.getLogger(__name__)

LAST_KNOWN = "duplistatus.network_lists"
PROXY_NOT_TRUSTED = (
    "Your own address is not known, since you come through a proxy that is not trusted. No list would let anybody in"
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
        stored: list[str] = configuration.get(f"{zone.value}_allowlist")
        found.append(
            ListState(
                zone=zone.value,
                is_enabled=configuration.get(f"{zone.value}_allowlist_enabled") if is_enabled is None else is_enabled,
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
        configuration.save(f"{zone.value}_allowlist", [str(network) for network in parsed], now=now)
        configuration.save(f"{zone.value}_allowlist_enabled", is_enabled, now=now)
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
            is_enabled = bool(configuration.get(f"{zone.value}_allowlist_enabled"))
        if networks is None:
            networks = configuration.get(f"{zone.value}_allowlist")
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
        is_enabled = configuration.get(f"{name}_allowlist_enabled")
    if not is_enabled:
        return None
    if networks_of_environment is not None:
        return networks_of_environment
    return tuple(_stored_networks(configuration.get(f"{name}_allowlist")))


def _stored_networks(stored: object) -> Iterator[Network]:
    """Read what is stored; what is no network, which only another program can have stored, lets nobody in."""
    for text in stored if isinstance(stored, list) else ():
        try:
            yield ipaddress.ip_network(text, strict=False)
        except (ValueError, TypeError):
            log.error("an entry of an allow list is no network: %r", str(text)[:60])


def _parse_network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise AppError(f"networks: {text!r} is neither an address nor a network such as 192.0.2.0/24") from error
