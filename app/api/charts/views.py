"""Views of the charts group. Unknown servers and jobs give an empty list."""

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from app.api.answers import cached_json, streamed_list
from app.api.charts.schemas import (
    ALL_QUERY,
    CHART_QUERY,
    ChartQuery,
    dump_day_points,
    run_point_writer,
)
from app.api.client import visible_server_ids
from app.api.runs import (
    ChartPointOut,
)
from app.contracts import (
    described,
)
from app.services import chart_runs, charts, deployment

bp = Blueprint("charts", __name__, url_prefix="/chart-data")


@bp.get("/aggregated")
@described({200: [ChartPointOut], 304: None}, query=ALL_QUERY)
def aggregated() -> ResponseReturnValue:
    """All servers: the newest 2,000 runs one by one, every run with `all=true`, or the days of a range."""
    query = read_query()
    return daily_points(query) if query.has_range else run_points(query)


@bp.get("/server/<server_id>")
@described({200: [ChartPointOut]}, query=CHART_QUERY)
def of_server(server_id: str) -> ResponseReturnValue:
    """One server by UTC day, its jobs summed; `startDate` and `endDate` choose a range."""
    return daily_points(read_query(), server_id)


@bp.get("/server/<server_id>/backup/<name:backup_name>", merge_slashes=False)
@described({200: [ChartPointOut]}, query=CHART_QUERY)
def of_job(server_id: str, backup_name: str) -> ResponseReturnValue:
    """One backup job by UTC day; `startDate` and `endDate` choose a range."""
    return daily_points(read_query(), server_id, backup_name)


def read_query() -> ChartQuery:
    """What the request asks for."""
    return ChartQuery.read(request.args, deployment.settings().zone)


def run_points(query: ChartQuery) -> Response:
    """Points of single runs; a list of all of them is written while it is read."""
    visible, providers = visible_server_ids(), chart_runs.find_guests(query.series)
    dump = run_point_writer(providers)
    if query.wants_all:
        return streamed_list(chart_runs.every_run(visible), dump)
    return cached_json(
        ("chart", visible, tuple(providers)),
        lambda: [dump(run) for run in chart_runs.newest_runs(charts.RUN_POINTS, visible)],
    )


def daily_points(query: ChartQuery, server_id: str | None = None, job_name: str | None = None) -> ResponseReturnValue:
    """Points of UTC days, with further series where they are asked for."""
    visible, providers = visible_server_ids(), chart_runs.find_guests(query.series)
    points = charts.daily_points(server_id, job_name, **query.range, visible_server_ids=visible)
    further = (
        chart_runs.daily_values(providers, server_id, job_name, **query.range, visible_server_ids=visible)
        if providers
        else {}
    )
    return dump_day_points(points, further)
