"""Servers: names, URLs, passwords, request headers, tags, deletion, duplicates."""

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
from app.core.db.orm import db, writing
from app.core.errors import Refused
from app.database import secrets
from app.plugin.http import is_forbidden

# Extra request headers, stored encrypted: for a proxy with a sign-in in front of a Duplicati


def encrypt_headers(headers: Mapping[str, str]) -> str:
    """Return headers as they are stored; empty for none."""
    return secrets.encrypt(orjson.dumps(dict(headers)).decode()) if headers else ""


def decrypt_headers(server: Server) -> dict[str, str]:
    """Return the headers of a server.

    Raises `Undecryptable` and what else reading the key raises.
    """
    stored: Any = orjson.loads(secrets.decrypt(server.encrypted_headers)) if server.encrypted_headers else {}
    return {str(name): str(value) for name, value in stored.items()}


def names_of_headers(server: Server) -> tuple[str, ...]:
    """Return the names of the headers of a server; none if they cannot be decrypted."""
    try:
        return tuple(decrypt_headers(server))
    except (secrets.Undecryptable, secrets.KeyUnusable, OSError):
        return ()


def headers_for(server: Server, address: Address, stored: Address | None) -> dict[str, str]:
    """Return the headers for a URL: the server's if it is the stored URL, else none.

    Raises as `decrypt_headers`.
    """
    return decrypt_headers(server) if address == stored else {}


ALIAS_LENGTH = 255
HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, slots=True)
class ServerChange:
    """The editable data of a server; all three are replaced at once."""

    url: str = ""
    alias: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class ChangedServer:
    """A server after a change.

    `lost_password` says that its password was removed because of the new host, `lost_headers` that its headers were.
    """

    server: Server
    lost_password: bool = False
    lost_headers: bool = False


def find_by_id(server_id: str, visible_server_ids: frozenset[str] | None) -> Server:
    """Return one server. Raise Refused (404), also if the user may not see it."""
    if visible_server_ids is not None and server_id not in visible_server_ids:
        raise Refused("server_not_found")
    return _existing(db.session(), server_id)


def check_url(url: str) -> None:
    """Raise AppError unless a URL is blank, or http(s) to a permitted address.

    Host names are not resolved here, since they may change; that is checked before each request.
    """
    if not url.strip():
        return
    if not HAS_SCHEME.match(url.strip()):
        raise Refused("url_invalid", "url")
    host = host_of(url)
    if urlsplit(url.strip()).scheme not in ("http", "https"):
        raise Refused("url_scheme", "url")
    if not host or " " in url.strip():
        raise Refused("url_invalid", "url")
    if _is_forbidden(host):
        raise Refused("address_forbidden", "url", host=host)


def host_of(url: str) -> str:
    """Return the host of a URL in lower case, or "". Raise Refused if invalid."""
    try:
        parts = urlsplit(url.strip())
        _ = parts.port  # reading it validates it
    except ValueError as error:
        raise Refused("url_invalid", "url") from error
    return parts.hostname or ""


def change_server(server_id: str, change: ServerChange, *, actor: Actor, now: datetime) -> ChangedServer:
    """Replace URL, alias and note of a server.

    Raise Refused (404), Refused for a bad URL.
    """
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
    """Replace the URL of a server. Raise Refused for a bad URL, Refused (404)."""
    check_url(url)
    with writing() as session:
        server = _existing(session, server_id)
        changed = _move_to(server, url)
        _record_change(changed, {"server_url": url}, actor=actor, now=now)
    return changed


def change_password(server_id: str, password: str, *, is_empty: bool = False, actor: Actor, now: datetime) -> None:
    """Encrypt and store a server's Duplicati password; "" removes it. Raise Refused (404).

    With `is_empty` the empty password is stored, which is the default of Duplicati 2.0.
    """
    encrypted = secrets.encrypt_any("" if is_empty else password) if is_empty or password.strip() else ""
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
    """Store a server's password and headers, both or none. Raise Refused (404).

    None leaves a value unchanged.
    """
    with writing():
        if password is not None or is_empty:
            change_password(server_id, password or "", is_empty=is_empty and not password, actor=actor, now=now)
        if headers is not None:
            change_headers(server_id, headers, actor=actor, now=now)


def change_headers(server_id: str, headers: Mapping[str, str], *, actor: Actor, now: datetime) -> Server:
    """Encrypt and store the extra request headers of a server; {} removes them.

    `headers` must be validated. The audit log has their names without values. Raise Refused (404).
    """
    encrypted = encrypt_headers(headers)
    with writing() as session:
        server = _existing(session, server_id)
        server.encrypted_headers = encrypted
        details = {"serverName": server.name, "headers": list(headers)}
        _record("server_headers_updated", server, details, actor=actor, now=now)
    return server


def delete_server(server_id: str, *, actor: Actor, now: datetime) -> int:
    """Delete a server with jobs, runs and settings; return the number of runs.

    Raise Refused (404).
    """
    _existing(db.session(), server_id)
    run_count = run_deletion.delete_runs_of_server(server_id)
    with writing() as session:
        server = _existing(session, server_id)
        left = session.scalar(select(func.count()).select_from(Run).join(Job).where(Job.server_id == server_id))
        run_count += left or 0  # runs that arrived meanwhile
        details = {"serverName": server.name, "backupChanges": run_count}
        _record("server_deleted", server, details, actor=actor, now=now)
        session.delete(server)
    return run_count


def find_duplicates() -> list[tuple[str, list[Server]]]:
    """Return servers that share a name, by name, newest first.

    Usually the same machine with a new machine-id.
    """
    statement = select(Server).order_by(Server.created_at, Server.id)
    servers = [server for server in db.session.scalars(statement) if _is_machine_id(server.id)]
    # wire: times are compared in whole seconds; those of one second are in the order of creation
    servers.sort(key=lambda server: server.created_at.replace(microsecond=0), reverse=True)
    servers.sort(key=lambda server: server.name.encode())
    groups = ((name, list(found)) for name, found in groupby(servers, attrgetter("name")))
    return [(name, found) for name, found in groups if len(found) > 1]


def _existing(session: Session, server_id: str) -> Server:
    server = session.get(Server, server_id)
    if server is None:
        raise Refused("server_not_found")
    return server


def _move_to(server: Server, url: str) -> ChangedServer:
    """Set the URL; password and headers are removed if its host differs."""
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
    except Refused:
        return ""  # from an old database, which held anything


def _is_forbidden(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return is_forbidden(host)


def _is_machine_id(server_id: str) -> bool:
    """Return whether an id is a machine-id; very old versions stored URLs instead."""
    return bool(server_id) and not server_id.startswith(("http://", "https://"))


def _record_change(changed: ChangedServer, changes: dict[str, str], *, actor: Actor, now: datetime) -> None:
    details: dict[str, object] = {"serverName": changed.server.name, "changes": changes}
    if changed.lost_password or changed.lost_headers:
        details["credentialsDropped"] = True
    _record("server_updated", changed.server, details, actor=actor, now=now)


def _record(action: str, server: Server, details: Mapping[str, object], *, actor: Actor, now: datetime) -> None:
    record_entry(action, "server", now=now, actor=actor, target_type="server", target_id=server.id, details=details)


# Validation of request headers

MOST_HEADERS = 20
LARGEST_BYTES = 8 * 1024
# Token and field value of RFC 9110 (sections 5.1 and 5.5); of the value, characters that can be typed.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?", re.ASCII)
# Headers that the connection and the sign-in to Duplicati use.
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
    """An invalid header. `name` is its name if known; the text is for users.

    `kind` is `line`, `name`, `value`, `reserved`, `twice`, `count` or `size`. The text never contains the value.
    """

    def __init__(self, kind: str, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind, self.name = kind, name


def read_lines(text: str) -> dict[str, str]:
    """Return the headers of a text with one `Name: value` per line. Raise BadHeader."""
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
    """Return headers as they are sent. Raise BadHeader."""
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


# Tags of servers and jobs, for searching and filtering
#
# A job inherits those of its server.

LONGEST = 40
MOST = 20


def read_tags(texts: Iterable[str]) -> list[str]:
    """Return tags trimmed, unique and sorted. Raise Refused."""
    words = [" ".join(text.split()) for text in texts]
    found = {word.casefold(): word for word in reversed(words) if word}
    if len(found) > MOST:
        raise Refused("too_many_tags", "tags", most=MOST)
    too_long = next((word for word in found.values() if len(word) > LONGEST), None)
    if too_long is not None:
        raise Refused("tag_too_long", "tags", most=LONGEST)
    if any("," in word for word in found.values()):
        raise Refused("tag_with_comma", "tags")
    return sorted(found.values(), key=str.casefold)


def change_tags(
    server_id: str, job_name: str | None, texts: Iterable[str], *, actor: Actor, now: datetime
) -> list[str]:
    """Replace the tags of a server or of one of its jobs; return them.

    Raise Refused (404) and Refused.
    """
    tags = read_tags(texts)
    with writing() as session:
        owner: Server | Job | None = session.get(Server, server_id)
        if owner is None:
            raise Refused("server_not_found")
        details: dict[str, object] = {"serverId": server_id, "tags": tags}
        if job_name is not None:
            owner = session.scalar(select(Job).where(Job.server_id == server_id, Job.name == job_name))
            details["backupName"] = job_name
        if owner is None:
            raise Refused("job_not_found")
        owner.tags = tags
        kind = "server" if job_name is None else "job"
        target = server_id if job_name is None else f"{server_id}:{job_name}"
        record_entry(
            f"{kind}_tags_updated", "config", now=now, actor=actor, target_type=kind, target_id=target, details=details
        )
    return tags
