"""Keeps the figures of a job true: newest run, counts, the strip of recent statuses, and the sums of each day."""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, case, delete, func, select
from sqlalchemy.orm import Session

from app.domain.statuses import STRIP_LENGTH, severity_of, strip_letter
from app.models import Job, JobDay, Run
from app.models.runs import MILLISECONDS_A_DAY
from app.models.types import AnyRow, to_milliseconds
from app.services.transaction import insert_for

DAYS = JobDay.__table__
LAST_FIGURES = {
    "last_run_id": "id",
    "last_began_at": "began_at",
    "last_received_at": "received_at",
    "last_status": "status",
    "last_duration_s": "duration_s",
    "last_examined_files": "examined_files",
    "last_examined_bytes": "examined_bytes",
    "last_uploaded_bytes": "uploaded_bytes",
    "last_storage_bytes": "storage_bytes",
    "last_version_count": "version_count",
    "last_message_count": "message_count",
    "last_warning_count": "warning_count",
    "last_error_count": "error_count",
    "last_duplicati_version": "duplicati_version",
    "last_available_versions": "available_versions",
}

FIGURES = ("run_count", "total_uploaded_bytes", "recent_statuses", "duplicati_id", *LAST_FIGURES)


def day_of(instant: datetime) -> int:
    """Days since 1970 of an instant's UTC day."""
    return to_milliseconds(instant) // MILLISECONDS_A_DAY


def add_run(session: Session, job: Job, run: dict[str, Any]) -> None:
    """Take a run that was just stored into the figures of its job. `run` holds the columns of `Run` by name.

    `job` may be any object with the attributes of `Job`; those named by `FIGURES` may change.
    """
    is_newest = job.last_began_at is None or run["began_at"] >= job.last_began_at
    job.run_count += 1
    job.total_uploaded_bytes += run["uploaded_bytes"]
    if is_newest:
        for figure, column in LAST_FIGURES.items():
            setattr(job, figure, run[column])
        job.duplicati_id = run["duplicati_id"]
        job.recent_statuses = (job.recent_statuses + strip_letter(run["status"]))[-STRIP_LENGTH:]
    else:
        job.recent_statuses = _recent_statuses(session, job.id)
    _add_to_day(session.connection(), job.id, run)


def recompute(session: Session, job: Job) -> None:
    """Work out all figures of a job anew from its runs, after some were deleted or moved."""
    job.run_count, uploaded = session.execute(
        select(func.count(), func.coalesce(func.sum(Run.uploaded_bytes), 0)).where(Run.job_id == job.id)
    ).one()
    job.total_uploaded_bytes = int(uploaded)
    job.recent_statuses = _recent_statuses(session, job.id)
    newest = session.scalars(select(Run).where(Run.job_id == job.id).order_by(Run.began_at.desc()).limit(1)).first()
    for figure, column in LAST_FIGURES.items():
        setattr(job, figure, getattr(newest, column) if newest else _empty(figure))
    if newest:
        job.duplicati_id = newest.duplicati_id
    _recompute_days(session, job.id)


def _empty(figure: str) -> Any:
    return None if figure.endswith(("_id", "_at", "_status", "_version", "_versions")) else 0


def _recent_statuses(session: Session, job_id: int) -> str:
    newest_first = session.scalars(
        select(Run.status).where(Run.job_id == job_id).order_by(Run.began_at.desc()).limit(STRIP_LENGTH)
    )
    return "".join(strip_letter(status) for status in newest_first)[::-1]


def _add_to_day(connection: Connection, job_id: int, run: dict[str, Any]) -> None:
    connection.execute(_upsert_day(connection.dialect.name), _day_of_runs(job_id, [run]))


@cache
def _upsert_day(dialect: str) -> Any:
    statement = insert_for(dialect)(DAYS)
    new, old = statement.excluded, DAYS.c
    is_later = new.last_began_at >= old.last_began_at
    return statement.on_conflict_do_update(
        index_elements=["job_id", "day"],
        set_={
            **{
                name: old[name] + new[name]
                for name in (
                    "run_count",
                    "success_count",
                    "uploaded_bytes",
                    "duration_s",
                    "examined_files",
                    "examined_bytes",
                )
            },
            **{
                name: case((is_later, new[name]), else_=old[name])
                for name in ("last_began_at", "last_storage_bytes", "last_version_count")
            },
            "worst_status": case((new.worst_status > old.worst_status, new.worst_status), else_=old.worst_status),
        },
    )


def _recompute_days(session: Session, job_id: int) -> None:
    connection = session.connection()
    connection.execute(delete(DAYS).where(DAYS.c.job_id == job_id))
    columns = (
        Run.began_at,
        Run.status,
        Run.uploaded_bytes,
        Run.duration_s,
        Run.examined_files,
        Run.examined_bytes,
        Run.storage_bytes,
        Run.version_count,
    )
    rows = session.execute(select(*columns).where(Run.job_id == job_id).order_by(Run.began_at))
    days: dict[int, list[AnyRow]] = {}
    for row in rows:
        days.setdefault(day_of(row.began_at), []).append(row)
    if days:
        values = [_day_of_runs(job_id, [row._asdict() for row in runs]) for runs in days.values()]
        connection.execute(DAYS.insert(), values)


def _day_of_runs(job_id: int, runs: list[dict[str, Any]]) -> dict[str, Any]:
    last = runs[-1]
    return {
        "job_id": job_id,
        "day": day_of(last["began_at"]),
        "run_count": len(runs),
        "success_count": sum(run["status"] == "Success" for run in runs),
        "uploaded_bytes": sum(run["uploaded_bytes"] for run in runs),
        "duration_s": sum(run["duration_s"] for run in runs),
        "examined_files": sum(run["examined_files"] for run in runs),
        "examined_bytes": sum(run["examined_bytes"] for run in runs),
        "last_began_at": last["began_at"],
        "last_storage_bytes": last["storage_bytes"],
        "last_version_count": last["version_count"],
        "worst_status": max(severity_of(run["status"]) for run in runs),
    }
