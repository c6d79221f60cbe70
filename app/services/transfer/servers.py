"""Servers of an old installation: what they are called, where they are, and their passwords."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from app.contracts.addresses import host_of
from app.domain.old_settings import LONGEST_TEXT, read_time
from app.domain.reported_values import clean_text
from app.models import Server
from app.services import secrets
from app.services.transaction import writing
from app.services.transfer.old_secrets import OldSecrets
from app.services.transfer.reports import ImportReport
from app.services.transfer.runs import LONGEST_ID, LONGEST_NAME
from app.services.transfer.source import OldDatabase, OldRow

# Taken where ours are blank: a server may have reported here before its past was brought along.
DETAILS = ("alias", "note", "url")
LONGEST_SERVER_NAME = 255


def read_servers(old: OldDatabase, report: ImportReport, *, now: datetime) -> dict[str, dict[str, Any]]:
    """The columns of the old servers by id."""
    found = {}
    for row in old.servers():
        report.count("servers").found += 1
        server_id = row["id"]
        if not isinstance(server_id, str) or not 0 < len(clean_text(server_id)) <= LONGEST_ID:
            report.leave("servers", "A server without an id, or with one that is too long, was left")
            continue
        found[clean_text(server_id)] = _columns(row, report, now)
    return found


def complete_servers(
    old: OldDatabase,
    servers: dict[str, dict[str, Any]],
    ids_with_runs: Collection[str],
    old_secrets: OldSecrets,
    report: ImportReport,
) -> None:
    """Make the servers that have no runs, and fill in what ours do not know of themselves yet.

    A server whose runs are all here, under another one that it was merged into, does not come back.
    """
    count = report.count("servers")
    passwords = {row["id"]: row.get("server_password") for row in old.servers()}
    for server_id, columns in servers.items():
        with writing() as session:
            server = session.get(Server, server_id, populate_existing=True)
            if server is None and server_id not in ids_with_runs:
                server = Server(**columns)
                session.add(server)
                count.taken += 1
            if server is None:
                continue
            for name in DETAILS:
                if columns[name] and not getattr(server, name):
                    setattr(server, name, columns[name])
                    report.remark("A server that is here already got its alias, note or address")
            if passwords.get(server_id) and not server.encrypted_password:
                if server.url != columns["url"]:
                    # It would go to a machine that it was not meant for.
                    what = server.display_name[:60]
                    report.remark(f"The Duplicati password of {what} was left: the server has another address here")
                    continue
                clear = old_secrets.open(passwords[server_id], f"The Duplicati password of {server.display_name[:60]}")
                server.encrypted_password = secrets.encrypt(clear)
    count.known += count.found - count.left - count.taken


def server_keys(old: OldDatabase, servers: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """How job settings speak of servers: by id, and in schema 2.0 and older by a name that several may have."""
    keys = {server_id: [server_id] for server_id in servers}
    if old.layout.version < (3, 0):
        for server_id, columns in servers.items():
            keys.setdefault(columns["name"], []).append(server_id)
    return keys


def _columns(row: OldRow, report: ImportReport, now: datetime) -> dict[str, Any]:
    name = _text(row["name"], LONGEST_NAME)[:LONGEST_SERVER_NAME]
    return {
        "id": clean_text(row["id"]),
        "name": name or clean_text(row["id"]),
        "alias": _text(row.get("alias"), LONGEST_SERVER_NAME),
        "note": _text(row.get("note"), 10 * LONGEST_TEXT),
        "url": _url(_text(row.get("server_url"), LONGEST_TEXT), report),
        "created_at": read_time(row.get("created_at")) or now,
    }


def _text(value: object, longest: int) -> str:
    return clean_text(value).strip()[:longest] if isinstance(value, str) else ""


def _url(text: str, report: ImportReport) -> str:
    """An address that pages may link to; whatever else was stored there is left."""
    try:
        if text:
            host_of(text)
    except ValueError:
        report.remark("The address of a server was left: it does not begin with http:// or https://")
        return ""
    return text
