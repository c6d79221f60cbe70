"""Deletes runs that people no longer want: the old ones, those of one job, or everything."""

from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.contracts.errors import NotFound
from app.domain.intervals import parse_interval
from app.models import Job, Run, Server
from app.services import figures, planning
from app.services.audit import Actor, record_entry
from app.services.transaction import writing

EVERYTHING = "Delete all data"
# wire: the words of the request, and what they mean.
PERIODS = {"6 months": "6M", "1 year": "1Y", "2 years": "2Y"}


def delete_older_runs(period: str, *, actor: Actor, now: datetime) -> int:
    """Delete the runs that ended longer ago than one of `PERIODS`; returns how many. Servers and settings stay."""
    is_old = Run.ended_at < parse_interval(PERIODS[period]).after(now, -1)
    with writing() as session:
        # Locked first, so that no report adds to figures which are being worked out.
        touched = select(Job).where(Job.id.in_(select(Run.job_id).where(is_old))).with_for_update()
        jobs = session.scalars(touched.execution_options(populate_existing=True)).all()
        count = session.scalar(select(func.count()).select_from(Run).where(is_old)) or 0
        session.execute(delete(Run).where(is_old), execution_options={"synchronize_session": False})
        for job in jobs:
            _bring_up_to_date(session, job)
        _record_cleanup(actor, now, retentionPeriod=period, deletedCount=count)
    return count


def delete_everything(*, actor: Actor, now: datetime) -> tuple[int, int]:
    """Delete all servers with their jobs and runs; returns how many runs and servers. Accounts and settings stay."""
    with writing() as session:
        run_count = session.scalar(select(func.count()).select_from(Run)) or 0
        server_count = session.scalar(select(func.count()).select_from(Server)) or 0
        session.execute(delete(Server), execution_options={"synchronize_session": False})
        session.expire_all()
        _record_cleanup(actor, now, retentionPeriod=EVERYTHING, backupChanges=run_count, serverChanges=server_count)
    return run_count, server_count


def delete_runs_of_job(server_id: str, job_name: str, *, actor: Actor, now: datetime) -> tuple[int, str]:
    """Delete all runs of a job, whose settings stay; returns how many, and what people call its server.

    Raises NotFound when there are none.
    """
    with writing() as session:
        wanted = select(Job).where(Job.server_id == server_id, Job.name == job_name, Job.run_count > 0)
        job = session.scalars(wanted.with_for_update().execution_options(populate_existing=True)).one_or_none()
        if job is None:
            raise NotFound(f'No backups found for "{job_name}" on this server')
        count, server_name = job.run_count, job.server.display_name
        session.execute(delete(Run).where(Run.job_id == job.id), execution_options={"synchronize_session": False})
        _bring_up_to_date(session, job)
        details = {"serverId": server_id, "serverName": server_name, "backupName": job_name, "deletedCount": count}
        record_entry(
            "backup_job_deleted",
            "backup",
            now=now,
            actor=actor,
            target_type="backup",
            target_id=f"{server_id}:{job_name}",
            details=details,
        )
    return count, server_name


def _bring_up_to_date(session: Session, job: Job) -> None:
    figures.recompute(session, job)
    if not job.run_count:
        job.announced_next_at = job.overdue_alerted_at = None  # said of runs that are gone
    planning.replan(job)


def _record_cleanup(actor: Actor, now: datetime, **details: object) -> None:
    record_entry("cleanup_executed", "system", now=now, actor=actor, details=details)
