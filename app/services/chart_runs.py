"""Single runs as chart providers see them, for series that are not kept ready for each day."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from statistics import fmean
from typing import Any

from sqlalchemy import Engine, Select, select

from app.contracts import AppError, ChartProvider
from app.contracts import Run as ChartRun
from app.extensions import db
from app.models import Job, Run
from app.services import deployment
from app.services.charts import RUN_COLUMNS, CarriedFigures

log = logging.getLogger(__name__)

BUILT_IN = frozenset({"uploadedSize", "duration", "fileCount", "fileSize", "storageSize", "backupVersions"})
ROWS_AT_ONCE = 1000
CHART_FIELDS = tuple(field.name for field in fields(ChartRun))
# The values of one day, job by job.
JobValues = dict[tuple[str, str], list[float]]


def find_guests(names: Iterable[str]) -> dict[str, ChartProvider]:
    """Providers by name, without those whose figures every point has anyway. Raises AppError for an unknown name."""
    providers = deployment.registry().chart_providers
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in providers:
            raise AppError(f"series: there is no chart {name!r}")
    return {name: providers[name]() for name in wanted if name not in BUILT_IN}


def newest_runs(limit: int, visible_server_ids: frozenset[str] | None) -> list[ChartRun]:
    """The newest runs of all servers, oldest first."""
    statement = _runs(visible_server_ids).order_by(Run.began_at.desc(), Run.row_id.desc()).limit(limit)
    known = CarriedFigures()
    return [chart_run(known.fill(row)) for row in list(db.session.execute(statement))[::-1]]


def every_run(visible_server_ids: frozenset[str] | None) -> Iterator[ChartRun]:
    """All runs of all servers, oldest first, read while they are used: over a connection of its own.

    So the answer to a request may still be written when the request is over.
    """
    statement = _runs(visible_server_ids).order_by(Run.began_at, Run.row_id)
    return _read_slowly(db.engine, statement)


def value_of(provider: ChartProvider, run: ChartRun) -> float | None:
    """What a provider makes of a run; a guest that fails leaves a gap and a line in the log."""
    try:
        return provider.value(run)
    except Exception:  # a guest may raise anything, and the other series are still right
        log.exception("the chart %r cannot make a value of a run", provider.name)
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
    """One value for each UTC day with runs and provider, of the runs from `start_at` to `end_at`, both included.

    Runs of a job join as the provider says; then the jobs are summed, but for `mean` and `max`.
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


def _read_slowly(engine: Engine, statement: Select[tuple[object, ...]]) -> Iterator[ChartRun]:
    known = CarriedFigures()
    with engine.connect() as connection:
        for row in connection.execute(statement, execution_options={"yield_per": ROWS_AT_ONCE}):
            yield chart_run(known.fill(row))


def _runs(visible: frozenset[str] | None) -> Select[tuple[object, ...]]:
    figures = (*RUN_COLUMNS, Run.job_id, Run.not_told)
    statement = select(Job.server_id, Job.name.label("job_name"), *figures).join(Run, Run.job_id == Job.id)
    return statement if visible is None else statement.where(Job.server_id.in_(visible))


def chart_run(row: Any) -> ChartRun:
    """A run as chart providers see it, of a row with its figures, the id of its server and the name of its job."""
    return ChartRun(**{name: getattr(row, name) for name in CHART_FIELDS})


def _join(provider: ChartProvider, jobs: Sequence[Sequence[float]]) -> float | None:
    if not jobs:
        return None
    if provider.combine == "max":
        return max(max(values) for values in jobs)
    if provider.combine == "mean":
        return fmean(fmean(values) for values in jobs)
    return sum(values[-1] if provider.combine == "last" else sum(values) for values in jobs)
