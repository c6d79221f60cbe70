"""Denormalised statistics of jobs: newest run, counts, anomalies, sums per day.

Kept with the job, so that the dashboard reads one row per job. They are updated with each run that is added, changed or
deleted.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, case, delete, func, select, update
from sqlalchemy.orm import Session

from app.backups.models import Job, JobDay, Run
from app.core.db.orm import TIME_SIZE, AnyRow, add_time, insert_for, pack_times
from app.core.instants import MILLISECONDS_A_DAY, day_of, from_milliseconds
from app.insight import insight
from app.insight.forecasts import DAYS_IN_WEEK
from app.reports.decoding import LARGEST_LONG
from app.reports.outcomes import (
    BAR_LENGTH,
    SUCCESS,
    UNSAVED,
    add_packed,
    pack_runs,
    recent_runs,
    severity_of,
    status_letter,
)
from app.reports.parser import NO_FIGURES, Figure

DAYS = JobDay.__table__
# If a job never reports a list, the newest are stored.
MOST_VERSIONS = 1_000
# Columns of `Job` for the newest run, and those of `Run` they are copied from.
NEWEST_COLUMNS = {
    "last_run_id": "id",
    "last_began_at": "began_at",
    "last_reported_began_at": "reported_began_at",
    "last_received_at": "received_at",
    "last_status": "status",
    "last_outcome": "outcome",
    "last_broken_off_at": "broken_off_at",
    "last_duration_s": "duration_s",
    "last_message_count": "message_count",
    "last_warning_count": "warning_count",
    "last_error_count": "error_count",
    "last_duplicati_version": "duplicati_version",
}
# The same for the newest run that decides the state of the job.
STATE_COLUMNS = {
    "state_run_id": "id",
    "state_began_at": "began_at",
    "state_status": "status",
    "state_outcome": "outcome",
    "state_duration_s": "duration_s",
    "state_warning_count": "warning_count",
    "state_error_count": "error_count",
}
# Values that remain if a run lacks them.
LASTING_COLUMNS: dict[Figure, dict[str, str]] = {
    Figure.FILES: {"last_examined_files": "examined_files", "last_examined_bytes": "examined_bytes"},
    Figure.STORAGE: {"last_storage_bytes": "storage_bytes"},
    Figure.VERSION_COUNT: {"last_version_count": "version_count"},
    Figure.VERSION_LIST: {"last_available_versions": "available_versions"},
    Figure.UPLOADED: {"last_uploaded_bytes": "uploaded_bytes"},
    Figure.QUOTA: {"last_quota_total_bytes": "quota_total_bytes", "last_quota_free_bytes": "quota_free_bytes"},
}
# Columns of a run that `recent_runs` packs, in its order.
RECENT_COLUMNS = (
    Run.began_at,
    Run.status,
    Run.duration_s,
    Run.examined_files,
    Run.examined_bytes,
    Run.uploaded_bytes,
    Run.outcome,
    Run.broken_off_at,
    Run.modified_files,
    Run.deleted_files,
    Run.not_told,
)

STATISTICS = (
    "run_count",
    "total_uploaded_bytes",
    "recent_statuses",
    "recent_runs",
    "anomalies",
    "growth_bytes",
    "duplicati_id",
    "has_mixed_ids",
    "packed_versions",
    "unread_versions",
    "not_told",
    "versions_collected_at",
    *NEWEST_COLUMNS,
    *STATE_COLUMNS,
    *(name for figures in LASTING_COLUMNS.values() for name in figures),
)


# Values that days and charts repeat for runs that lack them.
CARRIED: dict[Figure, tuple[str, ...]] = {
    Figure.STORAGE: ("storage_bytes",),
    Figure.VERSION_COUNT: ("version_count",),
    Figure.FILES: ("examined_files", "examined_bytes"),
}


class KnownFigures(NamedTuple):
    """The known values of a job at a time, from the newest run with each; 0 if none."""

    storage_bytes: int = 0
    version_count: int = 0
    examined_files: int = 0
    examined_bytes: int = 0

    def after(self, not_told: int, run: Mapping[str, Any]) -> "KnownFigures":
        """Return the values after a run; `not_told` are the bits of `Figure` it lacks."""
        known = (names for figure, names in CARRIED.items() if not not_told & figure)
        return self._replace(**{name: run[name] for names in known for name in names})


def week_of(instant: datetime) -> int:
    """Return the whole weeks since 1970 of an instant."""
    return day_of(instant) // DAYS_IN_WEEK


def add_run(session: Session, job: Job, run: dict[str, Any]) -> None:
    """Add a run that was just stored to the statistics of its job.

    `run` has the columns of `Run` by name. `job` may be any object with the attributes of `Job`; those named by
    `STATISTICS` may change.
    """
    is_newest = job.last_began_at is None or run["began_at"] >= job.last_began_at
    job.run_count += 1
    job.total_uploaded_bytes = min(job.total_uploaded_bytes + run["uploaded_bytes"], LARGEST_LONG)
    is_listed = not run["not_told"] & Figure.VERSION_LIST
    if is_listed and not _has_collected_versions(job, run["began_at"]):
        job.versions_collected_at = None  # the list of the run replaces the collected one
    job.not_told &= run["not_told"]
    is_new_week = job.last_began_at is None or week_of(run["began_at"]) != week_of(job.last_began_at)
    if run["outcome"] not in UNSAVED and (job.state_began_at is None or run["began_at"] >= job.state_began_at):
        _copy(job, run, STATE_COLUMNS)
    if is_newest:
        _copy(job, run, NEWEST_COLUMNS)
        for figure, columns in LASTING_COLUMNS.items():
            if not run["not_told"] & figure:
                _copy(job, run, columns)
        job.packed_versions = _versions_after(job.packed_versions or b"", run)
        if _has_list(run):
            job.unread_versions = run["unread_versions"]
        _follow_id(session, job, run["duplicati_id"])
        job.recent_statuses = (job.recent_statuses + status_letter(run["status"]))[-BAR_LENGTH:]
        job.recent_runs = add_packed(job.recent_runs, recent_runs(*(run[column.key] for column in RECENT_COLUMNS)))
        job.anomalies = insight.anomalies_of(job.recent_runs, job.anomalies)
        known = (job.last_storage_bytes, job.last_version_count, job.last_examined_files, job.last_examined_bytes)
        _add_to_day(session.connection(), job.id, run, KnownFigures(*known))
    else:
        _read_recent(session, job)
        newest_not_told = session.scalar(select(Run.not_told).where(Run.id == job.last_run_id)) or 0
        # Values that the newest run lacks may come from this run.
        _recompute_known(session, job, Figure(newest_not_told & ~run["not_told"]))
        if newest_not_told & run["not_told"] & Figure.VERSION_LIST:
            _read_versions(session, job)
        day = day_of(run["began_at"])
        _recompute_days(session, job.id, (day, day))
    if is_newest and is_new_week:
        job.growth_bytes = insight.growth_of(session, job.id)


def _copy(job: Job, run: Mapping[str, Any], figures: Mapping[str, str]) -> None:
    for figure, column in figures.items():
        setattr(job, figure, run[column])


def _versions_after(before: bytes, run: Mapping[str, Any]) -> bytes:
    """Return the packed versions after a run: its list and the version it saved.

    Without a list: the versions known before, and the new one.
    """
    is_listed = not run["not_told"] & Figure.VERSION_LIST
    versions = pack_times(run["available_versions"] or ()) if is_listed else before[: MOST_VERSIONS * TIME_SIZE]
    return versions if run["version_at"] is None else add_time(versions, run["version_at"])


def _has_list(run: Mapping[str, Any]) -> bool:
    """Return whether the log of a run has a list of versions, even an unreadable one."""
    return bool(not run["not_told"] & Figure.VERSION_LIST or run["unread_versions"])


def _follow_id(session: Session, job: Job, duplicati_id: str) -> None:
    """Store the backup-id, and detect two that alternate under one job name."""
    if job.duplicati_id and duplicati_id and duplicati_id != job.duplicati_id and not job.has_mixed_ids:
        seen = select(Run.row_id).where(Run.job_id == job.id, Run.duplicati_id == duplicati_id)
        job.has_mixed_ids = len(session.scalars(seen.limit(2)).all()) > 1  # the run itself is one
    job.duplicati_id = duplicati_id


def recompute(session: Session, job: Job) -> None:
    """Recompute all statistics of a job from its runs, after deletions or moves."""
    job.run_count, uploaded = session.execute(
        select(func.count(), func.coalesce(func.sum(Run.uploaded_bytes), 0)).where(Run.job_id == job.id)
    ).one()
    job.total_uploaded_bytes = int(uploaded)
    _refresh_newest(session, job)
    _recompute_days(session, job.id)
    job.growth_bytes = insight.growth_of(session, job.id)


def apply_change(session: Session, job: Job, before: AnyRow, after: Mapping[str, Any]) -> None:
    """Update the statistics of a job after a change of one run.

    `after` has the changed columns by name.
    """
    total = job.total_uploaded_bytes + after["uploaded_bytes"] - before.uploaded_bytes
    job.total_uploaded_bytes = min(total, LARGEST_LONG)
    _refresh_newest(session, job)
    days = (day_of(before.began_at), day_of(after["began_at"]))
    _recompute_days(session, job.id, (min(days), max(days)))


def subtract_runs(session: Session, job: Job, removed: Sequence[AnyRow]) -> None:
    """Remove runs that were just deleted from the statistics of their job.

    The cost depends on these runs only. `removed` has the start and the uploaded bytes of each.
    """
    job.run_count -= len(removed)
    job.total_uploaded_bytes -= sum(row.uploaded_bytes for row in removed)
    _refresh_newest(session, job)
    days = [day_of(row.began_at) for row in removed]
    if days:
        _recompute_days(session, job.id, (min(days), max(days)))


def _refresh_newest(session: Session, job: Job) -> None:
    _read_recent(session, job)
    newest_first = select(Run).where(Run.job_id == job.id).order_by(Run.began_at.desc()).limit(1)
    # Loaded runs may have been changed by a statement.
    newest_first = newest_first.execution_options(populate_existing=True)
    newest = session.scalars(newest_first).first()
    deciding = session.scalars(newest_first.where(Run.outcome.not_in(UNSAVED))).first()
    for run, figures in ((newest, NEWEST_COLUMNS), (deciding, STATE_COLUMNS)):
        for figure, column in figures.items():
            setattr(job, figure, getattr(run, column) if run else _empty(figure))
    _recompute_known(session, job)
    if newest:
        job.duplicati_id = newest.duplicati_id
    if job.has_mixed_ids:
        ids = select(Run.duplicati_id).where(Run.job_id == job.id, Run.duplicati_id != "").distinct()
        job.has_mixed_ids = len(session.scalars(ids.limit(2)).all()) > 1


def _empty(figure: str) -> Any:
    if figure.endswith("_outcome"):
        return ""
    is_counted = not figure.endswith(("_id", "_at", "_status", "_version", "_versions")) and "quota" not in figure
    return 0 if is_counted else None


def _recompute_known(session: Session, job: Job, wanted: Figure = NO_FIGURES) -> None:
    """Recompute files, storage, quota, versions, each from the newest run with it."""
    for figure, columns in LASTING_COLUMNS.items():
        if not figure & wanted:
            continue
        row = _newest_with(session, job.id, figure, (*columns.values(), "began_at"))
        if figure == Figure.VERSION_LIST and _has_collected_versions(job, row.began_at if row else None):
            continue
        for index, name in enumerate(columns):
            setattr(job, name, row[index] if row else _empty(name))
        job.not_told = job.not_told & ~figure if row is not None else job.not_told | figure
    if wanted & Figure.VERSION_LIST:
        _read_versions(session, job)


def _read_versions(session: Session, job: Job) -> None:
    """Recompute the versions of a job: its newest list, and the runs after that."""
    columns = (Run.version_at, Run.available_versions, Run.not_told, Run.unread_versions)
    runs = select(*columns).where(Run.job_id == job.id)
    last = _newest_with(session, job.id, Figure.VERSION_LIST, ("began_at",))
    since = runs if last is None else runs.where(Run.began_at >= last.began_at)
    versions, unread = b"", 0
    if _has_collected_versions(job, last.began_at if last else None):
        since, versions = runs.where(Run.began_at > job.versions_collected_at), job.packed_versions or b""
    elif last is not None:
        job.versions_collected_at = None  # as when such a run is added
    for row in session.execute(since.order_by(Run.began_at)):
        run = row._asdict()
        versions = _versions_after(versions, run)
        unread = run["unread_versions"] if _has_list(run) else unread
    job.packed_versions, job.unread_versions = versions, unread


def newest_lists_versions(session: Session, job_id: int) -> bool:
    """Return whether the job's newest run that saved data has a list of versions."""
    newest = select(Run.not_told).where(Run.job_id == job_id, Run.outcome.not_in(UNSAVED))
    not_told = session.scalar(newest.order_by(Run.began_at.desc()).limit(1))
    return not_told is not None and not not_told & Figure.VERSION_LIST


def set_collected_versions(session: Session, job: Job, versions: tuple[str, ...]) -> None:
    """Store the versions that the job's server lists, newest first.

    Only if its newest run lacks them.
    """
    job.packed_versions, job.unread_versions = pack_times(versions), 0
    job.last_available_versions = versions
    job.not_told &= ~Figure.VERSION_LIST
    is_open = Run.not_told.op("&")(int(Figure.VERSION_LIST)) != 0
    # wire: the API returns them as the newest run's. The run itself still counts as without a list.
    newest = update(Run).where(Run.id == job.last_run_id, is_open).values(available_versions=versions)
    session.execute(newest.execution_options(synchronize_session=False))


def _has_collected_versions(job: Job, listed_at: datetime | None) -> bool:
    """Return whether the versions of a job are those that its server listed.

    These remain when runs are deleted. `listed_at` is the start of the newest run with a list.
    """
    if job.versions_collected_at is None or job.not_told & Figure.VERSION_LIST:
        return False
    return listed_at is None or listed_at < job.versions_collected_at


def _has_figures(figures: int) -> ColumnElement[bool]:
    """Return the condition that a run has all of some figures, given as bits."""
    return Run.not_told.op("&")(int(figures)) == 0


def _newest_with(
    session: Session, job_id: int, figure: Figure, names: Iterable[str], *conditions: ColumnElement[bool]
) -> AnyRow | None:
    """Return columns of the newest run of a job that has a figure; None if none has."""
    query = select(*(getattr(Run, name) for name in names)).where(
        Run.job_id == job_id, _has_figures(figure), *conditions
    )
    return session.execute(query.order_by(Run.began_at.desc()).limit(1)).first()


def known_before(session: Session, job_id: int, moment: datetime) -> KnownFigures:
    """Return the values known before a time; 0 if unknown."""
    found: dict[str, int] = {}
    for figure, names in CARRIED.items():
        row = _newest_with(session, job_id, figure, names, Run.began_at < moment)
        found |= dict(zip(names, row or (0,) * len(names), strict=True))
    return KnownFigures(**found)


def _read_recent(session: Session, job: Job) -> None:
    newest_first = select(*RECENT_COLUMNS).where(Run.job_id == job.id).order_by(Run.began_at.desc())
    rows = session.execute(newest_first.limit(BAR_LENGTH)).all()[::-1]
    job.recent_statuses = "".join(status_letter(row.status) for row in rows)
    job.recent_runs = pack_runs([run for row in rows for run in recent_runs(*row)]) or None
    job.anomalies = insight.anomalies_of(job.recent_runs, job.anomalies)


def _add_to_day(connection: Connection, job_id: int, run: dict[str, Any], known: KnownFigures) -> None:
    values, _ = _day_of_runs(job_id, [run], known)
    connection.execute(_upsert_day(connection.dialect.name), values)


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
    """Recompute the sums of all days of a job, or of a span from first to last day.

    Days after the span are included as far as they repeat its values.
    """
    connection = session.connection()
    is_meant, is_within = [DAYS.c.job_id == job_id], [Run.job_id == job_id]
    begin = from_milliseconds(0)
    if span is not None:
        span = span[0], _last_carrying_day(session, job_id, span[1])
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
        Run.not_told,
        Run.outcome,
    )
    rows = session.execute(select(*columns).where(*is_within).order_by(Run.began_at))
    days: dict[int, list[AnyRow]] = {}
    for row in rows:
        days.setdefault(day_of(row.began_at), []).append(row)
    known = known_before(session, job_id, begin) if span is not None else KnownFigures()
    values = []
    for runs in days.values():
        day, known = _day_of_runs(job_id, [row._asdict() for row in runs], known)
        values.append(day)
    if values:
        connection.execute(DAYS.insert(), values)


def _last_carrying_day(session: Session, job_id: int, day: int) -> int:
    """Return the last day that repeats a day's values: that of the next run with all."""
    later = (Run.job_id == job_id, Run.began_at >= from_milliseconds((day + 1) * MILLISECONDS_A_DAY))
    next_at = session.scalar(select(func.min(Run.began_at)).where(*later, _has_figures(sum(CARRIED))))
    if next_at is None:
        next_at = session.scalar(select(func.max(Run.began_at)).where(*later))
    return day if next_at is None else day_of(next_at)


def _day_of_runs(
    job_id: int, runs: Sequence[Mapping[str, Any]], known: KnownFigures
) -> tuple[dict[str, Any], KnownFigures]:
    """Return the row of a day, and the values known after it.

    `known` are the values known before.
    """
    files = size = 0
    for run in runs:
        known = known.after(run["not_told"], run)
        files, size = files + known.examined_files, size + known.examined_bytes
    last, counting = runs[-1], [run for run in runs if run["outcome"] not in UNSAVED]
    return {
        "job_id": job_id,
        "day": day_of(last["began_at"]),
        "run_count": len(counting),
        "success_count": sum(run["status"] == SUCCESS for run in counting),
        "uploaded_bytes": sum(run["uploaded_bytes"] for run in runs),
        "duration_s": sum(run["duration_s"] for run in runs),
        "examined_files": files,
        "examined_bytes": size,
        "last_began_at": last["began_at"],
        "last_storage_bytes": known.storage_bytes,
        "last_version_count": known.version_count,
        "worst_status": max((severity_of(run["status"]) for run in counting), default=0),
    }, known
