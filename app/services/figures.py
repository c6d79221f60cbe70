"""Keeps the figures of a job true: newest run, counts, recent runs and what is odd in them, the sums of each day."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, case, delete, func, select
from sqlalchemy.orm import Session

from app.domain.forecasts import DAYS_IN_WEEK
from app.domain.recent_runs import add_packed, pack_runs, recent_run
from app.domain.statuses import STRIP_LENGTH, severity_of, strip_letter
from app.models import Job, JobDay, Run
from app.models.runs import MILLISECONDS_A_DAY
from app.models.types import AnyRow, from_milliseconds, to_milliseconds
from app.services import insight
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
    "last_quota_total_bytes": "quota_total_bytes",
    "last_quota_free_bytes": "quota_free_bytes",
}
# What a run keeps among the recent ones, in the order of `recent_run`.
RECENT_COLUMNS = (
    Run.began_at,
    Run.status,
    Run.duration_s,
    Run.examined_files,
    Run.examined_bytes,
    Run.uploaded_bytes,
)

FIGURES = (
    "run_count",
    "total_uploaded_bytes",
    "recent_statuses",
    "recent_runs",
    "anomalies",
    "growth_bytes",
    "duplicati_id",
    *LAST_FIGURES,
)


def day_of(instant: datetime) -> int:
    """Days since 1970 of an instant's UTC day."""
    return to_milliseconds(instant) // MILLISECONDS_A_DAY


def week_of(instant: datetime) -> int:
    """Whole weeks since 1970 of an instant."""
    return day_of(instant) // DAYS_IN_WEEK


def add_run(session: Session, job: Job, run: dict[str, Any]) -> None:
    """Take a run that was just stored into the figures of its job. `run` holds the columns of `Run` by name.

    `job` may be any object with the attributes of `Job`; those named by `FIGURES` may change.
    """
    is_newest = job.last_began_at is None or run["began_at"] >= job.last_began_at
    job.run_count += 1
    job.total_uploaded_bytes += run["uploaded_bytes"]
    is_new_week = job.last_began_at is None or week_of(run["began_at"]) != week_of(job.last_began_at)
    if is_newest:
        for figure, column in LAST_FIGURES.items():
            setattr(job, figure, run[column])
        job.duplicati_id = run["duplicati_id"]
        job.recent_statuses = (job.recent_statuses + strip_letter(run["status"]))[-STRIP_LENGTH:]
        job.recent_runs = add_packed(job.recent_runs, recent_run(*(run[column.key] for column in RECENT_COLUMNS)))
        job.anomalies = insight.anomalies_of(job.recent_runs)
    else:
        _read_recent(session, job)
    _add_to_day(session.connection(), job.id, run)
    if is_newest and is_new_week:
        job.growth_bytes = insight.growth_of(session, job.id)


def recompute(session: Session, job: Job) -> None:
    """Work out all figures of a job anew from its runs, after some were deleted or moved."""
    job.run_count, uploaded = session.execute(
        select(func.count(), func.coalesce(func.sum(Run.uploaded_bytes), 0)).where(Run.job_id == job.id)
    ).one()
    job.total_uploaded_bytes = int(uploaded)
    _look_at_newest(session, job)
    _recompute_days(session, job.id)
    job.growth_bytes = insight.growth_of(session, job.id)


def take_off(session: Session, job: Job, removed: Sequence[AnyRow]) -> None:
    """Take runs that were just deleted out of the figures of their job, at the cost of those runs alone.

    Each of `removed` tells when its run began and how much it uploaded.
    """
    job.run_count -= len(removed)
    job.total_uploaded_bytes -= sum(row.uploaded_bytes for row in removed)
    _look_at_newest(session, job)
    days = [day_of(row.began_at) for row in removed]
    if days:
        _recompute_days(session, job.id, (min(days), max(days)))


def _look_at_newest(session: Session, job: Job) -> None:
    _read_recent(session, job)
    newest = session.scalars(select(Run).where(Run.job_id == job.id).order_by(Run.began_at.desc()).limit(1)).first()
    for figure, column in LAST_FIGURES.items():
        setattr(job, figure, getattr(newest, column) if newest else _empty(figure))
    if newest:
        job.duplicati_id = newest.duplicati_id


def _empty(figure: str) -> Any:
    is_counted = not figure.endswith(("_id", "_at", "_status", "_version", "_versions")) and "quota" not in figure
    return 0 if is_counted else None


def _read_recent(session: Session, job: Job) -> None:
    newest_first = select(*RECENT_COLUMNS).where(Run.job_id == job.id).order_by(Run.began_at.desc())
    runs = [recent_run(*row) for row in session.execute(newest_first.limit(STRIP_LENGTH))][::-1]
    job.recent_statuses = "".join(run.letter for run in runs)
    job.recent_runs = pack_runs(runs) or None
    job.anomalies = insight.anomalies_of(job.recent_runs)


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


def _recompute_days(session: Session, job_id: int, span: tuple[int, int] | None = None) -> None:
    """Work out the sums of a job's days anew: of all of them, or from the first of a span to its last."""
    connection = session.connection()
    is_meant, is_within = [DAYS.c.job_id == job_id], [Run.job_id == job_id]
    if span is not None:
        begin, end = (from_milliseconds(day * MILLISECONDS_A_DAY) for day in (span[0], span[1] + 1))
        is_meant.append(DAYS.c.day.between(*span))
        is_within += [Run.began_at >= begin, Run.began_at < end]
    connection.execute(delete(DAYS).where(*is_meant))
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
    rows = session.execute(select(*columns).where(*is_within).order_by(Run.began_at))
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
