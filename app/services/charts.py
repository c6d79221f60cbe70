"""Numbers over time: per run, per day, and as series of the registered providers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from statistics import fmean
from typing import Any

from sqlalchemy import func, select

from app import contracts
from app.contracts import ChartProvider
from app.extensions import db
from app.models import Job, JobDay, Run
from app.models.runs import MILLISECONDS_A_DAY
from app.models.types import AnyRow, AnySelect, from_milliseconds
from app.services import deployment
from app.services.figures import day_of

RUN_POINTS = 2000
EPOCH_DAY = date(1970, 1, 1)

# What a provider asks for, and the column of the daily sums that has it ready.
DAILY_COLUMNS = {
    ("uploaded_bytes", "sum"): "uploaded_bytes",
    ("duration_s", "sum"): "duration_s",
    ("examined_files", "sum"): "examined_files",
    ("examined_bytes", "sum"): "examined_bytes",
    ("storage_bytes", "last"): "last_storage_bytes",
    ("version_count", "last"): "last_version_count",
}
COMBINE: dict[str, Callable[[list[float]], float]] = {
    "sum": sum,
    "last": lambda values: values[-1],
    "max": max,
    "mean": fmean,
}
RUN_COLUMNS = tuple(getattr(Run, field.name) for field in fields(contracts.Run) if hasattr(Run, field.name))


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


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """One value for each day and provider, oldest first; None where nothing is known."""

    days: list[date]
    values: dict[str, list[float | None]]


def run_points(
    server_id: str | None = None, *, limit: int | None = RUN_POINTS, visible_server_ids: frozenset[str] | None = None
) -> list[AnyRow]:
    """The newest runs as rows of figures, oldest first; None for `limit` gives all."""
    columns = (
        Run.began_at,
        Run.duration_s,
        Run.uploaded_bytes,
        Run.examined_files,
        Run.examined_bytes,
        Run.storage_bytes,
        Run.version_count,
    )
    statement = select(*columns).order_by(Run.began_at.desc(), Run.row_id.desc()).limit(limit)
    if server_id is not None or visible_server_ids is not None:
        statement = _within(statement.join(Job, Job.id == Run.job_id), server_id, None, visible_server_ids)
    return list(db.session.execute(statement))[::-1]


def daily_points(
    server_id: str | None = None,
    job_name: str | None = None,
    *,
    start_at: datetime | None = None,
    end_at: datetime | None = None,
    visible_server_ids: frozenset[str] | None = None,
) -> list[DayPoint]:
    """One point for each UTC day with runs, oldest first, of the runs from `start_at` to `end_at`, both included.

    Whole days come from the daily sums; a day that the range cuts is counted from its runs.
    """
    scope = (server_id, job_name, visible_server_ids)
    if start_at is None or end_at is None:
        return _joined(_stored_days(None, None, *scope))
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
    days: list[Any] = [row for row in _stored_days(first, last, *scope) if row.day not in cut]
    for day in cut:
        begin_at = max(start_at, from_milliseconds(day * MILLISECONDS_A_DAY))
        finish_at = min(end_at, from_milliseconds((day + 1) * MILLISECONDS_A_DAY - 1))
        days.extend(_counted_day(day, begin_at, finish_at, *scope))
    return _joined(days)


def daily_series(
    names: Sequence[str],
    *,
    server_id: str | None = None,
    job_name: str | None = None,
    start_on: date,
    end_on: date,
    visible_server_ids: frozenset[str] | None = None,
) -> ChartSeries:
    """The series of some providers for each UTC day from `start_on` to `end_on`, both included.

    A job's last known value of a `last` series is carried forward, also from before the range, then the jobs are
    summed. Raises KeyError for an unknown provider.
    """
    providers = {name: deployment.registry().chart_providers[name] for name in names}
    scope = (server_id, job_name, visible_server_ids)
    first, last = (start_on - EPOCH_DAY).days, (end_on - EPOCH_DAY).days
    ready = {
        name: DAILY_COLUMNS[provider.column, provider.combine]
        for name, provider in providers.items()
        if provider.column is not None and (provider.column, provider.combine) in DAILY_COLUMNS
    }
    by_day: dict[str, dict[int, dict[int, float]]] = {name: {} for name in names}
    if ready:
        for row in _stored_days(first, last, *scope):
            for name, column in ready.items():
                by_day[name].setdefault(row.job_id, {})[row.day] = getattr(row, column)
    computed = {name: provider() for name, provider in providers.items() if name not in ready}
    if computed:
        for name, values in _computed_days(computed, first, last, scope).items():
            by_day[name] = values
    before = _last_before(first, *scope) if any(column.startswith("last_") for column in ready.values()) else {}
    result: dict[str, list[float | None]] = {}
    for name, provider in providers.items():
        if provider.combine == "last":
            earlier = {job: getattr(row, ready[name]) for job, row in before.items()} if name in ready else {}
            result[name] = _carried_forward(by_day[name], earlier, first, last)
        else:
            result[name] = _combined(by_day[name], provider, first, last)
    return ChartSeries([EPOCH_DAY + timedelta(days=day) for day in range(first, last + 1)], result)


def _within(
    statement: AnySelect, server_id: str | None, job_name: str | None, visible: frozenset[str] | None
) -> AnySelect:
    if server_id is not None:
        statement = statement.where(Job.server_id == server_id)
    if job_name is not None:
        statement = statement.where(Job.name == job_name)
    if visible is not None:
        statement = statement.where(Job.server_id.in_(visible))
    return statement


def _stored_days(
    first: int | None, last: int | None, server_id: str | None, job_name: str | None, visible: frozenset[str] | None
) -> list[AnyRow]:
    statement = select(*JobDay.__table__.columns)
    if first is not None:
        statement = statement.where(JobDay.day >= first)
    if last is not None:
        statement = statement.where(JobDay.day <= last)
    if (server_id, job_name, visible) != (None, None, None):
        statement = _within(statement.join(Job, Job.id == JobDay.job_id), server_id, job_name, visible)
    return list(db.session.execute(statement))


def _counted_day(
    day: int,
    begin_at: datetime,
    finish_at: datetime,
    server_id: str | None,
    job_name: str | None,
    visible: frozenset[str] | None,
) -> list["_CutDay"]:
    statement = select(Run).join(Job, Job.id == Run.job_id).where(Run.began_at.between(begin_at, finish_at))
    jobs: dict[int, _CutDay] = {}
    for run in db.session.scalars(_within(statement, server_id, job_name, visible).order_by(Run.began_at)):
        jobs.setdefault(run.job_id, _CutDay(run.job_id, day, run.began_at)).add(run)
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

    def add(self, run: Run) -> None:
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


def _last_before(
    first: int, server_id: str | None, job_name: str | None, visible: frozenset[str] | None
) -> dict[int, AnyRow]:
    newest = (
        select(JobDay.job_id, func.max(JobDay.day).label("day"))
        .where(JobDay.day < first)
        .group_by(JobDay.job_id)
        .subquery()
    )
    statement = select(*JobDay.__table__.columns).join(
        newest, (newest.c.job_id == JobDay.job_id) & (newest.c.day == JobDay.day)
    )
    statement = _within(statement.join(Job, Job.id == JobDay.job_id), server_id, job_name, visible)
    return {row.job_id: row for row in db.session.execute(statement)}


def _computed_days(
    providers: dict[str, ChartProvider],
    first: int,
    last: int,
    scope: tuple[str | None, str | None, frozenset[str] | None],
) -> dict[str, dict[int, dict[int, float]]]:
    statement = select(Run.job_id, Job.server_id, Job.name.label("job_name"), *RUN_COLUMNS)
    statement = statement.join(Job, Job.id == Run.job_id).where(
        Run.began_at >= from_milliseconds(first * MILLISECONDS_A_DAY),
        Run.began_at < from_milliseconds((last + 1) * MILLISECONDS_A_DAY),
    )
    values: dict[str, dict[tuple[int, int], list[float]]] = {name: {} for name in providers}
    for row in db.session.execute(_within(statement, *scope).order_by(Run.began_at)):
        figures = row._asdict()
        place = (figures.pop("job_id"), day_of(row.began_at))
        run = contracts.Run(**figures)
        for name, provider in providers.items():
            value = provider.value(run)
            if value is not None:
                values[name].setdefault(place, []).append(value)
    result: dict[str, dict[int, dict[int, float]]] = {name: {} for name in providers}
    for name, provider in providers.items():
        for (job_id, day), found in values[name].items():
            result[name].setdefault(job_id, {})[day] = COMBINE[provider.combine](found)
    return result


def _carried_forward(
    jobs: dict[int, dict[int, float]], earlier: dict[int, float], first: int, last: int
) -> list[float | None]:
    sums: list[float | None] = []
    known = dict(earlier)
    for day in range(first, last + 1):
        for job_id, days in jobs.items():
            if day in days:
                known[job_id] = days[day]
        sums.append(sum(known.values()) if known else None)
    return sums


def _combined(
    jobs: dict[int, dict[int, float]], provider: type[ChartProvider], first: int, last: int
) -> list[float | None]:
    join = COMBINE[provider.combine]
    by_day: dict[int, list[float]] = {}
    for days in jobs.values():
        for day, value in days.items():
            by_day.setdefault(day, []).append(value)
    return [join(by_day[day]) if day in by_day else None for day in range(first, last + 1)]
