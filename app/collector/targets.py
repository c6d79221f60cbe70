"""Resolve an order to address and credentials: those given, else the stored ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from app.backups.models import Server
from app.backups.servers import decrypt_headers, headers_for
from app.collector.addresses import Address, BadAddress, read_stored, read_typed
from app.collector.client import Endpoint
from app.core.db.orm import db
from app.core.errors import Refused
from app.database import secrets
from app.plugin import ForbiddenAddress, check_host


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A request to collect: from a record, from host and password, or both.

    With `has_no_password` the password is empty, which is the default of Duplicati 2.0, and not missing. `headers`,
    which have been validated, are sent with a given password. Scheme and `verifies_certificate` apply to a given
    password: stored credentials are sent as the record says, and stored headers never with weaker verification. Without
    stored credentials, https with a valid certificate is required. With `keeps_document` all responses are available
    for download.
    """

    server_id: str = ""
    hostname: str = ""
    port: int | None = None
    password: str = field(default="", repr=False)
    has_no_password: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    scheme: str = ""
    verifies_certificate: bool | None = None
    keeps_document: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether it has host and credentials without a record."""
        return bool(self.hostname.strip() and (self.password or self.has_no_password))


@dataclass(frozen=True, slots=True)
class Target:
    """Address, credentials and record; `is_stored` if both are those of the record."""

    endpoint: Endpoint
    server_id: str = ""
    is_stored: bool = False


def find_target(order: Order, visible_server_ids: frozenset[str] | None) -> Target:
    """Resolve an order. Raise Refused if not possible, before any connection."""
    server = _existing(order.server_id, visible_server_ids) if order.server_id else None
    if server is not None and not order.is_complete:
        target = Target(_stored_endpoint(server, order), server.id, is_stored=True)
    else:
        target = Target(_given_endpoint(server, order), server.id if server else "")
    db.session.commit()  # no open transaction while waiting for a remote server
    try:
        check_host(target.endpoint.address.host)
    except ForbiddenAddress as error:
        raise Refused("address_forbidden", "hostname", host=error.host) from error
    return target


def stored_address(server: Server) -> Address | None:
    """Return the address of a server's record; None if missing or invalid."""
    try:
        return read_stored(server.url)
    except BadAddress:
        return None


def find_addressed(visible_server_ids: frozenset[str] | None) -> list[Server]:
    """Return the servers with a valid address, by name."""
    servers = db.session.scalars(select(Server).where(Server.url != "").order_by(Server.name, Server.id))
    return [
        server
        for server in servers
        if (visible_server_ids is None or server.id in visible_server_ids) and stored_address(server)
    ]


def find_collectable(visible_server_ids: frozenset[str] | None) -> list[Server]:
    """Return the servers that can be collected with their stored data, by name."""
    return [server for server in find_addressed(visible_server_ids) if server.has_password]


def headers_of(server: Server) -> dict[str, str]:
    """Return the headers for the stored address of a server. Raise Refused."""
    address = stored_address(server)
    return {} if address is None else _headers_for(server, address)


def headers_to(url: str, server_id: str, visible_server_ids: frozenset[str] | None) -> dict[str, str]:
    """Return a server's headers for a URL. Raise Refused (404), Refused if unreadable."""
    if not server_id:
        return {}
    try:
        address = read_stored(url)
    except BadAddress:
        return {}
    return _headers_for(_existing(server_id, visible_server_ids), address)


def _existing(server_id: str, visible_server_ids: frozenset[str] | None) -> Server:
    is_visible = visible_server_ids is None or server_id in visible_server_ids
    server = db.session.get(Server, server_id, populate_existing=True) if is_visible else None
    if server is None:
        raise Refused("server_not_found")
    return server


def _stored_endpoint(server: Server, order: Order) -> Endpoint:
    if not server.has_password:
        info: dict[str, Any] = {
            "id": server.id,
            "name": server.name,
            "server_url": server.url,
            "alias": server.alias,
            "note": server.note,
            "created_at": server.created_at.strftime("%Y-%m-%d %H:%M:%S"),
            "has_password": 0,
            "hasPassword": False,
        }
        raise Refused("server_password_missing", body={"serverInfo": info})
    try:
        password, headers = secrets.decrypt(server.encrypted_password), decrypt_headers(server)
    except (secrets.Undecryptable, secrets.KeyUnusable, OSError) as error:
        raise Refused("server_password_unreadable", body={"masterKeyInvalid": True}) from error
    try:
        address = read_stored(server.url)
    except BadAddress as error:
        raise Refused("stored_url_invalid", "url", reason=str(error)) from error
    return Endpoint(address, password, server.verifies_certificate, headers)


def _given_endpoint(server: Server | None, order: Order) -> Endpoint:
    if not order.hostname.strip():
        raise Refused("host_name_missing", "hostname")
    if not order.password and not order.has_no_password:
        raise Refused("password_missing", "password")
    try:
        address = read_typed(order.hostname, order.port, order.scheme)
    except BadAddress as error:
        raise Refused("host_name_invalid", "hostname") from error
    stored = stored_address(server) if server else None
    if stored and not order.scheme and "://" not in order.hostname and stored.netloc == address.netloc:
        address = stored
    verifies = server.verifies_certificate if server else True
    if order.verifies_certificate is not None:
        verifies = order.verifies_certificate
    headers = order.headers
    if not headers and server and verifies >= server.verifies_certificate:
        headers = _headers_for(server, address)
    return Endpoint(address, order.password, verifies, headers)


def _headers_for(server: Server, address: Address) -> dict[str, str]:
    """Return the record's headers for a given address: only if it is the stored one."""
    try:
        return headers_for(server, address, stored_address(server))
    except (secrets.Undecryptable, secrets.KeyUnusable, OSError) as error:
        raise Refused("server_headers_unreadable", body={"masterKeyInvalid": True}) from error
