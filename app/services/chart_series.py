"""Series of the registered chart providers over days: summed over jobs, or one for each group of jobs."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from operator import itemgetter
from statistics import fmean

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import aliased

from app import contracts
from app.contracts import ChartProvider
from app.extensions import db
from app.models import Job, JobDay, Run
from app.models.runs import MILLISECONDS_A_DAY
from app.models.types import AnyRow, from_milliseconds
from app.services import deployment
from app.services.chart_runs import value_of
from app.services.charts import EPOCH_DAY, RUN_COLUMNS, stored_days, within
from app.services.figures import day_of

# A server's id, a job's name, and the servers that may be seen; None where all are meant.
Scope = tuple[str | None, str | None, frozenset[str] | None]

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


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """One value for each day and provider, oldest first; None where nothing is known."""

    days: list[date]
    values: dict[str, list[float | None]]


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
    found = _find_values(names, start_on, end_on, (server_id, job_name, visible_server_ids))
    return ChartSeries(found.day_list, {name: found.joined(name) for name in names})


def grouped_series(
    names: Sequence[str],
    groups: Mapping[int, str],
    *,
    server_id: str | None = None,
    job_name: str | None = None,
    start_on: date,
    end_on: date,
    visible_server_ids: frozenset[str] | None = None,
) -> dict[str, dict[str, list[float | None]]]:
    """Of each provider a series for each group of jobs; `groups` says by its id where a job belongs.

    Within a group the jobs join as in `daily_series`; jobs that are in no group are left out.
    """
    found = _find_values(names, start_on, end_on, (server_id, job_name, visible_server_ids))
    members: dict[str, set[int]] = {}
    for job_id, group in groups.items():
        members.setdefault(group, set()).add(job_id)
    return {name: {group: found.joined(name, jobs) for group, jobs in members.items()} for name in names}


@dataclass(frozen=True, slots=True)
class _DailyValues:
    """What a range holds, of each provider by job and day, and the last known values from before it."""

    providers: dict[str, type[ChartProvider]]
    first: int
    last: int
    by_day: dict[str, dict[int, dict[int, float]]]
    earlier: dict[str, dict[int, float]]

    @property
    def day_list(self) -> list[date]:
        return [EPOCH_DAY + timedelta(days=day) for day in range(self.first, self.last + 1)]

    def joined(self, name: str, jobs: Collection[int] | None = None) -> list[float | None]:
        """The series of a provider over all jobs, or over some."""
        by_day, earlier = self.by_day[name], self.earlier.get(name, {})
        if jobs is not None:
            by_day = {job: days for job, days in by_day.items() if job in jobs}
            earlier = {job: value for job, value in earlier.items() if job in jobs}
        if self.providers[name].combine == "last":
            return _carried_forward(by_day, earlier, self.first, self.last)
        return _combined(by_day, self.providers[name], self.first, self.last)


def _find_values(names: Sequence[str], start_on: date, end_on: date, scope: Scope) -> _DailyValues:
    providers = {name: deployment.registry().chart_providers[name] for name in names}
    first, last = (start_on - EPOCH_DAY).days, (end_on - EPOCH_DAY).days
    ready = {
        name: DAILY_COLUMNS[provider.column, provider.combine]
        for name, provider in providers.items()
        if provider.column is not None and (provider.column, provider.combine) in DAILY_COLUMNS
    }
    by_day: dict[str, dict[int, dict[int, float]]] = {name: {} for name in names}
    if ready:
        # Only what is asked for, and a job at a time: years of days are many rows.
        rows = stored_days(first, last, *scope, columns=("job_id", "day", *ready.values()))
        for job_id, found in groupby(sorted(rows, key=itemgetter(0)), key=itemgetter(0)):
            _jobs, days, *columns = zip(*found, strict=True)
            for name, column in zip(ready, columns, strict=True):
                by_day[name][job_id] = dict(zip(days, column, strict=True))
    earlier: dict[str, dict[int, float]] = {}
    if any(providers[name].combine == "last" for name in ready):
        before = _last_before(first, *scope)
        earlier = {name: {job: getattr(row, column) for job, row in before.items()} for name, column in ready.items()}
    computed = {name: provider() for name, provider in providers.items() if name not in ready}
    if computed:
        by_day |= _computed_days(computed, first, last, scope)
    carried = {name: provider for name, provider in computed.items() if provider.combine == "last"}
    if carried:
        earlier |= _computed_before(carried, first, scope)
    return _DailyValues(providers, first, last, by_day, earlier)


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
    statement = within(statement.join(Job, Job.id == JobDay.job_id), server_id, job_name, visible)
    return {row.job_id: row for row in db.session.execute(statement)}


def _computed_days(
    providers: dict[str, ChartProvider], first: int, last: int, scope: Scope
) -> dict[str, dict[int, dict[int, float]]]:
    within = (
        Run.began_at >= from_milliseconds(first * MILLISECONDS_A_DAY),
        Run.began_at < from_milliseconds((last + 1) * MILLISECONDS_A_DAY),
    )
    values: dict[str, dict[tuple[int, int], list[float]]] = {name: {} for name in providers}
    for job_id, run in _provided_runs(*within, scope=scope):
        place = (job_id, day_of(run.began_at))
        for name, provider in providers.items():
            value = value_of(provider, run)
            if value is not None:
                values[name].setdefault(place, []).append(value)
    result: dict[str, dict[int, dict[int, float]]] = {name: {} for name in providers}
    for name, provider in providers.items():
        for (job_id, day), found in values[name].items():
            result[name].setdefault(job_id, {})[day] = COMBINE[provider.combine](found)
    return result


def _computed_before(providers: dict[str, ChartProvider], first: int, scope: Scope) -> dict[str, dict[int, float]]:
    """What each job's newest run from before the range gives; a job whose newest one gives nothing is left out."""
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


def _provided_runs(*conditions: ColumnElement[bool], scope: Scope) -> Iterator[tuple[int, contracts.Run]]:
    """Runs as providers see them, oldest first, each with the id of its job."""
    # The figures of a run in the order of the contract's fields, of which the first two are its job's.
    statement = select(Run.job_id, Job.server_id, Job.name, *RUN_COLUMNS)
    statement = statement.join(Job, Job.id == Run.job_id).where(*conditions)
    for job_id, *figures in db.session.execute(within(statement, *scope).order_by(Run.began_at)):
        yield job_id, contracts.Run(*figures)


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
