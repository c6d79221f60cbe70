"""Machines that report without a machine-id: known by their name until an id comes.

A new Duplicati has no machine-id before its first restart, and none on the bare command line (fact 6 of the
recordings). Such a report belongs to the one server of its name; where there is none, or several, to a server with an
id of ours, which takes the machine-id when the first report with one comes.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.orm import Session

from app.domain.reported_values import shorten_identity
from app.models import Job, Server, ServerAccess
from app.services import configuration
from app.services.audit import Actor, record_entry

SERVERS = Server.__table__
# What the id of a server begins with that is known by its name alone.
PROVISIONAL = "name:"


def provisional_id(name: str) -> str:
    """The id of a server that is known by its name alone."""
    return shorten_identity(f"{PROVISIONAL}{name}")


def find_server_id(connection: Connection, name: str) -> str:
    """The id under which a report is stored that names its machine by the name alone."""
    own = provisional_id(name)
    ids = set(connection.scalars(select(SERVERS.c.id).where((SERVERS.c.name == name) | (SERVERS.c.id == own))))
    return own if own in ids or len(ids) != 1 else ids.pop()


def has_provisional(connection: Connection, name: str) -> bool:
    """Whether there is a server that is known by this name alone."""
    return connection.scalar(select(SERVERS.c.id).where(SERVERS.c.id == provisional_id(name))) is not None


def give_id(session: Session, name: str, server_id: str, *, actor: Actor, now: datetime) -> None:
    """Give the server that was known by its name alone the machine-id that it reports now, with all that is its own."""
    old_id = provisional_id(name)
    row = session.execute(select(*SERVERS.c).where(SERVERS.c.id == old_id)).first()
    if row is None or session.scalar(select(SERVERS.c.id).where(SERVERS.c.id == server_id)) is not None:
        return  # another report came first
    connection = session.connection()
    connection.execute(SERVERS.insert().values(**{**row._mapping, "id": server_id}))
    for table in (Job.__table__, ServerAccess.__table__):
        connection.execute(update(table).where(table.c.server_id == old_id).values(server_id=server_id))
    connection.execute(SERVERS.delete().where(SERVERS.c.id == old_id))
    session.expire_all()
    _follow_in_settings(old_id, server_id, now)
    details = {"serverName": name, "oldServerId": old_id}
    place = {"target_type": "server", "target_id": server_id}
    record_entry("server_identified", "server", now=now, actor=actor, details=details, **place)


def _follow_in_settings(old_id: str, new_id: str, now: datetime) -> None:
    """Rename the server in the settings that name servers: badges and the status page."""
    changes: dict[str, Callable[[Any], Any]] = {
        "badges": lambda badges: [
            badge | {"server_id": new_id} if badge.get("server_id") == old_id else badge for badge in badges
        ],
        "status_page": lambda page: (
            page
            | {
                "server_ids": [
                    new_id if server_id == old_id else server_id for server_id in page.get("server_ids", ())
                ],
                "jobs": [[new_id if job[0] == old_id else job[0], *job[1:]] for job in page.get("jobs", ())],
            }
        ),
    }
    for setting, change in changes.items():
        stored = configuration.get(setting)
        if stored and old_id in str(stored):
            # As it is: a report must not fail for what is stored already.
            configuration.put(setting, change(stored), now=now)
