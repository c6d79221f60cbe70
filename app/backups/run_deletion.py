"""Delete runs: the old ones, those of one job or server, or everything.

Runs are deleted in small batches, each in a transaction that also updates the statistics of the job: an incoming report
waits for one batch at most, and readers always see correct statistics.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select

from app.audit.log import Actor, record_entry
from app.backups import job_stats
from app.backups.models import Job, Run, Server
from app.core.db.orm import db, run_in_batches, writing
from app.core.errors import Refused
from app.schedules import next_run
from app.schedules.intervals import parse_interval

EVERYTHING = "Delete all data"
# wire: the values of the request, and their days.
PERIODS = {"6 months": "6M", "1 year": "1Y", "2 years": "2Y"}
RUNS_AT_ONCE = 200


def delete_older_runs(period: str, *, actor: Actor, now: datetime) -> int:
    """Delete the runs that ended before one of `PERIODS`; return how many.

    Servers and settings are kept.
    """
    is_old = Run.ended_at < cutoff_of(period, now)
    count = 0
    for job_id in _read_ids(select(Run.job_id).where(is_old).distinct()):
        count += delete_oldest_runs(job_id, is_old)
    _record_cleanup(actor, now, retentionPeriod=period, deletedCount=count)
    return count


def count_older_runs(period: str, now: datetime) -> int:
    """Return how many runs `delete_older_runs` would delete."""
    return db.session.scalar(select(func.count()).select_from(Run).where(Run.ended_at < cutoff_of(period, now))) or 0


def cutoff_of(period: str, now: datetime) -> datetime:
    """Return the end time from which on runs are kept."""
    return parse_interval(PERIODS[period]).after(now, -1)


def delete_everything(*, actor: Actor, now: datetime) -> tuple[int, int]:
    """Delete all servers with their jobs and runs; return how many runs and servers.

    Accounts and settings are kept.
    """
    run_count = sum(delete_oldest_runs(job_id) for job_id in _read_ids(select(Job.id)))
    with writing() as session:
        # Runs that arrived meanwhile are deleted as well.
        run_count += session.scalar(select(func.count()).select_from(Run)) or 0
        server_count = session.scalar(select(func.count()).select_from(Server)) or 0
        session.execute(delete(Server), execution_options={"synchronize_session": False})
        session.expire_all()
        _record_cleanup(actor, now, retentionPeriod=EVERYTHING, backupChanges=run_count, serverChanges=server_count)
    return run_count, server_count


def delete_runs_of_job(server_id: str, job_name: str, *, actor: Actor, now: datetime) -> tuple[int, str]:
    """Delete all runs of a job; return how many, and the display name of its server.

    The settings of the job are kept. Raises Refused (404) if there are none.
    """
    wanted = select(Job).where(Job.server_id == server_id, Job.name == job_name, Job.run_count > 0)
    job = db.session.scalars(wanted.execution_options(populate_existing=True)).one_or_none()
    if job is None:
        raise Refused("no_runs_of_job", job=job_name)
    server_name = job.server.display_name
    newest = db.session.scalar(select(func.max(Run.row_id)).where(Run.job_id == job.id)) or 0
    count = delete_oldest_runs(job.id, Run.row_id <= newest)
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


def delete_runs_of_server(server_id: str) -> int:
    """Delete all runs of a server before it is deleted; return how many."""
    return sum(delete_oldest_runs(job_id) for job_id in _read_ids(select(Job.id).where(Job.server_id == server_id)))


def delete_oldest_runs(
    job_id: int, *conditions: ColumnElement[bool], excess: Callable[[Job], int] | None = None
) -> int:
    """Delete the runs of a job that match the conditions, oldest first.

    Return how many.

    `excess` limits their number for the job; it is evaluated for each batch.
    """

    def delete_some() -> int:
        with writing() as session:
            # Locked first, so that no report adds to statistics that are being recomputed.
            job = session.get(Job, job_id, with_for_update=True, populate_existing=True)
            limit = min(RUNS_AT_ONCE, excess(job)) if job and excess else RUNS_AT_ONCE
            if job is None or limit <= 0:
                return 0
            oldest = select(Run.row_id, Run.began_at, Run.uploaded_bytes).where(Run.job_id == job_id, *conditions)
            removed = session.execute(oldest.order_by(Run.began_at).limit(limit)).all()
            if removed:
                gone = Run.row_id.in_([row.row_id for row in removed])
                session.execute(delete(Run).where(gone), execution_options={"synchronize_session": False})
                job_stats.subtract_runs(session, job, removed)
                _follow_deletion(job, removed[-1].began_at)
            return len(removed)

    return run_in_batches(delete_some)


def _follow_deletion(job: Job, newest_began_at: datetime) -> None:
    """Update a job after a deletion; `newest_began_at` is of the newest deleted run."""
    if job.run_count:
        next_run.relearn(job, job.server)
        next_run.recalculate_next_run(job)
        return
    # wire: the settings keep the newest run and the expected time; incidents of deleted runs are cleared
    job.deleted_began_at = newest_began_at
    job.announced_next_at = job.overdue_alerted_at = None
    job.trouble_kind = job.trouble_since_at = None
    job.full_notified_days = job.running_since_at = job.collected_error = job.collected_error_at = None
    if not next_run.is_accepted(job):
        job.learned_schedule = None
    job.anomalies = []


def _read_ids(statement: Any) -> list[int]:
    ids = list(db.session.scalars(statement))
    db.session.commit()  # ends the snapshot before writing
    return ids


def _record_cleanup(actor: Actor, now: datetime, **details: object) -> None:
    record_entry("cleanup_executed", "system", now=now, actor=actor, details=details)
