"""Time series per run, per day, and of the registered chart providers."""

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from statistics import fmean
from types import SimpleNamespace
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, case, cast, func, select, text
from sqlalchemy.orm import aliased

from app import plugin, runtime
from app.backups.job_stats import CARRIED, KnownFigures, known_before
from app.backups.models import Job, JobDay, Run
from app.core.db.orm import AnyRow, AnySelect, db
from app.core.errors import Refused
from app.core.instants import MILLISECONDS_A_DAY, day_of, from_milliseconds
from app.plugin import ChartProvider, Combine
from app.plugin import Run as ChartRun

RUN_POINTS = 2000
CARRIED_BITS = sum(CARRIED)
NOTHING = KnownFigures()
EPOCH_DAY = date(1970, 1, 1)

RUN_COLUMNS = tuple(getattr(Run, field.name) for field in fields(plugin.Run) if hasattr(Run, field.name))
# The figures of a point, and the columns that say which of them are unknown.
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
    """Fills unknown figures of a job's runs from earlier runs.

    Otherwise lines would drop to 0.
    """

    def __init__(self) -> None:
        self._known: dict[int, KnownFigures] = {}

    def fill(self, row: AnyRow) -> Any:
        """Return a run's row, with unknown figures from earlier runs of the job."""
        known = self._known.get(row.job_id)
        if known is None:
            known = known_before(db.session(), row.job_id, row.began_at) if row.not_told & CARRIED_BITS else NOTHING
        self._known[row.job_id] = known = known.after(row.not_told, row._asdict())
        if not row.not_told & CARRIED_BITS:
            return row
        return SimpleNamespace(**{**row._asdict(), **known._asdict()})


@dataclass(slots=True)
class DayPoint:
    """One UTC day, summed over jobs. Bytes, seconds, counts.

    Storage and versions are each job's last values of the day.
    """

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
    """Return the newest runs as rows of figures, oldest first.

    All if `limit` is None.
    """
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
    """Return one point per UTC day with runs, oldest first.

    Only runs from `start_at` to `end_at`, both included. Whole days come from the daily sums; a day that is partly in
    the range is computed from its runs.
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
    """Return the total duration of a server's or job's runs in seconds."""
    statement = select(func.sum(JobDay.duration_s)).join(Job, Job.id == JobDay.job_id)
    return db.session.scalar(within(statement, server_id, job_name, None)) or 0.0


def within(
    statement: AnySelect, server_id: str | None, job_name: str | None, visible: frozenset[str] | None
) -> AnySelect:
    """Restrict a statement about jobs to a server, a job's name, and visible servers."""
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
    """Return the daily sums of jobs, optionally from first to last day since 1970."""
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
    """A part of a job's day, computed from its runs.

    The fields are those of a stored day.
    """

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


# Single runs for chart providers, for series without daily sums

log = logging.getLogger(__name__)

BUILT_IN = frozenset({"uploadedSize", "duration", "fileCount", "fileSize", "storageSize", "backupVersions"})
ROWS_AT_ONCE = 1000
CHART_FIELDS = tuple(field.name for field in fields(ChartRun))
# The values of one day, by job.
JobValues = dict[tuple[str, str], list[float]]


def find_further_providers(names: Iterable[str]) -> dict[str, ChartProvider]:
    """Return providers by name, without those whose figures every point has.

    Raise Refused for an unknown name.
    """
    providers = runtime.registry().chart_providers
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in providers:
            raise Refused("chart_unknown", "series", name=name)
    return {name: providers[name]() for name in wanted if name not in BUILT_IN}


def newest_runs(limit: int, visible_server_ids: frozenset[str] | None) -> list[ChartRun]:
    """Return the newest runs of all servers, oldest first."""
    statement = _runs(visible_server_ids).order_by(Run.began_at.desc(), Run.row_id.desc()).limit(limit)
    known = CarriedFigures()
    return [chart_run(known.fill(row)) for row in list(db.session.execute(statement))[::-1]]


def every_run(visible_server_ids: frozenset[str] | None) -> Iterator[ChartRun]:
    """Yield all runs of all servers, oldest first, over a connection of its own.

    So a response may be streamed after the request has ended.
    """
    statement = _runs(visible_server_ids).order_by(Run.began_at, Run.row_id)
    return _stream(db.engine, statement)


def value_of(provider: ChartProvider, run: ChartRun) -> float | None:
    """Return a provider's value of a run.

    None, with a log entry, if the plugin fails.
    """
    try:
        return provider.value(run)
    except Exception:  # a plugin may raise anything, and the other series are still right
        log.exception("the chart %r cannot compute the value of a run", provider.name)
        return None


def daily_values(
    providers: Mapping[str, ChartProvider],
    server_id: str | None = None,
    job_name: str | None = None,
    *,
    start_at: datetime | None = None,
    end_at: datetime | None = None,
    visible_server_ids: frozenset[str] | None,
) -> dict[date, dict[str, float | None]]:
    """Return one value per provider and UTC day with runs.

    Only runs from `start_at` to `end_at`, both included. Runs of a job are combined as the provider says; then the jobs
    are summed, except for `mean` and `max`.
    """
    statement = _runs(visible_server_ids).order_by(Run.began_at, Run.row_id)
    if server_id is not None:
        statement = statement.where(Job.server_id == server_id)
    if job_name is not None:
        statement = statement.where(Job.name == job_name)
    if start_at is not None and end_at is not None:
        statement = statement.where(Run.began_at.between(start_at, end_at))
    days: dict[date, dict[str, JobValues]] = {}
    known = CarriedFigures()
    for row in db.session.execute(statement, execution_options={"yield_per": ROWS_AT_ONCE}):
        run = chart_run(known.fill(row))
        of_day = days.setdefault(run.began_at.date(), {name: {} for name in providers})
        for name, provider in providers.items():
            value = value_of(provider, run)
            if value is not None:
                of_day[name].setdefault((run.server_id, run.job_name), []).append(value)
    return {
        day: {name: _join(providers[name], list(jobs.values())) for name, jobs in values.items()}
        for day, values in days.items()
    }


def _stream(engine: Engine, statement: Select[tuple[object, ...]]) -> Iterator[ChartRun]:
    known = CarriedFigures()
    with engine.connect() as connection:
        for row in connection.execute(statement, execution_options={"yield_per": ROWS_AT_ONCE}):
            yield chart_run(known.fill(row))


def _runs(visible: frozenset[str] | None) -> Select[tuple[object, ...]]:
    figures = (*RUN_COLUMNS, Run.job_id, Run.not_told)
    statement = select(Job.server_id, Job.name.label("job_name"), *figures).join(Run, Run.job_id == Job.id)
    return statement if visible is None else statement.where(Job.server_id.in_(visible))


def chart_run(row: Any) -> ChartRun:
    """Return a row as `ChartRun`: figures, server id and job name."""
    return ChartRun(**{name: getattr(row, name) for name in CHART_FIELDS})


def _join(provider: ChartProvider, jobs: Sequence[Sequence[float]]) -> float | None:
    if not jobs:
        return None
    if provider.combine == "max":
        return max(max(values) for values in jobs)
    if provider.combine == "mean":
        return fmean(fmean(values) for values in jobs)
    return sum(values[-1] if provider.combine == "last" else sum(values) for values in jobs)


# Series of chart providers: summed over jobs, or one per group of jobs
#
# A value is of one day or of a span of days. Series with daily sums are aggregated by the database; only computing
# providers are called for each run.

# A server's id, a job's name, and the visible servers; None means all.
Scope = tuple[str | None, str | None, frozenset[str] | None]
Line = list[float | None]

# The column of the daily sums for each figure of a provider.
DAILY_COLUMNS = {
    ("uploaded_bytes", "sum"): "uploaded_bytes",
    ("duration_s", "sum"): "duration_s",
    ("examined_files", "sum"): "examined_files",
    ("examined_bytes", "sum"): "examined_bytes",
    ("storage_bytes", "last"): "last_storage_bytes",
    ("version_count", "last"): "last_version_count",
}
COMBINE: dict[Combine, Callable[[Sequence[float]], float]] = {
    "sum": sum,
    "last": lambda values: values[-1],
    "max": max,
    "mean": fmean,
}
# From this number of days on, the table is scanned in order; random access through the index of days took four times as
# long for a year of 500 jobs.
DAYS_READ_IN_ORDER = 60
FIRST_WEEKDAY = EPOCH_DAY.weekday()
ALL = ""


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """One value per span and provider, oldest first, None if unknown.

    `days` are the first days of the spans.
    """

    days: list[date]
    values: dict[str, Line]


@dataclass(frozen=True, slots=True)
class _Range:
    """Days since 1970, both included, in spans of some days; the last may be shorter."""

    first: int
    last: int
    span_days: int

    @property
    def length(self) -> int:
        return -(-(self.last - self.first + 1) // self.span_days)

    def empty_line(self) -> Line:
        return [None] * self.length


def daily_series(
    names: Sequence[str],
    *,
    server_id: str | None = None,
    job_name: str | None = None,
    start_on: date,
    end_on: date,
    span_days: int = 1,
    visible_server_ids: frozenset[str] | None,
) -> ChartSeries:
    """Return the series of providers: one value per span of UTC days.

    The days `start_on` and `end_on` are included. The last known value of a `last` series is repeated, also from before
    the range, for each job; then the jobs are summed. Raises KeyError for an unknown provider.
    """
    asked = _range_of(start_on, end_on, span_days)
    found = _find_lines(names, None, asked, (server_id, job_name, visible_server_ids))
    days = [EPOCH_DAY + timedelta(days=day) for day in range(asked.first, asked.last + 1, span_days)]
    return ChartSeries(days, {name: found[name][ALL] for name in names})


def grouped_series(
    names: Sequence[str],
    groups: Mapping[int, str],
    *,
    server_id: str | None = None,
    job_name: str | None = None,
    start_on: date,
    end_on: date,
    span_days: int = 1,
    visible_server_ids: frozenset[str] | None,
) -> dict[str, dict[str, Line]]:
    """Return a series per provider and group of jobs.

    `groups` maps job ids to groups.

    Within a group the jobs are combined as in `daily_series`; jobs without a group are excluded.
    """
    asked = _range_of(start_on, end_on, span_days)
    return _find_lines(names, groups, asked, (server_id, job_name, visible_server_ids))


def into_spans(values: Line, length: int, combine: Combine) -> Line:
    """Combine daily values into spans of `length` days, oldest first; None if empty."""
    if length == 1:
        return values
    spans = (values[begin : begin + length] for begin in range(0, len(values), length))
    known = ([value for value in span if value is not None] for span in spans)
    return [COMBINE[combine](found) if found else None for found in known]


def _range_of(start_on: date, end_on: date, span_days: int) -> _Range:
    return _Range((start_on - EPOCH_DAY).days, (end_on - EPOCH_DAY).days, span_days)


def _find_lines(
    names: Sequence[str], groups: Mapping[int, str] | None, asked: _Range, scope: Scope
) -> dict[str, dict[str, Line]]:
    """Return lines by provider and group; without groups all jobs are in ALL."""
    providers = {name: runtime.registry().chart_providers[name] for name in names}
    ready = {name: provider for name, provider in providers.items() if _is_ready(provider)}
    computed = {name: provider for name, provider in providers.items() if name not in ready}
    found: dict[str, dict[str, Line]] = {}
    if ready:
        found |= _stored_lines(ready, groups, asked, scope)
    if computed:
        found |= _computed_lines(computed, groups, asked, scope)
    return found


def _is_ready(provider: type[ChartProvider]) -> bool:
    is_kept = (provider.column, provider.combine) in DAILY_COLUMNS
    return is_kept and (provider.weekdays is None or provider.combine == "sum")


def _daily_column(provider: type[ChartProvider]) -> ColumnElement[Any]:
    """Return the column of the daily sums for a provider."""
    column: ColumnElement[Any] = JobDay.__table__.columns[DAILY_COLUMNS[provider.column or "", provider.combine]]
    return column


def _stored_lines(
    providers: Mapping[str, type[ChartProvider]], groups: Mapping[int, str] | None, asked: _Range, scope: Scope
) -> dict[str, dict[str, Line]]:
    """Return the lines of providers with daily sums."""
    sums = [name for name, provider in providers.items() if provider.combine == "sum"]
    lasts = [name for name, provider in providers.items() if provider.combine == "last"]
    labels = [ALL] if groups is None else list(dict.fromkeys(groups.values()))
    lines = {name: {label: asked.empty_line() for label in labels} for name in providers}
    earlier = _last_before(asked.first, [providers[name] for name in lasts], scope) if lasts else {}
    rows = _spans(sums, lasts, providers, asked, scope)
    columns_of = {job_id: tuple(zip(*found, strict=True)) for job_id, found in groupby(rows, key=itemgetter(0))}
    nothing: tuple[tuple[Any, ...], ...] = ((),) * (2 + len(providers))
    for job_id in columns_of.keys() | earlier.keys():
        label = ALL if groups is None else groups.get(job_id)
        if label is None:
            continue
        _ids, indexes, *columns = columns_of.get(job_id, nothing)
        for name, values in zip(sums, columns, strict=False):
            _add(lines[name][label], indexes, values)
        for number, (name, values) in enumerate(zip(lasts, columns[len(sums) :], strict=True)):
            before = earlier[job_id][number] if job_id in earlier else None
            _add(lines[name][label], range(asked.length), _forward_filled(indexes, values, before, asked.length))
    return lines


def _add(line: Line, indexes: Iterable[int], values: Iterable[float | None]) -> None:
    """Add values to a line at their indexes; None changes nothing."""
    for index, value in zip(indexes, values, strict=True):
        if value is not None:
            known = line[index]
            line[index] = value if known is None else known + value


def _forward_filled(indexes: Sequence[int], values: Sequence[float], before: float | None, length: int) -> Line:
    """Return the value at each index: its own, else the previous one."""
    begins = [0, *indexes]
    ends = [*indexes, length]
    held: Line = []
    for begin, end, value in zip(begins, ends, [before, *values], strict=True):
        held += [value] * (end - begin)
    return held


def _spans(
    sums: Sequence[str],
    lasts: Sequence[str],
    providers: Mapping[str, type[ChartProvider]],
    asked: _Range,
    scope: Scope,
) -> list[AnyRow]:
    """Return rows of job id, span index, sums and last values of each job and span."""
    span = ((JobDay.day - asked.first) // asked.span_days).label("span_index")
    figures = [_sum_of(providers[name]).label(f"figure_{number}") for number, name in enumerate(sums)]
    begins = (JobDay.day + 0 if asked.last - asked.first >= DAYS_READ_IN_ORDER else JobDay.day) >= asked.first
    found: AnySelect = select(JobDay.job_id, span, *figures, func.max(JobDay.day).label("newest"))
    found = found.where(begins, JobDay.day <= asked.last)
    if scope != (None, None, None):
        found = within(found.join(Job, Job.id == JobDay.job_id), *scope)
    # By its name: PostgreSQL does not recognise the repeated expression, since its numbers are parameters.
    spans = found.group_by(JobDay.job_id, text("span_index")).subquery()
    shown = [column for column in spans.columns if column.key != "newest"]
    statement: AnySelect = select(*shown, *(_daily_column(providers[name]) for name in lasts)).select_from(spans)
    if lasts:
        of_its_newest = (JobDay.job_id == spans.columns.job_id) & (JobDay.day == spans.columns.newest)
        statement = statement.join(JobDay, of_its_newest)
    return list(db.session.execute(statement.order_by(spans.columns.job_id, spans.columns.span_index)))


def _sum_of(provider: type[ChartProvider]) -> ColumnElement[Any]:
    column = _daily_column(provider)
    if provider.weekdays is not None:
        counts = ((JobDay.day + FIRST_WEEKDAY) % 7).in_(sorted(provider.weekdays))
        return cast(func.sum(case((counts, column))), column.type)
    return cast(func.sum(column), column.type)


def _last_before(first: int, providers: Sequence[type[ChartProvider]], scope: Scope) -> dict[int, tuple[float, ...]]:
    """Return each job's last known values before a day, in the order of providers."""
    # One subquery for each value: in a join, the database would start with the days, which are many.
    newest_first = (
        select(JobDay).where(JobDay.job_id == Job.id, JobDay.day < first).order_by(JobDay.day.desc()).limit(1)
    )
    values = (newest_first.with_only_columns(_daily_column(provider)).correlate(Job) for provider in providers)
    statement: AnySelect = select(Job.id, *(value.scalar_subquery() for value in values))
    found = db.session.execute(within(statement, *scope))
    return {job_id: tuple(values) for job_id, *values in found if values[0] is not None}


def _computed_lines(
    providers: Mapping[str, type[ChartProvider]], groups: Mapping[int, str] | None, asked: _Range, scope: Scope
) -> dict[str, dict[str, Line]]:
    """Return the lines of providers that are called for each run."""
    made = {name: provider() for name, provider in providers.items()}
    by_day = _computed_days(made, asked.first, asked.last, scope)
    carried = {name: provider for name, provider in made.items() if provider.combine == "last"}
    earlier = _computed_before(carried, asked.first, scope) if carried else {}
    members: dict[str, set[int]] = {}
    for job_id, label in (groups or {}).items():
        members.setdefault(label, set()).add(job_id)
    lines: dict[str, dict[str, Line]] = {}
    for name, provider in providers.items():
        known = by_day[name], earlier.get(name, {})
        wanted = {ALL: known} if groups is None else {label: _only(jobs, *known) for label, jobs in members.items()}
        lines[name] = {label: _line(provider, asked, *values) for label, values in wanted.items()}
    return lines


def _only(
    jobs: Collection[int], by_day: dict[int, dict[int, float]], earlier: dict[int, float]
) -> tuple[dict[int, dict[int, float]], dict[int, float]]:
    return (
        {job: days for job, days in by_day.items() if job in jobs},
        {job: value for job, value in earlier.items() if job in jobs},
    )


def _line(
    provider: type[ChartProvider], asked: _Range, by_day: dict[int, dict[int, float]], earlier: dict[int, float]
) -> Line:
    if provider.combine == "last":
        daily = _carried_forward(by_day, earlier, asked.first, asked.last)
    else:
        daily = _combined(by_day, provider, asked.first, asked.last)
    return into_spans(daily, asked.span_days, provider.combine)


def _computed_days(
    providers: dict[str, ChartProvider], first: int, last: int, scope: Scope
) -> dict[str, dict[int, dict[int, float]]]:
    within = (
        Run.began_at >= from_milliseconds(first * MILLISECONDS_A_DAY),
        Run.began_at < from_milliseconds((last + 1) * MILLISECONDS_A_DAY),
    )
    values: dict[str, dict[tuple[int, int], list[float]]] = {name: {} for name in providers}
    for job_id, run in _provided_runs(*within, scope=scope):
        job_day = (job_id, day_of(run.began_at))
        for name, provider in providers.items():
            value = value_of(provider, run)
            if value is not None:
                values[name].setdefault(job_day, []).append(value)
    result: dict[str, dict[int, dict[int, float]]] = {name: {} for name in providers}
    for name, provider in providers.items():
        for (job_id, day), found in values[name].items():
            result[name].setdefault(job_id, {})[day] = COMBINE[provider.combine](found)
    return result


def _computed_before(providers: dict[str, ChartProvider], first: int, scope: Scope) -> dict[str, dict[int, float]]:
    """Return the value of each job's newest run before the range, if any."""
    earlier = aliased(Run)
    newest = select(func.max(earlier.began_at)).where(
        earlier.job_id == Job.id, earlier.began_at < from_milliseconds(first * MILLISECONDS_A_DAY)
    )
    values: dict[str, dict[int, float]] = {name: {} for name in providers}
    for job_id, run in _provided_runs(Run.began_at == newest.correlate(Job).scalar_subquery(), scope=scope):
        for name, provider in providers.items():
            value = value_of(provider, run)
            if value is not None:
                values[name][job_id] = value
    return values


def _provided_runs(*conditions: ColumnElement[bool], scope: Scope) -> Iterator[tuple[int, plugin.Run]]:
    """Yield runs as providers see them, oldest first, each with the id of its job."""
    statement = select(Run.job_id, Run.not_told, Job.server_id, Job.name.label("job_name"), *RUN_COLUMNS)
    statement = statement.join(Job, Job.id == Run.job_id).where(*conditions)
    known = CarriedFigures()
    for row in db.session.execute(within(statement, *scope).order_by(Run.began_at)):
        yield row.job_id, chart_run(known.fill(row))


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
    by_day: defaultdict[int, list[float]] = defaultdict(list)
    for days in jobs.values():
        for day, value in days.items():
            by_day[day].append(value)
    return [join(by_day[day]) if day in by_day else None for day in range(first, last + 1)]
