"""API group `charts`: points of runs and days."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Self
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app import runtime
from app.backups.run_objects import ChartPointOut, dump_day_point, dump_run_point
from app.charts import series
from app.charts.series import DayPoint, value_of
from app.core.errors import Refused
from app.plugin import ApiGroup, ChartProvider, described
from app.plugin import Run as ChartRun
from app.reports.decoding import read_instant
from app.web.http import cached_json, streamed_list, visible_server_ids

# Query and points

# JavaScript also accepts a year, or year and month, as a date.
SHORT_DATES = {4: "-01-01", 7: "-01"}
SHORT_DATE = re.compile(r"\d{4}(-\d\d)?")


@dataclass(frozen=True, slots=True)
class ChartQuery:
    """The query: a range, both ends included, if given, and names of further series."""

    start_at: datetime | None = None
    end_at: datetime | None = None
    series: tuple[str, ...] = ()
    wants_all: bool = False

    @property
    def has_range(self) -> bool:
        """Whether a range is given."""
        return self.start_at is not None

    @property
    def range(self) -> dict[str, datetime | None]:
        """Return the range as arguments of the services."""
        return {"start_at": self.start_at, "end_at": self.end_at}

    @classmethod
    def read(cls, query: Mapping[str, str], zone: ZoneInfo) -> Self:
        """Read the query; one end of a range alone is ignored. Raise Refused."""
        series = tuple(name for name in query.get("series", "").split(",") if name)
        wants_all = query.get("all") == "true"
        start, end = query.get("startDate"), query.get("endDate")
        if not start or not end:
            return cls(series=series, wants_all=wants_all)
        try:
            return cls(_read_date(start, zone), _read_date(end, zone), series, wants_all)
        except ValueError as error:
            raise Refused("dates_invalid") from error


CHART_QUERY: dict[str, fields.Field[Any]] = {
    "startDate": fields.String(metadata={"description": "ISO 8601; used only together with `endDate`"}),
    "endDate": fields.String(metadata={"description": "ISO 8601; used only together with `startDate`"}),
    "series": fields.String(metadata={"description": "Names of additional series, comma-separated"}),
}
ALL_QUERY: dict[str, fields.Field[Any]] = {**CHART_QUERY, "all": fields.Boolean()}


def run_point_writer(providers: Mapping[str, ChartProvider]) -> Callable[[ChartRun], dict[str, Any]]:
    """Return a function that writes a run as a point with the providers' values."""

    def dump(run: ChartRun) -> dict[str, Any]:
        return dump_run_point(run, UTC) | {name: value_of(provider, run) for name, provider in providers.items()}

    return dump


def dump_day_points(
    points: Iterable[DayPoint], further: Mapping[date, Mapping[str, float | None]]
) -> list[dict[str, Any]]:
    """Return the points of days, with further values for each day."""
    return [{**dump_day_point(point), **further.get(point.day, {})} for point in points]


def _read_date(text: str, zone: ZoneInfo) -> datetime:
    written = text.strip()
    return read_instant(written + SHORT_DATES[len(written)] if SHORT_DATE.fullmatch(written) else written, zone)


# Charts group. Unknown servers and jobs give an empty list

bp = Blueprint("charts", __name__, url_prefix="/chart-data")


@bp.get("/aggregated")
@described({200: [ChartPointOut], 304: None}, query=ALL_QUERY)
def aggregated() -> ResponseReturnValue:
    """Get chart data of all servers: the newest 2,000 runs, all runs with `all=true`, or the days of a range."""
    query = read_query()
    return daily_points(query) if query.has_range else run_points(query)


@bp.get("/server/<server_id>")
@described({200: [ChartPointOut]}, query=CHART_QUERY)
def of_server(server_id: str) -> ResponseReturnValue:
    """Get chart data of a server by UTC day, summed over its jobs.

    `startDate` and `endDate` select a range.
    """
    return daily_points(read_query(), server_id)


@bp.get("/server/<server_id>/backup/<name:backup_name>", merge_slashes=False)
@described({200: [ChartPointOut]}, query=CHART_QUERY)
def of_job(server_id: str, backup_name: str) -> ResponseReturnValue:
    """Get chart data of a backup job by UTC day.

    `startDate` and `endDate` select a range.
    """
    return daily_points(read_query(), server_id, backup_name)


def read_query() -> ChartQuery:
    """Return the query of the request."""
    return ChartQuery.read(request.args, runtime.settings().zone)


def run_points(query: ChartQuery) -> Response:
    """Return points of single runs; a list of all runs is streamed."""
    visible, providers = visible_server_ids(), series.find_further_providers(query.series)
    dump = run_point_writer(providers)
    if query.wants_all:
        return streamed_list(series.every_run(visible), dump)
    return cached_json(
        ("chart", visible, tuple(providers)),
        lambda: [dump(run) for run in series.newest_runs(series.RUN_POINTS, visible)],
    )


def daily_points(query: ChartQuery, server_id: str | None = None, job_name: str | None = None) -> ResponseReturnValue:
    """Return points of UTC days, with further series if requested."""
    visible, providers = visible_server_ids(), series.find_further_providers(query.series)
    points = series.daily_points(server_id, job_name, **query.range, visible_server_ids=visible)
    further = (
        series.daily_values(providers, server_id, job_name, **query.range, visible_server_ids=visible)
        if providers
        else {}
    )
    return dump_day_points(points, further)


group = ApiGroup(name="charts", blueprint=bp, summary="Chart data")
