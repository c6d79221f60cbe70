"""Mutes of servers and jobs, and planned maintenance; all of them end automatically."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit.log import Actor, record_entry
from app.backups.models import Job, Server
from app.core.db.orm import db, writing
from app.core.errors import Refused

LONGEST = timedelta(days=366)
LONGEST_NOTE = 500


@dataclass(frozen=True, slots=True)
class Mute:
    """A mute of a job, or without `job_name` of a server.

    `since_at` None means already begun.
    """

    server_id: str
    server_name: str
    job_name: str | None
    since_at: datetime | None
    until_at: datetime
    note: str

    def is_active(self, now: datetime) -> bool:
        """Whether it is active now; planned maintenance begins later."""
        return self.since_at is None or self.since_at <= now


def list_mutes(now: datetime, visible_server_ids: frozenset[str] | None) -> list[Mute]:
    """Return current and future mutes of visible servers (None: all).

    Ordered by server, its own mute before those of its jobs.
    """
    servers = select(Server).where(Server.muted_until > now)
    jobs = select(Server, Job).join(Job, Job.server_id == Server.id).where(Job.muted_until > now)
    found = [_mute(server, None) for server in db.session.scalars(servers)]
    found += [_mute(server, job) for server, job in db.session.execute(jobs)]
    seen = [mute for mute in found if visible_server_ids is None or mute.server_id in visible_server_ids]
    return sorted(seen, key=lambda mute: (mute.server_name.casefold(), mute.server_id, mute.job_name or ""))


def mute(
    server_id: str,
    job_name: str | None,
    *,
    until_at: datetime,
    since_at: datetime | None = None,
    note: str = "",
    actor: Actor,
    now: datetime,
) -> Mute:
    """Mute a job, or with None a server, until a time; replaces an existing mute.

    With `since_at` it begins then. A job that is still overdue at the end is notified at the next check. Raises
    Refused (404), and Refused for invalid times or an invalid note.
    """
    since_at = None if since_at is None or since_at <= now else since_at
    if until_at <= max(now, since_at or now):
        raise Refused("mute_end_passed", "until")
    if until_at > now + LONGEST:
        raise Refused("mute_too_long", "until", days=LONGEST.days)
    note = " ".join(note.split())
    if len(note) > LONGEST_NOTE:
        raise Refused("mute_note_too_long", "note", most=LONGEST_NOTE)
    with writing() as session:
        server, job = _find(session, server_id, job_name)
        owner = job or server
        owner.muted_from, owner.muted_until, owner.mute_note = since_at, until_at, note
        muted = _mute(server, job)
        details: dict[str, object] = {"from": _iso(since_at), "until": _iso(until_at), "note": note}
        _record("muted", muted, details, actor, now)
    return muted


def unmute(server_id: str, job_name: str | None, *, actor: Actor, now: datetime) -> None:
    """Unmute a job, or with None a server itself.

    Raises Refused (404), also if it is not muted.
    """
    with writing() as session:
        server, job = _find(session, server_id, job_name)
        owner = job or server
        if owner.muted_until is None or owner.muted_until <= now:
            raise Refused("not_muted")
        muted = _mute(server, job)
        owner.muted_from, owner.muted_until, owner.mute_note = None, None, ""
        _record("unmuted", muted, {"until": _iso(muted.until_at)}, actor, now)


def _find(session: Session, server_id: str, job_name: str | None) -> tuple[Server, Job | None]:
    server = session.get(Server, server_id, with_for_update=job_name is None, populate_existing=True)
    if server is None:
        raise Refused("server_not_found")
    if job_name is None:
        return server, None
    wanted = select(Job).where(Job.server_id == server_id, Job.name == job_name).with_for_update()
    job = session.scalars(wanted.execution_options(populate_existing=True)).one_or_none()
    if job is None:
        raise Refused("job_not_found")
    return server, job


def _mute(server: Server, job: Job | None) -> Mute:
    owner = job or server
    if owner.muted_until is None:
        raise ValueError("not muted")
    job_name = job.name if job else None
    return Mute(server.id, server.display_name, job_name, owner.muted_from, owner.muted_until, owner.mute_note)


def _record(action: str, muted: Mute, details: dict[str, object], actor: Actor, now: datetime) -> None:
    kind = "server" if muted.job_name is None else "job"
    target = {"serverId": muted.server_id, "serverName": muted.server_name}
    if muted.job_name is not None:
        target["backupName"] = muted.job_name
    record_entry(
        f"{kind}_{action}",
        "config",
        now=now,
        actor=actor,
        target_type=kind,
        target_id=muted.server_id if muted.job_name is None else f"{muted.server_id}:{muted.job_name}",
        details=target | details,
    )


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds")
