"""Merge servers, and assign ids to servers that are known by name only.

A merge joins the entries of one machine that reports under a new machine-id.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.orm import Session

from app.accounts.models import ServerAccess
from app.audit.log import Actor, record_entry
from app.backups import job_stats
from app.backups.models import Job, Run, Server
from app.backups.servers import host_of
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.notifications.models import Delivery
from app.reports.decoding import shorten_identity
from app.schedules import next_run

# Copied if the target's own value is blank.
SERVER_SETTINGS = ("alias", "note", "additional_event", "additional_emails", "additional_ntfy_topic")
JOB_SETTINGS = ("additional_event", "additional_emails", "additional_ntfy_topic")


def merge_servers(old_ids: Sequence[str], target_id: str, *, actor: Actor, now: datetime) -> int:
    """Move all data of some servers to the target, and delete them.

    Ids that do not exist are skipped. Jobs of the same name are joined and have the target's settings; of two runs that
    began at the same moment one is kept. Users with access to an old server get access to the target. Returns the
    number of jobs whose runs had several Duplicati ids, now unified. Raises Refused (404) for the target.
    """
    with writing() as session:
        target = session.get(Server, target_id, populate_existing=True)
        if target is not None:
            return _merge(session, old_ids, target, actor, now)
        refusal = Refused("target_server_not_found")
        _record(target_id, old_ids, now, actor, {}, refusal)
    raise refusal


def _merge(session: Session, old_ids: Sequence[str], target: Server, actor: Actor, now: datetime) -> int:
    normalised = _normalise(session, target.id)
    for old_id in dict.fromkeys(old_ids):
        old = session.get(Server, old_id)
        if old is not None and old is not target:
            _absorb(session, old, target)
    normalised += _normalise(session, target.id)
    outcome = {"serverName": target.name, "mergedCount": len(old_ids), "backupIdsNormalized": normalised}
    _record(target.id, old_ids, now, actor, outcome)
    return normalised


def _record(
    target_id: str,
    old_ids: Sequence[str],
    now: datetime,
    actor: Actor,
    outcome: Mapping[str, object],
    refusal: Refused | None = None,
) -> None:
    record_entry(
        "servers_merged",
        "server",
        now=now,
        actor=actor,
        status="success" if refusal is None else "error",
        target_type="server",
        target_id=target_id,
        details={"oldServerIds": list(old_ids), **outcome},
        error_message=None if refusal is None else refusal.message,
    )


def _normalise(session: Session, server_id: str) -> int:
    """Give the runs of each job its newest Duplicati id.

    Return how many jobs had several.
    """
    several = (
        select(Run.job_id)
        .join(Job)
        .where(Job.server_id == server_id)
        .group_by(Run.job_id)
        .having(func.count(Run.duplicati_id.distinct()) > 1)
    )
    job_ids = list(session.scalars(several))
    for job_id in job_ids:
        _rename_runs(session, job_id, _duplicati_id(session, job_id))
    return len(job_ids)


def _duplicati_id(session: Session, job_id: int) -> str | None:
    newest = select(Run.duplicati_id).where(Run.job_id == job_id).order_by(Run.began_at.desc()).limit(1)
    return session.scalar(newest)


def _rename_runs(session: Session, job_id: int, duplicati_id: str | None) -> None:
    if duplicati_id is not None:
        session.execute(update(Run).where(Run.job_id == job_id).values(duplicati_id=duplicati_id))


def _absorb(session: Session, old: Server, target: Server) -> None:
    """Move jobs, settings and access of one server to another, and delete it."""
    if not target.url.strip() and old.url.strip():
        target.url, target.verifies_certificate = old.url.strip(), old.verifies_certificate
    if _have_same_host(old.url, target.url):
        target.encrypted_password = target.encrypted_password or old.encrypted_password
        target.encrypted_headers = target.encrypted_headers or old.encrypted_headers
    _fill_in(SERVER_SETTINGS, old, target)
    own_jobs = {job.name: job for job in _lock_jobs(session, target.id)}
    for job in _lock_jobs(session, old.id):
        own = own_jobs.get(job.name)
        if own is None:
            job.server_id = target.id
        else:
            join_jobs(session, job, own)
    _move_access(session, old.id, target.id)
    session.flush()
    # By statement: the mapped object may still list jobs that have been moved.
    session.execute(delete(Server).where(Server.id == old.id), execution_options={"synchronize_session": False})
    session.expunge(old)


def _have_same_host(url: str, other: str) -> bool:
    """Return whether two URLs have the same host, or one is blank."""
    try:
        hosts = {host_of(each) for each in (url, other) if each.strip()}
    except Refused:
        return False  # from an old database, which held anything
    return len(hosts) < 2


def _lock_jobs(session: Session, server_id: str) -> Sequence[Job]:
    wanted = select(Job).where(Job.server_id == server_id).with_for_update()
    return session.scalars(wanted.execution_options(populate_existing=True)).all()


def _fill_in(names: Sequence[str], old: Any, target: Any) -> None:
    """Copy each value that is not blank to the target if the target's is."""
    for name in names:
        value = getattr(old, name)
        if _is_blank(getattr(target, name)) and not _is_blank(value):
            setattr(target, name, value.strip() if isinstance(value, str) else value)


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def join_jobs(session: Session, job: Job, own: Job) -> None:
    """Move the runs of `job` to `own`, which keeps its settings, and delete `job`."""
    _rename_runs(session, job.id, _duplicati_id(session, own.id))
    known = select(Run.began_at).where(Run.job_id == own.id)
    twice = Run.began_at.in_(known.scalar_subquery())
    session.execute(delete(Run).where(Run.job_id == job.id, twice), execution_options={"synchronize_session": False})
    session.execute(update(Run).where(Run.job_id == job.id).values(job_id=own.id))
    session.execute(update(Delivery).where(Delivery.job_id == job.id).values(job_id=own.id))
    if job.state_began_at and (own.state_began_at is None or job.state_began_at > own.state_began_at):
        own.announced_next_at = job.announced_next_at
    alerts = [at for at in (own.overdue_alerted_at, job.overdue_alerted_at) if at is not None]
    own.overdue_alerted_at = max(alerts, default=None)
    if own.trouble_since_at is None:
        own.trouble_kind, own.trouble_since_at = job.trouble_kind, job.trouble_since_at
    _fill_in(JOB_SETTINGS, job, own)
    next_run.copy_schedule(job, own)
    own.overdue_tolerance = own.overdue_tolerance or job.overdue_tolerance
    own.full_notified_days = own.full_notified_days or job.full_notified_days
    session.delete(job)
    session.flush()
    job_stats.recompute(session, own)
    next_run.relearn(own, own.server)
    next_run.recalculate_next_run(own)


def _move_access(session: Session, old_id: str, target_id: str) -> None:
    having = select(ServerAccess.user_id).where(ServerAccess.server_id == target_id)
    missing = session.scalars(
        select(ServerAccess.user_id).where(ServerAccess.server_id == old_id, ServerAccess.user_id.not_in(having))
    )
    session.add_all(ServerAccess(user_id=user_id, server_id=target_id) for user_id in missing.all())


# Servers that report without a machine-id, known by name until they report one
#
# A new Duplicati has no machine-id before its first restart, and none on the bare command line (fact 6 of the
# recordings). Such a report belongs to the only server of its name; if there is none, or several, to a server with a
# generated id, which is replaced by the machine-id of the first report that has one.

SERVERS = Server.__table__
# Prefix of a generated id.
PROVISIONAL = "name:"


def provisional_id(name: str) -> str:
    """Return the id of a server that is known by name only."""
    return shorten_identity(f"{PROVISIONAL}{name}")


def find_server_id(connection: Connection, name: str) -> str:
    """Return the server id for a report that has only the server's name."""
    own = provisional_id(name)
    ids = set(connection.scalars(select(SERVERS.c.id).where((SERVERS.c.name == name) | (SERVERS.c.id == own))))
    return own if own in ids or len(ids) != 1 else ids.pop()


def has_provisional(connection: Connection, name: str) -> bool:
    """Return whether a server is known by this name only."""
    return connection.scalar(select(SERVERS.c.id).where(SERVERS.c.id == provisional_id(name))) is not None


def assign_id(session: Session, name: str, server_id: str, *, actor: Actor, now: datetime) -> None:
    """Replace the generated id of the server of this name by its machine-id."""
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
    _rename_in_settings(old_id, server_id, now)
    details = {"serverName": name, "oldServerId": old_id}
    target = {"target_type": "server", "target_id": server_id}
    record_entry("server_identified", "server", now=now, actor=actor, details=details, **target)


def _rename_in_settings(old_id: str, new_id: str, now: datetime) -> None:
    """Rename the server in the settings of badges and the status page."""
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
        stored = settings_store.get(setting)
        if stored and old_id in str(stored):
            # Unchecked: stored values must not make a report fail.
            settings_store.put(setting, change(stored), now=now)
