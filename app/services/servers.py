"""Servers as people keep them: names, addresses and passwords, and taking a server off the list."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from itertools import groupby
from operator import attrgetter
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.contracts import AppError
from app.contracts.addresses import ForbiddenAddress, is_forbidden
from app.contracts.errors import NotFound
from app.extensions import db
from app.models import Job, Run, Server
from app.services import cleanup, secrets
from app.services.audit import Actor, record_entry
from app.services.server_headers import seal_headers
from app.services.transaction import writing

HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, slots=True)
class ServerChange:
    """What people may say of a server; all three are replaced at once."""

    url: str = ""
    alias: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class ChangedServer:
    """A server after a change.

    `lost_password` tells that its password did not follow it to another host, `lost_headers` that of its headers.
    """

    server: Server
    lost_password: bool = False
    lost_headers: bool = False


def find_by_id(server_id: str, visible_server_ids: frozenset[str] | None) -> Server:
    """One server as it is stored. Raises NotFound, also for a server that the viewer may not see."""
    if visible_server_ids is not None and server_id not in visible_server_ids:
        raise NotFound("Server not found")
    return _existing(db.session(), server_id)


def check_url(url: str) -> None:
    """Raise AppError unless the address of a server is blank, or one of http or https that may be called.

    Names are not looked up here, since they may lead elsewhere tomorrow; whoever calls them looks then.
    """
    if not url.strip():
        return
    if not HAS_SCHEME.match(url.strip()):
        raise AppError("Invalid URL format")
    host = host_of(url)
    if urlsplit(url.strip()).scheme not in ("http", "https"):
        raise AppError("URL must use HTTP or HTTPS protocol")
    if not host or " " in url.strip():
        raise AppError("Invalid URL format")
    if _is_forbidden(host):
        raise AppError(str(ForbiddenAddress(host)))


def host_of(url: str) -> str:
    """The host of an address in lower case; empty without one. Raises AppError for what is no address."""
    try:
        parts = urlsplit(url.strip())
        _ = parts.port  # reading it checks it
    except ValueError as error:
        raise AppError("Invalid URL format") from error
    return parts.hostname or ""


def change_server(server_id: str, change: ServerChange, *, actor: Actor, now: datetime) -> ChangedServer:
    """Replace address, alias and note of a server. Raises NotFound, and AppError for a bad address."""
    with writing() as session:
        server = _existing(session, server_id)
        check_url(change.url)
        changes = {
            "server_url": change.url or server.url,
            "alias": change.alias or server.alias,
            "note": change.note or server.note,
        }
        changed = _move_to(server, change.url)
        server.alias, server.note = change.alias, change.note
        _record_change(changed, changes, actor=actor, now=now)
    return changed


def change_url(server_id: str, url: str, *, actor: Actor, now: datetime) -> ChangedServer:
    """Replace the address of a server. Raises AppError for a bad address, NotFound."""
    check_url(url)
    with writing() as session:
        server = _existing(session, server_id)
        changed = _move_to(server, url)
        _record_change(changed, {"server_url": url}, actor=actor, now=now)
    return changed


def change_password(server_id: str, password: str, *, is_empty: bool = False, actor: Actor, now: datetime) -> None:
    """Store the password of a server's Duplicati, encrypted; a blank one takes it away. Raises NotFound.

    With `is_empty` the empty password is stored, which is the default of Duplicati 2.0.
    """
    encrypted = secrets.seal("" if is_empty else password) if is_empty or password.strip() else ""
    with writing() as session:
        server = _existing(session, server_id)
        server.encrypted_password = encrypted
        details = {"serverName": server.name, "passwordChanged": True}
        _record("server_password_updated", server, details, actor=actor, now=now)


def change_access(
    server_id: str,
    password: str | None,
    headers: Mapping[str, str] | None,
    *,
    is_empty: bool = False,
    actor: Actor,
    now: datetime,
) -> None:
    """Store what opens a server's Duplicati, all of it or nothing; None leaves it as it is. Raises NotFound."""
    with writing():
        if password is not None or is_empty:
            change_password(server_id, password or "", is_empty=is_empty and not password, actor=actor, now=now)
        if headers is not None:
            change_headers(server_id, headers, actor=actor, now=now)


def change_headers(server_id: str, headers: Mapping[str, str], *, actor: Actor, now: datetime) -> Server:
    """Store the extra request headers of a server, encrypted; none takes them away. Raises NotFound.

    `headers` have been checked. The audit log names them without their values.
    """
    encrypted = seal_headers(headers)
    with writing() as session:
        server = _existing(session, server_id)
        server.encrypted_headers = encrypted
        details = {"serverName": server.name, "headers": list(headers)}
        _record("server_headers_updated", server, details, actor=actor, now=now)
    return server


def delete_server(server_id: str, *, actor: Actor, now: datetime) -> int:
    """Delete a server with its jobs, runs and settings; returns how many runs there were. Raises NotFound."""
    _existing(db.session(), server_id)
    run_count = cleanup.delete_runs_of_server(server_id)
    with writing() as session:
        server = _existing(session, server_id)
        left = session.scalar(select(func.count()).select_from(Run).join(Job).where(Job.server_id == server_id))
        run_count += left or 0  # what came in meanwhile goes along
        details = {"serverName": server.name, "backupChanges": run_count}
        _record("server_deleted", server, details, actor=actor, now=now)
        session.delete(server)
    return run_count


def find_duplicates() -> list[tuple[str, list[Server]]]:
    """Servers that share a name, newest first, by name; the same machine, as a rule, with a new machine-id."""
    statement = select(Server).order_by(Server.created_at, Server.id)
    servers = [server for server in db.session.scalars(statement) if _is_machine_id(server.id)]
    # wire: times are told and compared in whole seconds; those of one second stand in the order in which they came
    servers.sort(key=lambda server: server.created_at.replace(microsecond=0), reverse=True)
    servers.sort(key=lambda server: server.name.encode())
    groups = ((name, list(found)) for name, found in groupby(servers, attrgetter("name")))
    return [(name, found) for name, found in groups if len(found) > 1]


def _existing(session: Session, server_id: str) -> Server:
    server = session.get(Server, server_id)
    if server is None:
        raise NotFound("Server not found")
    return server


def _move_to(server: Server, url: str) -> ChangedServer:
    """Set the address; password and headers stay behind when it leads to another host."""
    host = host_of(url)
    is_elsewhere = bool(host) and host != _stored_host(server)
    changed = ChangedServer(server, is_elsewhere and server.has_password, is_elsewhere and server.has_headers)
    if is_elsewhere:
        server.encrypted_password = server.encrypted_headers = ""
    server.url = url
    return changed


def _stored_host(server: Server) -> str:
    try:
        return host_of(server.url)
    except AppError:
        return ""  # taken over from an old database, which held anything


def _is_forbidden(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return is_forbidden(host)


def _is_machine_id(server_id: str) -> bool:
    """Whether an id is one; very old versions stored addresses in their place."""
    return bool(server_id) and not server_id.startswith(("http://", "https://"))


def _record_change(changed: ChangedServer, changes: dict[str, str], *, actor: Actor, now: datetime) -> None:
    details: dict[str, object] = {"serverName": changed.server.name, "changes": changes}
    if changed.lost_password or changed.lost_headers:
        details["credentialsDropped"] = True
    _record("server_updated", changed.server, details, actor=actor, now=now)


def _record(action: str, server: Server, details: Mapping[str, object], *, actor: Actor, now: datetime) -> None:
    record_entry(action, "server", now=now, actor=actor, target_type="server", target_id=server.id, details=details)
