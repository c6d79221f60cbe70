"""A report becomes a stored run: run, log, job figures, next expected time, audit and outbox in one transaction."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.orm import Session

from app.contracts.errors import Conflict
from app.domain.instants import iso
from app.domain.logs import pack_log_quickly
from app.domain.reports import Report
from app.models import AuditEntry, Job, Run, RunLog, Server
from app.services import figures, outbox, planning
from app.services.audit import Actor
from app.services.transaction import insert_for, writing

SERVERS, JOBS = Server.__table__, Job.__table__
RUNS, LOGS, AUDIT = Run.__table__, RunLog.__table__, AuditEntry.__table__
# Built once: making a statement costs as much as running it.
INSERT_LOG, INSERT_AUDIT = LOGS.insert(), AUDIT.insert()
FIND_SERVER = select(*SERVERS.c).where(SERVERS.c.id == bindparam("server_id"))
FIND_JOB = (
    select(*JOBS.c)
    .where(JOBS.c.server_id == bindparam("server_id"), JOBS.c.name == bindparam("job_name"))
    .with_for_update()
)
UPDATE_JOB = JOBS.update().where(JOBS.c.id == bindparam("row_id"))
FOLLOWS = (*figures.FIGURES, *planning.PLAN)  # what a run changes of its job
REPORTED = tuple(
    column.name for column in RUNS.columns if column.name in {field.name for field in fields(Report)}
)  # the columns of a run that its report fills under the same name
_reported_values: Callable[[Report], tuple[Any, ...]] = attrgetter(*REPORTED)


class DuplicateReport(Conflict):
    """This run is stored already; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("ignored, duplicated data")


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run that was just stored, with the rows of its server and job: plain objects with the names of the models."""

    run_id: str
    server: Any
    job: Any


def ingest_report(report: Report, *, now: datetime, actor: Actor) -> str:
    """Store a run and everything that follows from it; returns the run's id once it is committed.

    Unknown servers and jobs come into being. Raises DuplicateReport when the job has a run that began at the same
    millisecond, also when both arrive at once.
    """
    with writing(is_small=True) as session:
        stored = store_run(session, report, now)
        server, job = stored.server, stored.job
        session.connection().execute(INSERT_AUDIT, _audit_values(report, stored.run_id, now, actor))
        queued = 0
        if outbox.has_to_tell(server, job, report, now):
            full_server, full_job = session.get_one(Server, server.id), session.get_one(Job, job.id)
            queued = outbox.queue_run_messages(session, full_server, full_job, report, stored.run_id, now)
    if queued:
        outbox.queued.send()
    return stored.run_id


def store_run(session: Session, report: Report, now: datetime) -> StoredRun:
    """Store a run with its log, and move its job on, within the transaction of the caller; tells nobody.

    Raises as `ingest_report`; the transaction goes on after a duplicate.
    """
    run_id = str(uuid.uuid4())
    packed = pack_log_quickly(report.messages, report.warnings, report.errors)
    connection = session.connection()
    server, job = _server_and_job(connection, report, now)
    values = dict(zip(REPORTED, _reported_values(report), strict=True))
    values |= {"id": run_id, "job_id": job.id, "received_at": now}
    row_id = connection.scalar(_insert_new(connection.dialect.name), values)
    if row_id is None:
        raise DuplicateReport
    connection.execute(INSERT_LOG, {"run_row_id": row_id, "packed": packed})
    figures.add_run(session, job, values)
    planning.follow_report(job, report)
    connection.execute(UPDATE_JOB, {"row_id": job.id} | {name: getattr(job, name) for name in FOLLOWS})
    session.expire_all()  # mapped objects that somebody holds do not know of it
    return StoredRun(run_id, server, job)


def _server_and_job(connection: Connection, report: Report, now: datetime) -> tuple[Any, Any]:
    """Both rows, as plain objects with the names of their models; made when this is their first report.

    Mapped objects would be more at home here, and took a quarter of the time of an upload.
    """
    names = {"server_id": report.server_id, "job_name": report.job_name}
    server, job = connection.execute(FIND_SERVER, names).first(), connection.execute(FIND_JOB, names).first()
    if server is None or job is None:
        # Two first reports may arrive at once: whoever comes second finds what the other made.
        insert = insert_for(connection.dialect.name)
        new_server = {"id": report.server_id, "name": report.server_name, "created_at": now}
        connection.execute(insert(SERVERS).values(new_server).on_conflict_do_nothing())
        new_job = {"server_id": report.server_id, "name": report.job_name, "created_at": now}
        # Nobody expects a restore every day.
        new_job |= {"operation": report.main_operation, "is_overdue_check_enabled": report.is_backup}
        connection.execute(insert(JOBS).values(new_job).on_conflict_do_nothing())
        server, job = connection.execute(FIND_SERVER, names).one(), connection.execute(FIND_JOB, names).one()
    return SimpleNamespace(**server._mapping), SimpleNamespace(**job._mapping)


@cache
def _insert_new(dialect: str) -> Any:
    """Insert a run, or nothing at all when the job has one of that moment; gives the row's number."""
    return insert_for(dialect)(RUNS).on_conflict_do_nothing().returning(RUNS.c.row_id)


def _audit_values(report: Report, run_id: str, now: datetime, actor: Actor) -> dict[str, Any]:
    return {
        "at": now,
        "username": actor.username,
        "action": "backup_upload",
        "category": "backup",
        "status": "success",
        "target_type": "backup",
        "target_id": run_id,
        "ip_address": actor.ip_address,
        "user_agent": actor.user_agent,
        "details": {
            "server_id": report.server_id,
            "server_name": report.server_name,
            "backup_name": report.job_name,
            "backup_id": report.duplicati_id,
            "status": report.status,
            "date": iso(report.began_at),
            "duration_seconds": report.duration_s,
            "size": report.examined_bytes,
            "uploaded_size": report.uploaded_bytes,
            "examined_files": report.examined_files,
            "warnings": report.warning_count,
            "errors": report.error_count,
        },
    }
