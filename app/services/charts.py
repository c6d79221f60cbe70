"""Numbers over time: per run and per day. Series of the registered providers are in `chart_series`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from sqlalchemy import func, select

from app import contracts
from app.domain.instants import from_milliseconds
from app.extensions import db
from app.models import Job, JobDay, Run
from app.models.runs import MILLISECONDS_A_DAY
from app.models.types import AnyRow, AnySelect
from app.services.figures import CARRIED, KnownFigures, day_of, known_before

RUN_POINTS = 2000
CARRIED_BITS = sum(CARRIED)
NOTHING = KnownFigures()
EPOCH_DAY = date(1970, 1, 1)

RUN_COLUMNS = tuple(getattr(Run, field.name) for field in fields(contracts.Run) if hasattr(Run, field.name))
# The figures of a point, and what tells which of them are carried on.
POINT_COLUMNS = (
    Run.began_at,
    Run.duration_s,
    Run.uploaded_bytes,
    Run.examined_files,
    Run.examined_bytes,
    Run.storage_bytes,
    Run.version_count,
    Run.job_id,
    Run.not_told,
)


class CarriedFigures:
    """Carries what is known of a job on to its runs that do not tell it, oldest first: no chart drops to 0."""

    def __init__(self) -> None:
        self._known: dict[int, KnownFigures] = {}

    def fill(self, row: AnyRow) -> Any:
        """The row of a run, with what is known of its job where it does not tell it itself."""
        known = self._known.get(row.job_id)
        if known is None:
            known = known_before(db.session(), row.job_id, row.began_at) if row.not_told & CARRIED_BITS else NOTHING
        self._known[row.job_id] = known = known.after(row.not_told, row._asdict())
        if not row.not_told & CARRIED_BITS:
            return row
        return SimpleNamespace(**{**row._asdict(), **known._asdict()})


@dataclass(slots=True)
class DayPoint:
    """One UTC day, summed over jobs. Bytes, seconds, counts; storage and versions are the day's last of each job."""

    day: date
    last_began_at: datetime
    uploaded_bytes: int = 0
    duration_s: float = 0.0
    examined_files: int = 0
    examined_bytes: int = 0
    storage_bytes: int = 0
    version_count: int = 0


def run_points(
    server_id: str | None = None, *, limit: int | None = RUN_POINTS, visible_server_ids: frozenset[str] | None
) -> list[AnyRow]:
    """The newest runs as rows of figures, oldest first; None for `limit` gives all."""
    statement = select(*POINT_COLUMNS).order_by(Run.began_at.desc(), Run.row_id.desc()).limit(limit)
    if server_id is not None or visible_server_ids is not None:
        statement = within(statement.join(Job, Job.id == Run.job_id), server_id, None, visible_server_ids)
    return list(map(CarriedFigures().fill, list(db.session.execute(statement))[::-1]))


def daily_points(
    server_id: str | None = None,
    job_name: str | None = None,
    *,
    start_at: datetime | None = None,
    end_at: datetime | None = None,
    visible_server_ids: frozenset[str] | None,
) -> list[DayPoint]:
    """One point for each UTC day with runs, oldest first, of the runs from `start_at` to `end_at`, both included.

    Whole days come from the daily sums; a day that the range cuts is counted from its runs.
    """
    scope = (server_id, job_name, visible_server_ids)
    if start_at is None or end_at is None:
        return _joined(stored_days(None, None, *scope))
    if start_at > end_at:
        return []
    first, last = day_of(start_at), day_of(end_at)
    cut = {
        day
        for day, is_cut in (
            (first, start_at > from_milliseconds(first * MILLISECONDS_A_DAY)),
            (last, end_at < from_milliseconds((last + 1) * MILLISECONDS_A_DAY - 1)),
        )
        if is_cut
    }
    days: list[Any] = [row for row in stored_days(first, last, *scope) if row.day not in cut]
    for day in cut:
        begin_at = max(start_at, from_milliseconds(day * MILLISECONDS_A_DAY))
        finish_at = min(end_at, from_milliseconds((day + 1) * MILLISECONDS_A_DAY - 1))
        days.extend(_counted_day(day, begin_at, finish_at, *scope))
    return _joined(days)


def total_duration_s(server_id: str, job_name: str | None = None) -> float:
    """How long all runs of a server, or of one of its jobs, took together."""
    statement = select(func.sum(JobDay.duration_s)).join(Job, Job.id == JobDay.job_id)
    return db.session.scalar(within(statement, server_id, job_name, None)) or 0.0


def within(
    statement: AnySelect, server_id: str | None, job_name: str | None, visible: frozenset[str] | None
) -> AnySelect:
    """Narrow a statement that reads jobs to a server, a job's name, and the servers that may be seen."""
    if server_id is not None:
        statement = statement.where(Job.server_id == server_id)
    if job_name is not None:
        statement = statement.where(Job.name == job_name)
    if visible is not None:
        statement = statement.where(Job.server_id.in_(visible))
    return statement


def stored_days(
    first: int | None,
    last: int | None,
    server_id: str | None,
    job_name: str | None,
    visible: frozenset[str] | None,
    columns: Iterable[str] = JobDay.__table__.columns.keys(),
) -> list[AnyRow]:
    """The daily sums of the jobs within, from the first to the last day since 1970 where these are given."""
    statement: AnySelect = select(*(JobDay.__table__.columns[name] for name in columns))
    if first is not None:
        statement = statement.where(JobDay.day >= first)
    if last is not None:
        statement = statement.where(JobDay.day <= last)
    if (server_id, job_name, visible) != (None, None, None):
        statement = within(statement.join(Job, Job.id == JobDay.job_id), server_id, job_name, visible)
    return list(db.session.execute(statement))


def _counted_day(
    day: int,
    begin_at: datetime,
    finish_at: datetime,
    server_id: str | None,
    job_name: str | None,
    visible: frozenset[str] | None,
) -> list["_CutDay"]:
    statement = select(*POINT_COLUMNS).join(Job, Job.id == Run.job_id).where(Run.began_at.between(begin_at, finish_at))
    jobs: dict[int, _CutDay] = {}
    known = CarriedFigures()
    for run in db.session.execute(within(statement, server_id, job_name, visible).order_by(Run.began_at)):
        jobs.setdefault(run.job_id, _CutDay(run.job_id, day, run.began_at)).add(known.fill(run))
    return list(jobs.values())


@dataclass(slots=True)
class _CutDay:
    """A part of a job's day, counted from its runs; the fields are those of a stored day."""

    job_id: int
    day: int
    last_began_at: datetime
    uploaded_bytes: int = 0
    duration_s: float = 0.0
    examined_files: int = 0
    examined_bytes: int = 0
    last_storage_bytes: int = 0
    last_version_count: int = 0

    def add(self, run: Any) -> None:
        self.uploaded_bytes += run.uploaded_bytes
        self.duration_s += run.duration_s
        self.examined_files += run.examined_files
        self.examined_bytes += run.examined_bytes
        self.last_began_at = run.began_at
        self.last_storage_bytes = run.storage_bytes
        self.last_version_count = run.version_count


def _joined(rows: Sequence[Any]) -> list[DayPoint]:
    points: dict[int, DayPoint] = {}
    for row in rows:
        point = points.get(row.day)
        if point is None:
            point = points[row.day] = DayPoint(EPOCH_DAY + timedelta(days=row.day), row.last_began_at)
        point.last_began_at = max(point.last_began_at, row.last_began_at)
        point.uploaded_bytes += row.uploaded_bytes
        point.duration_s += row.duration_s
        point.examined_files += row.examined_files
        point.examined_bytes += row.examined_bytes
        point.storage_bytes += row.last_storage_bytes
        point.version_count += row.last_version_count
    return [points[day] for day in sorted(points)]
