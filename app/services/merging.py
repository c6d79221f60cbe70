"""Merges servers: the same machine under a new machine-id becomes one again, with all that was known of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.contracts.errors import AppError, NotFound
from app.models import Delivery, Job, Run, Server, ServerAccess
from app.services import figures, planning
from app.services.audit import Actor, record_entry
from app.services.servers import host_of
from app.services.transaction import writing

# Taken over as far as the target has none of its own.
SERVER_SETTINGS = ("alias", "note", "additional_event", "additional_emails", "additional_ntfy_topic")
JOB_SETTINGS = ("additional_event", "additional_emails", "additional_ntfy_topic")


def merge_servers(old_ids: Sequence[str], target_id: str, *, actor: Actor, now: datetime) -> int:
    """Move all that belongs to some servers to the target, and delete them; ids that do not exist are skipped.

    Jobs of the same name become one, which keeps the target's settings; of two runs that began at the same moment
    one is kept. Who could see an old server may see the target. Returns for how many jobs runs under several
    Duplicati ids were brought under one. Raises NotFound for the target.
    """
    with writing() as session:
        target = session.get(Server, target_id, populate_existing=True)
        if target is not None:
            return _merge(session, old_ids, target, actor, now)
        refusal = NotFound("Target server not found")
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
    refusal: NotFound | None = None,
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
    """Bring the runs of each job under the Duplicati id of its newest one; returns how many jobs had several."""
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
    if _lead_to_one_host(old.url, target.url):
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
    # By statement: the mapped object may still list jobs as its own that have moved.
    session.execute(delete(Server).where(Server.id == old.id), execution_options={"synchronize_session": False})
    session.expunge(old)


def _lead_to_one_host(url: str, other: str) -> bool:
    """Whether what is stored for one address may go to the other; what has no address yet goes anywhere."""
    try:
        hosts = {host_of(each) for each in (url, other) if each.strip()}
    except AppError:
        return False  # taken over from an old database, which held anything
    return len(hosts) < 2


def _lock_jobs(session: Session, server_id: str) -> Sequence[Job]:
    wanted = select(Job).where(Job.server_id == server_id).with_for_update()
    return session.scalars(wanted.execution_options(populate_existing=True)).all()


def _fill_in(names: Sequence[str], old: Any, target: Any) -> None:
    """Take over each value that is not blank where the target's is."""
    for name in names:
        value = getattr(old, name)
        if _is_blank(getattr(target, name)) and not _is_blank(value):
            setattr(target, name, value.strip() if isinstance(value, str) else value)


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def join_jobs(session: Session, job: Job, own: Job) -> None:
    """Move the runs of a job to another one, `own`, which keeps its settings, and delete it."""
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
    planning.take_over(job, own)
    own.overdue_tolerance = own.overdue_tolerance or job.overdue_tolerance
    own.full_notified_days = own.full_notified_days or job.full_notified_days
    session.delete(job)
    session.flush()
    figures.recompute(session, own)
    planning.relearn(own, own.server)
    planning.replan(own)


def _move_access(session: Session, old_id: str, target_id: str) -> None:
    having = select(ServerAccess.user_id).where(ServerAccess.server_id == target_id)
    missing = session.scalars(
        select(ServerAccess.user_id).where(ServerAccess.server_id == old_id, ServerAccess.user_id.not_in(having))
    )
    session.add_all(ServerAccess(user_id=user_id, server_id=target_id) for user_id in missing.all())
