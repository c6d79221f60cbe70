"""Views of the servers group."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.answers import CACHE_SET_A
from app.api.client import visible_server_ids
from app.api.servers.schemas import (
    RUNS_QUERY,
    DetailOut,
    RunsQuery,
    ServerAndJobOut,
    ServerNameOut,
    ServerOut,
    ServerWithRunsOut,
    dump_backup_list,
    dump_detail,
    dump_full_server,
    dump_server,
    dump_server_list,
)
from app.contracts import (
    AnyOf,
    described,
)
from app.services import charts, clock, deployment, history

bp = Blueprint("servers", __name__)


@bp.get("/servers")
@described({200: AnyOf([ServerNameOut], [ServerAndJobOut])}, query={"includeBackups": fields.Boolean()})
def index() -> ResponseReturnValue:
    """All servers; with `?includeBackups=true` one entry for each server and job."""
    overview = history.overview(clock.now(), visible_server_ids())
    has_jobs = request.args.get("includeBackups") == "true"
    return dump_backup_list(overview) if has_jobs else dump_server_list(overview.servers)


@bp.get("/servers/<server_id>")
@described(
    {200: AnyOf(ServerOut, ServerWithRunsOut)},
    query={"includeBackups": fields.Boolean(), "includeChartData": fields.Boolean(), **RUNS_QUERY},
)
def show(server_id: str) -> ResponseReturnValue:
    """One server; with `includeBackups` or `includeChartData` also its runs, paged by `limit` and `before`."""
    server = history.find_server(server_id, clock.now(), visible_server_ids())
    wants_runs = "true" in (request.args.get("includeBackups"), request.args.get("includeChartData"))
    return full_server(server) if wants_runs else dump_server(server)


@bp.get("/detail/<server_id>")
@described({200: DetailOut}, query=RUNS_QUERY)
def detail(server_id: str) -> ResponseReturnValue:
    """One server with its runs and the jobs that are overdue."""
    now = clock.now()
    overview = history.overview(now, visible_server_ids())
    server = history.find_server(server_id, now, visible_server_ids())
    return dump_detail(server, full_server(server), overview), CACHE_SET_A


def full_server(server: history.ServerStatus) -> dict[str, object]:
    """A server with its runs and chart points, within the bounds that the query asks for."""
    query = RunsQuery.read(request.args)
    runs = history.list_runs(server.id, limit=query.limit, before=query.before)
    points = charts.run_points(server.id, limit=query.limit, visible_server_ids=visible_server_ids())
    return dump_full_server(server, runs, points, deployment.settings().zone)
