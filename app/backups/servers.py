"""Servers as people keep them: names, addresses and passwords, and taking a server off the list."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from itertools import groupby
from operator import attrgetter
from typing import Any
from urllib.parse import urlsplit

import orjson
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.audit.log import Actor, record_entry
from app.backups import run_deletion
from app.backups.models import Job, Run, Server
from app.collector.addresses import Address
from app.core.db.extensions import db
from app.core.db.transaction import writing
from app.database import secrets
from app.plugin import AppError, ForbiddenAddress
from app.plugin.errors import NotFound
from app.plugin.http import is_forbidden

# Extra request headers of a server, stored encrypted: for a proxy with a sign-in in front of its Duplicati.


def seal_headers(headers: Mapping[str, str]) -> str:
    """Return headers as they are stored; empty for none."""
    return secrets.encrypt(orjson.dumps(dict(headers)).decode()) if headers else ""


def open_headers(server: Server) -> dict[str, str]:
    """Return the headers of a server. Raises `Undecryptable` and what else reading the key raises."""
    stored: Any = orjson.loads(secrets.decrypt(server.encrypted_headers)) if server.encrypted_headers else {}
    return {str(name): str(value) for name, value in stored.items()}


def names_of_headers(server: Server) -> tuple[str, ...]:
    """Return the names of the headers of a server; none where the key does not open them."""
    try:
        return tuple(open_headers(server))
    except (secrets.Undecryptable, secrets.KeyUnusable, OSError):
        return ()


def headers_for(server: Server, address: Address, stored: Address | None) -> dict[str, str]:
    """Return the headers that may go to an address: those of the server if it is the one that is stored, else none.

    Raises as `open_headers`.
    """
    return open_headers(server) if address == stored else {}


ALIAS_LENGTH = 255
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
    run_count = run_deletion.delete_runs_of_server(server_id)
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


# Request headers that people have sent along to a Duplicati server, for a proxy with a sign-in in front of it.

MOST_HEADERS = 20
LARGEST_BYTES = 8 * 1024
# A token and a field value of RFC 9110 (sections 5.1 and 5.5), of the value what can be typed.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?", re.ASCII)
# What the connection and the sign-in to Duplicati are made of.
RESERVED = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-xsrf-token",
    }
)


class BadHeader(ValueError):
    """A header that is not sent. `name` is its name as far as there is one; the text is for people.

    `kind` is `line`, `name`, `value`, `reserved`, `twice`, `count` or `size`. No value stands in it.
    """

    def __init__(self, kind: str, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind, self.name = kind, name


def read_lines(text: str) -> dict[str, str]:
    """Return the headers of a text with one `Name: value` a line. Raises BadHeader."""
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon:
            raise BadHeader("line", str(number), f"Line {number} is not a header: enter Name: value")
        pairs.append((name.strip(), value.strip()))
    return _checked(pairs)


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers as they are sent. Raises BadHeader."""
    return _checked([(name.strip(), value.strip(" \t")) for name, value in headers.items()])


def _checked(pairs: list[tuple[str, str]]) -> dict[str, str]:
    seen: set[str] = set()
    for name, value in pairs:
        shown = name[:80]
        if not _NAME.fullmatch(name):
            raise BadHeader("name", shown, f"{shown!r} is not a valid header name")
        if name.lower() in RESERVED:
            raise BadHeader("reserved", shown, f"The header {shown} cannot be set: it is used to sign in to Duplicati")
        if name.lower() in seen:
            raise BadHeader("twice", shown, f"The header {shown} is entered twice")
        if not _VALUE.fullmatch(value):
            raise BadHeader("value", shown, f"The header {shown} needs a value of printable ASCII characters")
        seen.add(name.lower())
    if len(pairs) > MOST_HEADERS:
        raise BadHeader("count", "", f"No more than {MOST_HEADERS} headers can be stored")
    if sum(len(name) + len(value) + 4 for name, value in pairs) > LARGEST_BYTES:
        raise BadHeader("size", "", f"The headers are larger than {LARGEST_BYTES // 1024} KiB in total")
    return dict(pairs)


# Tags: words that people put on servers and jobs, to find them and to look at some of them alone.
#
# A job has those of its server as well.

LONGEST = 40
MOST = 20


def read_tags(texts: Iterable[str]) -> list[str]:
    """Tags as they are kept: without space around, each once, in alphabetical order. Raises AppError."""
    words = [" ".join(text.split()) for text in texts]
    found = {word.casefold(): word for word in reversed(words) if word}
    if len(found) > MOST:
        raise AppError(f"tags: at most {MOST} tags", field="tags")
    too_long = next((word for word in found.values() if len(word) > LONGEST), None)
    if too_long is not None:
        raise AppError(f"tags: a tag can have at most {LONGEST} characters", field="tags")
    if any("," in word for word in found.values()):
        raise AppError("tags: a tag cannot contain a comma", field="tags")
    return sorted(found.values(), key=str.casefold)


def change_tags(
    server_id: str, job_name: str | None, texts: Iterable[str], *, actor: Actor, now: datetime
) -> list[str]:
    """Put these tags and no others on a server, or on one of its jobs; returns them. Raises NotFound and AppError."""
    tags = read_tags(texts)
    with writing() as session:
        owner: Server | Job | None = session.get(Server, server_id)
        if owner is None:
            raise NotFound("Server not found")
        details: dict[str, object] = {"serverId": server_id, "tags": tags}
        if job_name is not None:
            owner = session.scalar(select(Job).where(Job.server_id == server_id, Job.name == job_name))
            details["backupName"] = job_name
        if owner is None:
            raise NotFound("Backup job not found")
        owner.tags = tags
        kind = "server" if job_name is None else "job"
        target = server_id if job_name is None else f"{server_id}:{job_name}"
        record_entry(
            f"{kind}_tags_updated", "config", now=now, actor=actor, target_type=kind, target_id=target, details=details
        )
    return tags
